"""A sweep: its jobs side by side in isolated processes, done once each, whatever happens to single ones."""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from finesweep.config.errors import LostError
from finesweep.config.interrupt import impatient
from finesweep.results.configurations import by_job
from finesweep.results.lock import is_locked
from finesweep.results.record import FILE, LOG, RunRecord
from finesweep.sweeps.board import Board
from finesweep.sweeps.kinds import Kinds
from finesweep.sweeps.ledger import BEAT, Ledger
from finesweep.sweeps.plan import Job, folder_of
from finesweep.sweeps.pool import Pool, Worker
from finesweep.sweeps.queue import Queue
from finesweep.sweeps.running import Running
from finesweep.sweeps.settings import Fused, Local
from finesweep.sweeps.source import Source
from finesweep.sweeps.worker import Assignment

#: Seconds between two looks at what others work on.
_LOOK = 0.5
#: The time between two calls on changes, in times that such a call takes.
_SHARE = 20
#: Seconds that a job has for a checkpoint when its time is up.
_GRACE = 10.0


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
        #: Jobs of each worker, by the numbers that it calls them by.
        self._running: dict[int, list[Running]] = {}
        self._kinds = Kinds(settings, board.say)
        self._queue = Queue(source, self._kinds)
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
                if not self._pool.workers and (self._stopping or not (self._queue or self._elsewhere)):
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
            job = self._queue.next()
            if job is None and look:  # perhaps it is done, or its owner has died
                self._looked = time.monotonic()
                job = look.pop(0)
                self._elsewhere.remove(job)
            if job is None:
                return
            self._begin(slot, job)

    def _begin(self, slot: int, job: Job) -> None:
        task = self._assignment(slot, job)
        if task is not None:
            worker = self._pool.start(slot, task[0])
            self._running[id(worker)] = [task[1]]

    def _assignment(self, slot: int, job: Job) -> tuple[Assignment, Running] | None:
        """What a worker is to do for a job; None if it need not or cannot be done now."""
        folder = folder_of(self.folder, job, self._known)
        claim = None if is_locked(folder) else self._ledger.claim(job.hash[:16])
        if claim is None:
            self._elsewhere.append(job)
            return None
        if claim.attempt > 1 and job.hash not in self._known:  # it may have been begun meanwhile, by another name
            self._known = by_job(self._records())
            folder = folder_of(self.folder, job, self._known)
        running = Running(job, claim, folder, self.folder.name, self._command)
        record = running.record()
        if record is not None and self._is_over(job, record):
            claim.end(record.status)
            self._count(job, record, "it was done already")
            return None
        if why := self._source.lost(job):
            claim.end("pruned")
            record = record or running.fresh()
            record.end("pruned", why)
            self._count(job, record, why)
            return None
        task = Assignment(
            job.values, folder, self._command, job.overrides, self.folder.name, claim, self._pool.visible(slot),
            self._settings.threads, self._pool.slots, self._pool.sharing, self._kinds.together(job),
        )  # fmt: skip
        self._tries[job.hash] += 1
        self._board.started(job.name, claim.attempt)
        return task, running

    def _more(self, worker: Worker, wanted: int) -> list[Assignment]:
        """Further jobs that can train with those of a worker."""
        running = self._running[id(worker)]
        found: list[Assignment] = []
        # Of them the first may have turned out to be of another kind; and where all are over it is still its process.
        like = next((each for each in running if not each.over), running[0]).job
        settings = self._kinds.together(like)
        if self._stopping or self._leaving or worker.stopped or worker.crowded or settings is None:
            return found
        at_work = sum(not each.over for each in running)
        fair = math.ceil(self._board.open / self._pool.slots)  # other slots want some too
        busy = sum(not each.over for each in chain(*self._running.values()))
        room = int(min(fair - at_work, self._source.at_once - busy, settings.most - at_work))
        wanted = min(wanted, room)
        for job in self._queue.alike(self._kinds.of(like), room) if wanted > 0 else ():
            if (task := self._assignment(worker.slot, job)) is not None:
                found.append(task[0])
                running.append(task[1])
            if len(found) == wanted:
                break
        worker.jobs = max(worker.jobs, at_work + len(found))
        return found

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
        for worker, (what, index, *rest) in self._pool.events(0.2):
            self._heard(worker, self._running[id(worker)][index], what, rest)
        self._board.refresh()
        if self._news and (begun := time.monotonic()) > self._quiet:
            self._news = False
            self._changed()
            self._quiet = begun + _SHARE * (time.monotonic() - begun)
        for worker in self._pool.workers:
            if any(running.longer_than(self._limit(worker)) for running in self._running[id(worker)]):
                limit = self._settings.timeout_minutes
                worker.stop("failed", f"took longer than hydra.launcher.timeout_minutes={limit:g}", _GRACE)
        self._pool.kill(overdue=True)
        if time.monotonic() - self._beaten > BEAT:
            self._beaten = time.monotonic()
            self._source.beat()
            for running in chain(*self._running.values()):
                if not running.over:
                    running.claim.beat()

    def _limit(self, worker: Worker) -> float | None:
        """Minutes that a job of a worker may take; those that train as one share the time as they share the work."""
        minutes = self._settings.timeout_minutes
        return None if minutes is None else minutes * worker.jobs

    def _heard(self, worker: Worker, running: Running, what: str, rest: Sequence[Any]) -> None:
        """Something that a worker says of one of its jobs."""
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
        elif what == "more":
            found: list[Assignment] = []
            try:
                found = self._more(worker, *rest)
            finally:
                worker.answer(found)
        elif what == "ended":
            running.said = (rest[0], rest[1])
            if isinstance(self._settings, Fused) and not running.over:  # the process may have others to do
                self._verdict(worker, running)
        elif what == "gone":
            for each in self._running.pop(id(worker)):
                if not each.over:
                    self._verdict(worker, each)

    def _verdict(self, worker: Worker, running: Running) -> None:
        how, what = worker.verdict(running.said)
        late = worker.stopped is not None and (how, what) == worker.stopped and how == "failed"
        if late and not running.longer_than(self._limit(worker)):
            how, what = "again", ""  # for the time of another was up that trains as one with it
        worker.crowded |= how == "crowded"
        self._ended(running, how, what, worker.jobs)

    def _ended(self, running: Running, how: str, what: str, jobs: int) -> None:
        """See to what is to be done when a job is over.

        Args:
            jobs: that trained as one with it, itself among them.
        """
        running.over = True
        job = running.job
        try:
            running.claim.check()
        except LostError as error:
            self._board.ended(job.name, "taken over", str(error))
            self._elsewhere_again(job)
            return
        record = running.record()
        if how in ("again", "apart", "alone", "crowded", "unlike"):
            if how != "again":
                self._kinds.told(job, how, what, jobs)
            running.claim.end(how)
            self._board.left(job.name)
            self._tries[job.hash] -= 1  # which was none
            self._queue.again.append(job)
            return
        # What is left of a worker whose driver has died, not for long; or another sweeper's job was first to take the
        # folder, and the next try takes one of its own.
        if how == "live" or (record is not None and record.config_hash != job.hash):
            running.claim.end("live")
            self._elsewhere_again(job)
            return
        record = running.settled(how, what)
        running.claim.end(record.status)
        if record.status == "failed" and self._tries[job.hash] <= self._settings.retries and not self._stopping:
            self._board.say(f"{job.name} failed, {_first_line(what)}; once more")
            self._queue.again.append(job)
            return
        self._count(job, record, what)
        if record.status == "failed" and self._settings.fail_fast and not self._stopping:
            self._stopping = True
            self._pool.stop("another job failed, and hydra.launcher.fail_fast is set")

    def _elsewhere_again(self, job: Job) -> None:
        self._tries[job.hash] -= 1  # which was none
        self._elsewhere.append(job)

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


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
