"""Errors that a user can cause and mend: one readable message each, never a traceback."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar


class UserError(Exception):
    """Something outside the code is wrong: a value, a file, a folder. Ends the command with exit status 2.

    Args:
        what: what is wrong, in one sentence.
        where: the file and line, the key, or the command that it concerns.
        remedy: what to do about it.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}" + (f"\n  -> {self.remedy}" if self.remedy else "")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.remedy)


def _rebuild(cls: type[UserError], what: str, where: str, remedy: str) -> UserError:
    return cls(what, where=where, remedy=remedy)


class ChangedError(UserError):
    """A run cannot go on or be done again: its data or its base model are not what they were."""


class LostError(UserError):
    """Another sweeper has taken a job over; what this one finds out of it does not count any more."""


class PrunedError(UserError):
    """A search has stopped a run that is not worth going on with."""

    @classmethod
    def after(cls, validation: int) -> "PrunedError":
        return cls(f"the search has stopped this run after validation {validation}")


class ApartError(UserError):
    """A run cannot train as one with others; alone it can.

    Attributes:
        how: that it ended, to its sweep.
    """

    how: ClassVar[str] = "apart"


class AloneError(ApartError):
    """It is one run alone that cannot train with others."""

    how = "alone"


class CrowdedError(ApartError):
    """So many runs cannot train as one; fewer can."""

    how = "crowded"


class UnlikeError(ApartError):
    """A run can only train as one with others that have the same dropout."""

    how = "unlike"


class TrainingError(UserError):
    """Training could not go on (a loss that is not a number, say). The run is recorded as failed; exit status 1."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong with a configuration: the key, what is wrong with it, and where it was written."""

    key: str
    message: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" + (f"\n      set in {self.place}" if self.place else "")


class ConfigError(UserError):
    """A configuration with problems; all of them are in the one message."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        count = len(self.problems)
        head = "1 problem in the configuration" if count == 1 else f"{count} problems in the configuration"
        super().__init__("\n".join([head, *(f"  {i}. {p}" for i, p in enumerate(self.problems, 1))]))

    def __reduce__(self) -> tuple[object, ...]:
        return ConfigError, (self.problems,)


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """``" Did you mean 'lr'?"``, or ``otherwise`` (a list of what there is, say) where nothing known is near."""
    known = list(known)
    # Letters in another order ("rl" for "lr") count as near, however short the word.
    swapped = [name for name in known if sorted(name) == sorted(word)]
    near = swapped or difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    if not near:
        return otherwise
    return " Did you mean " + " or ".join(f"'{n}'" for n in near) + "?"


def of_compiler(error: BaseException) -> bool:
    """Whether torch's compiler has failed, which raises before anything is computed."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
