"""Learning-rate schedules as pure functions of the step, so that a resumed run needs no state for them."""

import math
from abc import ABC, abstractmethod

from finesweep.config.fields import Fraction, component


@component
class Schedule(ABC):
    """Linear warm-up over a fraction of all optimizer steps, then the decay that a subclass gives.

    Attributes:
        warmup_fraction: of all optimizer steps, between 0 and 1.
    """

    warmup_fraction: Fraction

    def factor(self, step: int, total: int) -> float:
        """The factor on the learning rate at optimizer step ``step`` (from 0) of ``total``."""
        warmup = math.ceil(self.warmup_fraction * total)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return self.decay((step - warmup) / max(1, total - warmup))

    @abstractmethod
    def decay(self, progress: float) -> float:
        """The factor after the warm-up, ``progress`` going from 0 to 1."""


@component
class Linear(Schedule):
    """To zero in a straight line."""

    def decay(self, progress: float) -> float:
        return max(0.0, 1.0 - progress)


@component
class Cosine(Schedule):
    """To zero along half a cosine (Loshchilov and Hutter 2017, without restarts)."""

    def decay(self, progress: float) -> float:
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


@component
class Constant(Schedule):
    """No decay."""

    def decay(self, progress: float) -> float:
        return 1.0
