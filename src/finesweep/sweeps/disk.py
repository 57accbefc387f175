"""What a sweep keeps: all of every run but its model, which only the best configurations keep, and its checkpoints.

A configuration is ranked once all its seeds are done, and among those that are: whoever is among the best in the end
has been among the best of any of them, so that its models are there, although the others go while the sweep runs.
"""

import json
import math
import shutil
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from finesweep.config.identity import REPLICATES
from finesweep.results.files import write_atomically
from finesweep.results.folders import size_of
from finesweep.results.lock import LiveError, locked
from finesweep.results.ranking import Entry, entries
from finesweep.results.record import RunRecord
from finesweep.results.tables import size_text
from finesweep.sweeps.settings import Direction

if TYPE_CHECKING:
    from finesweep.sweeps.plan import Job
    from finesweep.sweeps.sketch import Sketch

FILE = "keep.json"
#: Runs that a line names.
_NAMED = 5


@dataclass(frozen=True)
class Keep:
    """Which configurations of a sweep keep their models.

    Attributes:
        keep: the key of the configuration.
        objectives: of a search that goes by others than the run's own: whoever is behind in all of them is behind.
        replicates: how many runs a configuration has when it is whole.
    """

    keep: int | str
    objectives: dict[str, Direction] = field(default_factory=dict)
    replicates: int = 0

    @classmethod
    def read(cls, folder: Path) -> "Keep | None":
        """What the last call asked for in a sweep's folder; None where that cannot be told."""
        try:
            return cls(**json.loads((folder / FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        """Leave it in the sweep's folder."""
        write_atomically(folder / FILE, json.dumps(asdict(self)) + "\n")

    @property
    def best(self) -> float:
        """How many configurations that are."""
        return {"best": 1, "all": math.inf, "none": 0}[self.keep] if isinstance(self.keep, str) else self.keep

    @property
    def why(self) -> str:
        """Why the model of another one goes."""
        among = {0: "the sweep was to keep no model", 1: "it was not of the sweep's best configuration"}
        default = f"it was not of the sweep's {self.best:.0f} best configurations"
        return f"{among.get(int(self.best), default)} (keep={self.keep})"

    def superfluous(self, records: Sequence[RunRecord], *, over: bool = False) -> list[RunRecord]:
        """The runs of a sweep whose models need not stay.

        Args:
            over: nothing else will run, so that configurations are ranked by what they have.
        """
        records = [record for record in records if not record.reproduces]
        if sum(record.status == "ok" for record in records) <= self.best:  # as a rule; the ranking takes its time
            return []
        boards: dict[tuple[str, str], list[Entry]] = {}
        for entry in entries(records):
            if entry.records and _whole(entry, 0 if over else self.replicates):
                boards.setdefault(entry.board, []).append(entry)
        return [
            record
            for ranked in boards.values()
            for entry, ahead in zip(ranked, self._ahead(ranked), strict=True)
            if ahead >= self.best
            for record in entry.records
        ]

    def _ahead(self, ranked: Sequence[Entry]) -> list[int]:
        """How many are better than each."""
        if not self.objectives:
            return list(range(len(ranked)))
        from finesweep.sweeps.search_plan import score_of  # which takes half a second

        signs = {name: -1 if direction == "maximize" else 1 for name, direction in self.objectives.items()}
        costs = [
            [sign * statistics.mean(score_of(record, name) for record in entry.records) for name, sign in signs.items()]
            for entry in ranked
        ]
        return [
            sum(other != own and all(a <= b for a, b in zip(other, own, strict=True)) for other in costs)
            for own in costs
        ]


def _whole(entry: Entry, replicates: int) -> bool:
    """Whether all its runs are over. One that has failed may be done again."""
    over = len(entry.records) + entry.states["pruned"]
    return over >= replicates and not entry.states["running"] and not entry.states["interrupted"]


class Disk:
    """Keeps a sweep's folder small while the sweep runs, as one sweeper of perhaps several.

    Args:
        say: a line to the user.
    """

    def __init__(self, asked: "Sketch", say: Callable[[str], None]) -> None:
        self._folder, self._say = asked.folder, say
        values, objectives = asked.jobs[0].values, asked.search.objectives if asked.search is not None else {}
        own = {values["objective"]["metric"]: values["objective"]["direction"]}
        replicates = len(asked.search.replicates) if asked.search is not None else _replicates(asked.jobs)
        self._keep = Keep(values["keep"], {} if objectives == own else objectives, replicates)
        self._keep.write(self._folder)

    def tidy(self, records: Sequence[RunRecord], *, over: bool = False) -> None:
        """Drop what is not needed any more of runs that have ended.

        Args:
            records: all of the sweep.
            over: nothing else will run, so that configurations of which a run has failed are ranked as they are.
        """
        for record in records:
            if record.status in ("ok", "pruned"):
                drop_checkpoints(record)
        beyond = self._keep.superfluous(records, over=over)
        freed = {record.folder.name: drop_model(record, self._keep.why) for record in beyond}
        names = [name for name, size in freed.items() if size]
        if names:
            more = f"; {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            count = "1 model" if len(names) == 1 else f"{len(names)} models"
            told = f"keep={self._keep.keep}: {count} dropped, {size_text(sum(freed.values()))}"
            self._say(f"{told}; `finesweep reproduce RUN` makes one again: {'; '.join(names[:_NAMED])}{more}")


def _replicates(jobs: Sequence["Job"]) -> int:
    """How many runs of a grid differ in nothing but seed and fold."""
    own = [tuple(text for text in job.overrides if text.partition("=")[0] not in REPLICATES) for job in jobs]
    return max(Counter(own).values())


def drop_checkpoints(record: RunRecord) -> int:
    """Remove the checkpoints of a run that is over; the bytes that frees, 0 where another process works on the run."""
    return _drop(record.folder / "checkpoints", record)


def drop_model(record: RunRecord, why: str) -> int:
    """Remove the model of a run that ended well, and write into its record why; the bytes that frees, 0 as above."""
    return _drop(record.folder / "model", record, why)


def _drop(folder: Path, record: RunRecord, why: str = "") -> int:
    if not folder.is_dir():
        return 0
    size = size_of(folder)
    try:
        with locked(record.folder):
            current = RunRecord.read(record.folder)
            if current.status != record.status:  # somebody has begun it again
                return 0
            if why:  # first, so that no record speaks of a model of which a part is gone
                current.model["dropped"] = why
                current.write()
            shutil.rmtree(folder, ignore_errors=True)  # on a network file system what is open stays for a while
    except LiveError:
        return 0
    return size - size_of(folder)
