"""A bar for each run on a terminal, and a line for each validation wherever the output goes."""

import math
import time
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from finesweep.training.callbacks import Monitor
from finesweep.training.module import FineTuner

#: Redraws a second; a bar that is drawn at every step costs more than a step of a small model.
_REDRAWS = 4


class ProgressBar(pl.Callback):
    """Step, epoch, loss and the objective of the last validation.

    Args:
        title: what the run is called, for instance by the overrides that set it apart in a sweep.
        metric: the objective's metric.
    """

    def __init__(self, title: str, metric: str, monitor: Monitor) -> None:
        self._title, self._metric, self._monitor = title, metric, monitor
        self._console = Console(stderr=True)
        self._bar: Progress | None = None
        self._drawn = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
            console=self._console,
            auto_refresh=False,
        )
        assert isinstance(pl_module, FineTuner)
        self._task = self._bar.add_task(self._title, total=pl_module.total_steps, state="")
        self._bar.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is not None and time.monotonic() - self._drawn > 1 / _REDRAWS:
            self._drawn = time.monotonic()
            self._update(trainer.global_step)
            self._bar.refresh()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._bar is None or trainer.state.fn != "fit":
            return
        assert isinstance(pl_module, FineTuner)
        assert pl_module.outcome is not None
        value = pl_module.outcome.metrics[self._metric]
        self._update(trainer.global_step)
        self._bar.console.print(
            f"  epoch {trainer.current_epoch + 1}  step {trainer.global_step}  "
            f"loss {self._monitor.loss:.4f}  val/{self._metric} {value:.4f}",
            highlight=False,
        )

    def _update(self, step: int) -> None:
        if self._bar is not None:
            loss = self._monitor.loss
            state = "" if math.isnan(loss) else f"loss {loss:.4f}"  # not known before it is first looked at
            self._bar.update(self._task, completed=step, state=state)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.refresh()
            self._bar.stop()
            self._bar = None
