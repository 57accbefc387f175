"""Where the jobs of a sweep come from: here a list of them; a search makes them one by one."""

import math
from collections import deque
from collections.abc import Sequence

from finesweep.results.record import RunRecord
from finesweep.sweeps.plan import Job
from finesweep.sweeps.race import Race


class Source:
    """The jobs of a grid.

    Args:
        race: by which configurations drop out, if they do.

    Attributes:
        ready: whether all jobs are there, and none is made when it is asked for.
        failures: what went wrong apart from jobs.
    """

    ready = True

    def __init__(self, jobs: Sequence[Job], race: Race | None) -> None:
        self.failures = 0
        self._waiting, self._race = deque(jobs), race

    def next(self) -> Job | None:
        """A job to be done now, if there is one."""
        return self._waiting.popleft() if self._waiting else None

    @property
    def exhausted(self) -> bool:
        """Whether nothing will come any more, once all that has come is over."""
        return not self._waiting

    @property
    def at_once(self) -> float:
        """How many jobs may be asked for before any of them is over, without harm to what comes."""
        return math.inf

    def lost(self, job: Job) -> str:
        """Why a job need not be done, empty if it is to be."""
        return self._race.lost(job.values) if self._race is not None else ""

    def validated(self, job: Job, number: int, value: float) -> bool:
        """Whether a job is to go on after a validation."""
        del job, number, value
        return True

    def ended(self, job: Job, record: RunRecord) -> None:
        """A job is over, with what its record says."""
        del job
        if self._race is not None and record.status == "ok":
            self._race.add(record)

    def beat(self) -> None:
        """Give a sign of life to other sweepers."""

    def close(self) -> None:
        """Nothing more will be asked for."""
