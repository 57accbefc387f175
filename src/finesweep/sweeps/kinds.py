"""Which jobs of a sweep train as one, where its launcher has jobs do that."""

from collections.abc import Callable

from finesweep.sweeps.plan import Job
from finesweep.sweeps.settings import Fused, Local


class Kinds:
    """Kinds of jobs, each of which trains as one unless there is a reason.

    Args:
        say: is told the reason, once.
    """

    def __init__(self, settings: Local, say: Callable[[str], object]) -> None:
        self._settings, self._say = settings if isinstance(settings, Fused) else None, say
        self._apart: dict[str, str] = {}

    def of(self, job: Job) -> str:
        """The kind of a job."""
        from finesweep.sweeps.fused.groups import group_of  # which takes torch

        return group_of(job.values)

    def together(self, job: Job) -> Fused | None:
        """How a job trains with others of its kind, if it does."""
        if self._settings is None:
            return None
        from finesweep.sweeps.fused.groups import apart

        if self.of(job) not in self._apart and (why := apart(job.values)):
            self.set_apart(job, why)
        return None if self.of(job) in self._apart else self._settings

    def set_apart(self, job: Job, why: str) -> None:
        """From now on jobs of this kind train alone."""
        if why not in self._apart.values():
            self._say(f"{job.name} trains alone: {why}")
        self._apart[self.of(job)] = why
