"""What a run leaves to whoever trains it. Between two such turns it does everything else, whoever that is.

A run is a generator of turns, so that one can wait for others and train side by side with them.
"""

from collections.abc import Generator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import pytorch_lightning as pl

from finesweep.config.errors import TrainingError, UserError
from finesweep.config.interrupt import StopRequest
from finesweep.results.environment import PeakMemory
from finesweep.training.assemble import Assembled, assemble
from finesweep.training.components import Components
from finesweep.training.cpu import fast_cpu
from finesweep.training.lightning import lightning_trainer
from finesweep.training.settings import TrainerSettings

T = TypeVar("T")


@dataclass(frozen=True)
class Turn:
    """Fit the model, or score a split."""

    what: Literal["fit", "validation", "test"]
    trainer: Any
    work: Assembled


class Hands(Protocol):
    """Whoever trains a run.

    Attributes:
        stop: holds signals back while there is more to save than a checkpoint has.
        memory: what the training takes, or that of several.
        threads: of the CPU, where no run has a say in it.
    """

    stop: StopRequest
    memory: PeakMemory
    threads: int | None

    def assemble(self, parts: Components, batch: dict[str, int]) -> Assembled:
        """What the training works with, see :func:`assemble`."""
        ...

    def trainer(self, work: Assembled, loggers: list[Any], callbacks: list[pl.Callback], folder: Path) -> Any:
        """What the callbacks see of the training."""
        ...

    def out_of_memory(self) -> UserError:
        """What it means that there was not enough."""
        ...


class Alone:
    """Lightning trains one run."""

    threads: int | None = None

    def __init__(self, settings: TrainerSettings) -> None:
        # Of several devices the first is told to stop by who started it, which may have been told more than once.
        self.stop = StopRequest(impatient=settings.devices == 1)
        self.memory = PeakMemory()
        self.assemble, self.trainer = assemble, lightning_trainer
        self._on_cpu = settings.accelerator == "cpu"

    def out_of_memory(self) -> UserError:
        remedy = "data.batch_size=auto finds a batch that fits, trainer.gradient_checkpointing=true needs less"
        return TrainingError("the GPU ran out of memory", where="training", remedy=remedy)

    def take(self, turns: Generator[Turn, None, T]) -> T:
        """Take the turns as they come; what the run returns."""
        with fast_cpu() if self._on_cpu else nullcontext():
            try:
                turn = next(turns)
                while True:
                    try:
                        self._take(turn)
                    except BaseException as error:
                        turn = turns.throw(error)
                    else:
                        turn = next(turns)
            except StopIteration as end:
                value: T = end.value
                return value

    def _take(self, turn: Turn) -> None:
        tuner, data, trainer = turn.work.tuner, turn.work.data, turn.trainer
        if turn.what == "fit":
            trainer.fit(tuner, datamodule=data)
        else:
            score = trainer.validate if turn.what == "validation" else trainer.test
            score(tuner, datamodule=data, verbose=False)
