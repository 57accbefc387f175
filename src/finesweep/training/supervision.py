"""What a run tells whoever started it, and what it is told: a sweep shows the one and decides the other."""

import time
from typing import Any, Protocol

import pytorch_lightning as pl

from finesweep.training.module import FineTuner

#: Seconds between two reports of progress.
_EVERY = 0.5


class Supervisor(Protocol):
    """Whoever started a run."""

    def check(self) -> None:
        """Called before anything is written down.

        Raises:
            LostError: the run belongs to another process by now.
        """
        ...

    def progress(self, step: int, steps: int, epoch: int) -> None:
        """Optimizer steps done, of how many, and the epoch, counted from 1."""
        ...

    def validated(self, number: int, epoch: int, value: float) -> None:
        """The objective of a validation, counted from 1.

        Raises:
            PrunedError: the run is not worth going on with.
        """
        ...


class Unsupervised:
    """Nobody listens."""

    def check(self) -> None:
        """Nothing."""

    def progress(self, step: int, steps: int, epoch: int) -> None:
        """Nothing."""

    def validated(self, number: int, epoch: int, value: float) -> None:
        """Nothing."""


class Progress(pl.Callback):
    """Tell a supervisor how far the training is."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor, self._told = supervisor, 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, FineTuner)
        if time.monotonic() - self._told > _EVERY:
            self._told = time.monotonic()
            self._supervisor.progress(trainer.global_step, pl_module.total_steps, trainer.current_epoch + 1)
