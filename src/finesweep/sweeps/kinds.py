"""Which jobs of a sweep train as one, where its launcher has jobs do that."""

from collections.abc import Callable
from dataclasses import replace

from finesweep.sweeps.plan import Job
from finesweep.sweeps.settings import Fused, Local


class Kinds:
    """Kinds of jobs, each of which trains as one unless there is a reason.

    Args:
        say: is told the reason, once.
    """

    def __init__(self, settings: Local, say: Callable[[str], object]) -> None:
        self._settings, self._say = settings if isinstance(settings, Fused) else None, say
        self._groups: dict[str, str] = {}
        self._apart: dict[str, str] = {}
        #: Kinds of which so many can train as one, and those whose jobs must have the same dropout too.
        self._most: dict[str, int] = {}
        self._by_dropout: set[str] = set()
        #: Jobs, by their hash, of which each for itself cannot train with others.
        self._alone: set[str] = set()

    def of(self, job: Job) -> str:
        """The kind of a job; that of one which trains alone nobody else has."""
        if job.hash in self._alone:
            return job.hash
        from finesweep.sweeps.fused.groups import group_of  # which takes torch

        if job.hash not in self._groups:
            self._groups[job.hash] = group_of(job.values)
        kind = self._groups[job.hash]
        return f"{kind} {job.values['model']['dropout']}" if kind in self._by_dropout else kind

    def together(self, job: Job) -> Fused | None:
        """How a job trains with others of its kind, if it does."""
        if self._settings is None:
            return None
        from finesweep.sweeps.fused.groups import apart

        kind = self.of(job)
        if kind not in self._apart and (why := apart(job.values)):
            self._set_apart(job, why)
        most = self._most.get(kind, self._settings.most)
        return None if kind in self._apart or kind == job.hash or most == 1 else replace(self._settings, most=most)

    def told(self, job: Job, how: str, why: str, count: int) -> None:
        """So many jobs of a kind did not train as one.

        Args:
            how: ``apart``, ``alone``, ``crowded`` or ``unlike``, see :class:`finesweep.config.errors.ApartError`.
        """
        kind = self.of(job)
        if how == "alone":
            self._say(f"{job.name} trains alone: {why}")
            self._alone.add(job.hash)
        elif how == "unlike":
            group = self._groups[job.hash]
            if group not in self._by_dropout:
                self._say(f"{job.name} trains as one with jobs of the same model.dropout alone: {why}")
            self._by_dropout.add(group)
        elif how == "crowded" and count > 3:
            if self._most.get(kind, count) >= count:
                self._say(f"{job.name} and others of its kind go on, {count // 2} as one: {why}")
            self._most[kind] = min(self._most.get(kind, count), count // 2)
        else:
            self._set_apart(job, why)

    def _set_apart(self, job: Job, why: str) -> None:
        """From now on jobs of this kind train alone."""
        if why not in self._apart.values():
            self._say(f"{job.name} trains alone: {why}")
        self._apart[self.of(job)] = why
