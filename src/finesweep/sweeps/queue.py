"""Jobs that are to begin."""

import math
from collections import deque
from collections.abc import Iterator

from finesweep.sweeps.kinds import Kinds
from finesweep.sweeps.plan import Job
from finesweep.sweeps.source import Source


class Queue:
    """First those that wait, and then what the source has.

    Attributes:
        again: that have begun, and are to do so once more.
    """

    def __init__(self, source: Source, kinds: Kinds) -> None:
        self._source, self._kinds = source, kinds
        self.again: deque[Job] = deque()
        #: Of other kinds than those that trained as one when they came.
        self._held: deque[Job] = deque()

    def __bool__(self) -> bool:
        return bool(self.again or self._held or not self._source.exhausted)

    def next(self) -> Job | None:
        """A job to be done now, if there is one."""
        for waiting in (self.again, self._held):
            if waiting:
                return waiting.popleft()
        return self._source.next()

    def alike(self, kind: str, ahead: int) -> Iterator[Job]:
        """Jobs of a kind. What comes from the source and is of another one waits.

        Args:
            ahead: so many may be asked for of a source that makes them, those that wait among them.
        """
        for waiting in (self.again, self._held):
            for job in [job for job in waiting if self._kinds.of(job) == kind]:
                waiting.remove(job)
                yield job
        left = math.inf if self._source.ready else ahead - len(self._held)
        while left > 0 and (new := self._source.next()) is not None:
            left -= 1
            if self._kinds.of(new) == kind:
                yield new
            else:
                self._held.append(new)
