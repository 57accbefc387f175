"""A job that a worker has, from the claim on it to its end in the record."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from finesweep.config.errors import UserError
from finesweep.results.record import FILE, LOG, RunRecord
from finesweep.sweeps.ledger import Claim
from finesweep.sweeps.plan import Job

#: Lines of a job's log that its record keeps when it was killed.
_TAIL = 30


@dataclass
class Running:
    """A job at work.

    Attributes:
        sweep: the name of the sweep.
        command: how it was asked for.
        said: how it ended, by its own account.
        over: whether its end is seen to.
    """

    job: Job
    claim: Claim
    folder: Path
    sweep: str
    command: str
    said: tuple[str, str] | None = None
    over: bool = False
    began: float = field(default_factory=time.monotonic)

    def longer_than(self, minutes: float | None) -> bool:
        """Whether it is at work for that long; None is for ever."""
        return minutes is not None and not self.over and time.monotonic() - self.began > 60 * minutes

    def record(self) -> RunRecord | None:
        """What is in its folder, its own or another's."""
        if not (self.folder / FILE).is_file():
            return None
        try:
            return RunRecord.read(self.folder)
        except UserError:  # cut short by a power cut of old, say: it is written anew
            return None

    def fresh(self) -> RunRecord:
        """A record of a run that has none."""
        job = self.job
        return RunRecord(
            self.folder, job.values["name"], job.values["seed"], job.hash, self.command, job.overrides,
            config=job.values, sweep=self.sweep, cwd=str(Path.cwd()),
        )  # fmt: skip

    def settled(self, how: str, what: str) -> RunRecord:
        """The record when it is over, with its end in it, which a process that was killed could not write."""
        record = self.record() or self.fresh()  # killed before it had one
        if record.status not in ("ok", "pruned", how):  # what is done stays done, whatever befell the process then
            log = self.folder / LOG
            tail = log.read_text(errors="replace").splitlines()[-_TAIL:] if log.is_file() else []
            record.end(how, "\n".join([what, "", f"The end of {LOG}:", *tail]))  # type: ignore[arg-type]
        return record
