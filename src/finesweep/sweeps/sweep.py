"""A sweep: its jobs side by side in isolated processes, done once each, whatever happens to single ones."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from finesweep.config.errors import LostError, UserError
from finesweep.config.interrupt import impatient
from finesweep.results.configurations import by_job
from finesweep.results.lock import is_locked
from finesweep.results.record import FILE, LOG, RunRecord
from finesweep.sweeps.board import Board
from finesweep.sweeps.ledger import BEAT, Claim, Ledger
from finesweep.sweeps.plan import Job, folder_of
from finesweep.sweeps.pool import Pool, Worker
from finesweep.sweeps.settings import Local
from finesweep.sweeps.source import Source
from finesweep.sweeps.worker import Assignment

#: Lines of a job's log that its record keeps when it was killed.
_TAIL = 30
#: Seconds between two looks at what others work on.
_LOOK = 0.5
#: The time between two calls on changes, in times that such a call takes.
_SHARE = 20
#: Seconds that a job has for a checkpoint when its time is up.
_GRACE = 10.0


@dataclass
class _Running:
    job: Job
    claim: Claim
    folder: Path


class Sweep:
    """One sweeper at work on a sweep's folder. Others may work on it at the same time.

    Args:
        command: how it was asked for, for the records.
        records: reads those that are in the folder.
        changed: called when jobs have ended; of a large sweep it takes its time, and is not called after each.
    """

    def __init__(
        self, folder: Path, source: Source, settings: Local, pool: Pool, board: Board, command: str,
        records: Callable[[], Sequence[RunRecord]], changed: Callable[[], object],
    ) -> None:  # fmt: skip
        self.folder = folder
        self._source, self._settings, self._pool, self._board = source, settings, pool, board
        self._command, self._records, self._changed = command, records, changed
        self._ledger = Ledger(folder / "ledger")
        self._running: dict[int, _Running] = {}
        self._again: deque[Job] = deque()
        self._elsewhere: list[Job] = []
        self._tries: Counter[str] = Counter()
        #: No job begins any more; and then, an error or a signal ends all of it, and the source is not asked again.
        self._stopping = self._leaving = False
        self._beaten = self._looked = time.monotonic()
        #: hash -> end of jobs that had failed or were pruned before: no clocks of two machines are compared.
        self._known = by_job(records())
        self._before = {name: record.finished for name, record in self._known.items()}
        self._failed = 0
        self._news, self._quiet = False, 0.0

    def run(self) -> None:
        """Work until all jobs are over, here or elsewhere. A signal ends it, with checkpoints, and is passed on."""
        try:
            while True:
                if not self._stopping:
                    self._fill()
                more = self._again or self._elsewhere or not self._source.exhausted
                if not self._pool.workers and (self._stopping or not more):
                    return
                self._listen()
        except BaseException:
            self._leaving = True
            with impatient(self._pool.kill):
                try:
                    self._pool.stop("the sweep was stopped")
                    while self._pool.workers:
                        self._listen()
                finally:
                    self._pool.kill()
            raise
        finally:
            self._source.close()

    def _fill(self) -> None:
        """A job into each free slot, as long as there are any."""
        look = list(self._elsewhere) if time.monotonic() - self._looked > _LOOK else []
        for slot in self._pool.free:
            job = self._again.popleft() if self._again else self._source.next()
            if job is None and look:  # perhaps it is done, or its owner has died
                self._looked = time.monotonic()
                job = look.pop(0)
                self._elsewhere.remove(job)
            if job is None:
                return
            self._begin(slot, job)

    def _begin(self, slot: int, job: Job) -> None:
        folder = folder_of(self.folder, job, self._known)
        claim = None if is_locked(folder) else self._ledger.claim(job.hash[:16])
        if claim is None:
            self._elsewhere.append(job)
            return
        if claim.attempt > 1 and job.hash not in self._known:  # it may have been begun meanwhile, by another name
            self._known = by_job(self._records())
            folder = folder_of(self.folder, job, self._known)
        record = _record(folder)
        if record is not None and self._is_over(job, record):
            claim.end(record.status)
            self._count(job, record, "it was done already")
            return
        if why := self._source.lost(job):
            claim.end("pruned")
            record = record or self._fresh(job, folder)
            record.end("pruned", why)
            self._count(job, record, why)
            return
        task = Assignment(
            job.values, folder, self._command, job.overrides, self.folder.name, claim, self._pool.visible(slot),
            self._settings.threads, self._pool.slots,
        )  # fmt: skip
        worker = self._pool.start(slot, task)
        self._running[id(worker)] = _Running(job, claim, folder)
        self._tries[job.hash] += 1
        self._board.started(job.name, claim.attempt)

    def _is_over(self, job: Job, record: RunRecord) -> bool:
        """Whether it is done, by another sweeper or another trial, or has failed there while we were at work."""
        if record.config_hash != job.hash:
            return False
        if record.status == "ok":
            return True
        tried = self._tries[job.hash] or record.finished == self._before.get(job.hash)
        return record.status in ("failed", "pruned") and not tried

    def _listen(self) -> None:
        """Wait a moment for what the workers say, and see to what time asks for."""
        for worker, (what, *rest) in self._pool.events(0.2):
            running = self._running[id(worker)]
            if what == "progress":
                self._board.progress(running.job.name, *rest)
            elif what == "validated":
                number, epoch, value = rest
                self._board.validated(running.job.name, epoch, value)
                go_on = True
                try:
                    go_on = self._leaving or self._source.validated(running.job, number, value)
                finally:
                    worker.answer(go_on)
            elif what == "gone":
                self._gone(worker, self._running.pop(id(worker)))
        self._board.refresh()
        if self._news and (begun := time.monotonic()) > self._quiet:
            self._news = False
            self._changed()
            self._quiet = begun + _SHARE * (time.monotonic() - begun)
        limit = self._settings.timeout_minutes
        for worker in self._pool.workers:
            if limit is not None and time.monotonic() - worker.started > 60 * limit:
                worker.stop("failed", f"took longer than hydra.launcher.timeout_minutes={limit:g}", _GRACE)
        self._pool.kill(overdue=True)
        if time.monotonic() - self._beaten > BEAT:
            self._beaten = time.monotonic()
            self._source.beat()
            for running in self._running.values():
                running.claim.beat()

    def _gone(self, worker: Worker, running: _Running) -> None:
        how, what = worker.verdict()
        job = running.job
        try:
            running.claim.check()
        except LostError as error:
            self._board.ended(job.name, "taken over", str(error))
            self._elsewhere_again(job)
            return
        record = _record(running.folder)
        # What is left of a worker whose driver has died, not for long; or another sweeper's job was first to take the
        # folder, and the next try takes one of its own.
        if how == "live" or (record is not None and record.config_hash != job.hash):
            running.claim.end("live")
            self._elsewhere_again(job)
            return
        record = self._settled(running, record, how, what)
        running.claim.end(record.status)
        if record.status == "failed" and self._tries[job.hash] <= self._settings.retries and not self._stopping:
            self._board.say(f"{job.name} failed, {_first_line(what)}; once more")
            self._again.append(job)
            return
        self._count(job, record, what)
        if record.status == "failed" and self._settings.fail_fast and not self._stopping:
            self._stopping = True
            self._pool.stop("another job failed, and hydra.launcher.fail_fast is set")

    def _elsewhere_again(self, job: Job) -> None:
        self._tries[job.hash] -= 1  # which was none
        self._elsewhere.append(job)

    def _settled(self, running: _Running, record: RunRecord | None, how: str, what: str) -> RunRecord:
        """The record of a run that is over, with its end in it, which a process that was killed could not write."""
        record = record or self._fresh(running.job, running.folder)  # killed before it had one
        if record.status not in ("ok", "pruned", how):  # what is done stays done, whatever befell the process then
            log = running.folder / LOG
            tail = log.read_text(errors="replace").splitlines()[-_TAIL:] if log.is_file() else []
            record.end(how, "\n".join([what, "", f"The end of {LOG}:", *tail]))  # type: ignore[arg-type]
        return record

    def _fresh(self, job: Job, folder: Path) -> RunRecord:
        return RunRecord(
            folder, job.values["name"], job.values["seed"], job.hash, self._command, job.overrides,
            config=job.values, sweep=self.folder.name, cwd=str(Path.cwd()),
        )  # fmt: skip

    def _count(self, job: Job, record: RunRecord, what: str) -> None:
        if record.status == "ok":
            what = f"{record.objective['metric']} {record.objective['value']:.4f}"
        elif record.status == "failed":
            what = f"{_first_line(what)}\n  see {record.folder}/{FILE} and {LOG}"
        if record.status == "failed" or (record.status == "interrupted" and not self._stopping):
            self._failed += 1
        self._board.ended(job.name, record.status, what)
        if not self._leaving:  # what a search was not told it finds in the record
            self._source.ended(job, record)
        self._news = True

    @property
    def failures(self) -> int:
        """Jobs that failed, or were stopped from outside, and what else went wrong."""
        return self._failed + self._source.failures


def _record(folder: Path) -> RunRecord | None:
    if not (folder / FILE).is_file():
        return None
    try:
        return RunRecord.read(folder)
    except UserError:  # cut short by a power cut of old, say: it is written anew
        return None


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
