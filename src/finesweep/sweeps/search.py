"""A search: trials proposed one by one, each with all its replicates, shared by all sweepers on one folder."""

import math
import statistics
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, Trial, TrialState

from finesweep.config.errors import ConfigError, PrunedError, UserError
from finesweep.results.configurations import scalar_text
from finesweep.results.record import RunRecord
from finesweep.sweeps.axes import Axis
from finesweep.sweeps.board import Board
from finesweep.sweeps.ledger import Claim, Ledger
from finesweep.sweeps.plan import Job
from finesweep.sweeps.race import Race
from finesweep.sweeps.search_plan import SearchPlan, overrides_of, score_of
from finesweep.sweeps.source import Source
from finesweep.sweeps.study import Trials

#: What is noted of a trial whose runs ended well, and whose mean is no number.
NO_SCORE = "the mean of its runs is no number"


@dataclass(frozen=True)
class TrialJob(Job):
    """One replicate of a trial."""

    ticket: int
    scout: bool


@dataclass
class _Live:
    """A trial that we work on."""

    trial: Trial
    claim: Claim
    waiting: deque[TrialJob]
    at_work: int = 0
    records: list[RunRecord] = field(default_factory=list)


class Search(Source):
    """The trials of a search.

    Args:
        folder: of the sweep.

    Raises:
        UserError: the storage cannot be used.
    """

    ready = False

    def __init__(self, plan: SearchPlan, folder: Path, board: Board, race: Race | None) -> None:
        super().__init__([], race)
        self._plan, self._board = plan, board
        settings = plan.settings
        validations = max(
            round(job.values["trainer"]["max_epochs"] / job.values["trainer"]["val_check_interval"])
            for job in plan.probes
        )
        rest = [*(text for each in plan.replicates for text in each), settings.space or ""]
        self._trials = Trials(folder, settings, plan.searched, plan.objectives, rest, validations)
        self._ledger = Ledger(folder / "ledger")
        self._live: dict[int, _Live] = {}
        self._given_up: set[int] = set()
        self._until = time.monotonic() + 60 * settings.max_minutes if settings.max_minutes else float("inf")
        newest = self._trials.newest()
        #: Trials that had failed before: they get another chance, where that can change anything.
        self._failed = {
            each.number for each in newest.values()
            if each.state is TrialState.FAIL and each.user_attrs.get("error") != NO_SCORE
        }  # fmt: skip
        self._over = self._finished(newest)
        if over := len(self._over):
            board.say(f"{over} of {plan.n_trials} trials are done already")
        board.total = (plan.n_trials - over) * len(plan.replicates)
        if plan.n_trials < len(plan.grid):
            board.say(
                f"{plan.n_trials} of {len(plan.grid)} combinations: hydra.sweeper.n_trials={len(plan.grid)} is all"
            )
        if outside := [axis.key for axis in plan.searched if axis not in plan.defaults and settings.default_first]:
            board.say(f"the default of {', '.join(outside)} lies outside of its space: the first trial samples it")

    @property
    def exhausted(self) -> bool:
        if self._live:
            return False
        return self._late or self._over | self._given_up >= set(range(self._plan.n_trials))

    @property
    def at_once(self) -> float:
        settings = self._plan.settings
        if settings.sampler not in ("tpe", "cmaes"):
            return super().at_once
        return max(2, settings.startup_trials) * (1 if self._scouted else len(self._plan.replicates))

    @property
    def _scouted(self) -> bool:
        """Whether the first replicate of a trial goes before the others."""
        return self._plan.settings.pruner is not None or self._race is not None

    def next(self) -> Job | None:
        """The next replicate of a trial at work, or the first of a new one."""
        while (job := self._waiting_job()) is None and not self._late and self._begin_trial():
            pass
        return job

    def _waiting_job(self) -> Job | None:
        for live in self._live.values():
            if live.waiting and not (self._scouted and not live.records and live.at_work):
                live.at_work += 1
                return live.waiting.popleft()
        return None

    def lost(self, job: Job) -> str:
        assert isinstance(job, TrialJob)
        if job.scout and (number := self._trials.stopped(self._live[job.ticket].trial)):
            return str(PrunedError.after(number))  # the search knows, and the run was killed before it did
        return super().lost(job)

    def validated(self, job: Job, number: int, value: float) -> bool:
        assert isinstance(job, TrialJob)
        if not job.scout or self._plan.settings.pruner is None or job.ticket not in self._live:
            return True
        return self._trials.report(self._live[job.ticket].trial, number, value)

    def ended(self, job: Job, record: RunRecord) -> None:
        super().ended(job, record)
        assert isinstance(job, TrialJob)
        live = self._live[job.ticket]
        live.at_work -= 1
        live.records.append(record)
        if record.status == "failed" or (record.status == "pruned" and job.scout):
            self._board.total -= len(live.waiting)
            live.waiting.clear()
        if not live.waiting and not live.at_work:
            self._settle(job.ticket, self._live.pop(job.ticket))

    def beat(self) -> None:
        for live in self._live.values():
            live.claim.beat()

    def close(self) -> None:
        for live in self._live.values():
            live.claim.end("interrupted")
        self._live.clear()

    @property
    def _late(self) -> bool:
        return time.monotonic() > self._until

    def _finished(self, newest: Mapping[int, FrozenTrial]) -> set[int]:
        return {
            ticket for ticket, trial in newest.items()
            if ticket < self._plan.n_trials and trial.state.is_finished() and trial.number not in self._failed
        }  # fmt: skip

    def _begin_trial(self) -> bool:
        """Take the next ticket that is free; whether there was one, perhaps for a trial that cannot be run."""
        open_tickets = [
            each for each in range(self._plan.n_trials)
            if each not in self._over and each not in self._live and each not in self._given_up
        ]  # fmt: skip
        for ticket in open_tickets:
            claim = self._ledger.claim(f"trial-{self._trials.hash}-{ticket:04d}")
            if claim is None:  # another sweeper's
                continue
            newest, before = self._trials.newest(), len(self._over)
            self._over = self._finished(newest)
            self._board.total -= (len(self._over) - before) * len(self._plan.replicates)  # others have done them
            if ticket in self._over:
                claim.end("done")
                continue
            self._start(ticket, claim, newest.get(ticket))
            return True
        return False

    def _start(self, ticket: int, claim: Claim, found: FrozenTrial | None) -> None:
        trial = self._trials.take(ticket, found, self._fixed(ticket))
        live = self._live[ticket] = _Live(trial, claim, deque())
        chosen = self._trials.values(trial)
        own = overrides_of(chosen) + self._hooked(trial, chosen)
        try:
            jobs = [self._plan.planner.job([*self._plan.fixed, *own, *each]) for each in self._plan.replicates]
        except ConfigError as error:
            told = "; ".join(f"{problem.key}: {problem.message}" for problem in error.problems)
            self._board.say(f"trial {trial.number} ({' '.join(own)}) cannot be run: {told}")
            self._trials.note(trial, "error", told)
            self.failures += 1
            self._board.total -= len(self._plan.replicates)
            del self._live[ticket]
            self._tell(ticket, claim, trial, TrialState.FAIL)
            return
        self._trials.note(trial, "jobs", [job.name for job in jobs])
        live.waiting.extend(TrialJob(**vars(job), ticket=ticket, scout=i == 0) for i, job in enumerate(jobs))

    def _fixed(self, ticket: int) -> dict[Axis, Any]:
        if self._plan.grid:
            return self._plan.grid[ticket]
        return self._plan.defaults if ticket == 0 and self._plan.settings.default_first else {}

    def _hooked(self, trial: Trial, chosen: Mapping[Axis, Any]) -> list[str]:
        if self._plan.hook is None:
            return []
        where = "hydra.sweeper.space"
        try:
            more = dict(self._plan.hook(trial, {axis.key: value for axis, value in chosen.items()}))
        except Exception as error:
            raise UserError(
                f"{self._plan.settings.space} raised {type(error).__name__}: {error}", where=where,
                remedy="mend it and give the same command again: the trial goes on",
            ) from error  # fmt: skip
        return [f"{key}={scalar_text(value)}" for key, value in more.items()]

    def _settle(self, ticket: int, live: _Live) -> None:
        states = {record.status for record in live.records}
        good = [record for record in live.records if record.status == "ok"]
        if "interrupted" in states:  # another call goes on with it
            self._given_up.add(ticket)
            live.claim.end("interrupted")
        elif "failed" in states:
            self._tell(ticket, live.claim, live.trial, TrialState.FAIL)
        elif "pruned" in states:  # what has lost a race too: its mean over fewer seeds is no score like the others'
            self._tell(ticket, live.claim, live.trial, TrialState.PRUNED)
        else:
            means = [statistics.mean(score_of(record, name) for record in good) for name in self._plan.objectives]
            if all(map(math.isfinite, means)):
                self._tell(ticket, live.claim, live.trial, TrialState.COMPLETE, means)
            else:  # as of predictions that are all the same, of which no correlation can be told
                odd = [name for name, mean in zip(self._plan.objectives, means, strict=True) if not math.isfinite(mean)]
                self._board.say(f"trial {live.trial.number} has no score: {', '.join(odd)} is no number")
                self._trials.note(live.trial, "error", NO_SCORE)
                self._tell(ticket, live.claim, live.trial, TrialState.FAIL)

    def _tell(
        self, ticket: int, claim: Claim, trial: Trial, state: TrialState, values: Sequence[float] | None = None
    ) -> None:
        self._trials.tell(trial, state, values)
        claim.end(state.name.lower())
        self._over.add(ticket)
        self._failed.discard(trial.number)
