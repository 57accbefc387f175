"""What watches a training: choose the best weights, stop early, catch a loss that is not a number, keep time."""

import math
import time
from typing import Any

import pytorch_lightning as pl
import torch

from finesweep.config.errors import TrainingError
from finesweep.config.schema import Objective
from finesweep.training.checkpoint import Checkpoints, weights
from finesweep.training.module import FineTuner
from finesweep.training.settings import EarlyStopping
from finesweep.training.supervision import Supervisor


class Selection(pl.Callback):
    """Keep the weights of the best validation, and stop when no better one has come for a while.

    Args:
        checkpoints: where the best trainable weights are written.
        supervisor: is told of each validation, and may stop the run.
    """

    def __init__(
        self, objective: Objective, stopping: EarlyStopping, checkpoints: Checkpoints, supervisor: Supervisor
    ) -> None:
        self.objective, self.stopping, self.checkpoints = objective, stopping, checkpoints
        self._supervisor = supervisor
        self.validations = 0
        self.value: float | None = None
        self._to_beat: float | None = None
        self.epoch = self.step = self._epoch = 0
        self.waited = 0
        self.last_step = -1

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch = trainer.current_epoch + 1  # which counts on when max_steps ends an epoch

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit":
            self.consider(trainer, pl_module)

    def consider(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the validation that was just done into account."""
        assert isinstance(pl_module, FineTuner)
        assert pl_module.outcome is not None
        value = pl_module.outcome.metrics[self.objective.metric]
        self.last_step = trainer.global_step
        self.validations += 1
        self._supervisor.check()
        if self._better(value, self.value, 0.0):
            self.value, self.epoch, self.step = value, self._epoch, trainer.global_step
            if trainer.is_global_zero:
                self.checkpoints.save_best(weights(pl_module.model, pl_module.trainable()), self.step)
        # Many small gains add up to a large one, so patience is measured from the last that was large enough.
        if self._better(value, self._to_beat, self.stopping.min_delta):
            self._to_beat, self.waited = value, 0
        else:
            self.waited += 1
        if self.stopped:
            trainer.should_stop = True
        self._supervisor.validated(self.validations, self._epoch, value)

    @property
    def stopped(self) -> bool:
        """Whether there were as many validations without a better one as there may be."""
        return self.stopping.patience is not None and self.waited >= self.stopping.patience

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._STATE}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in self._STATE:
            setattr(self, name, state_dict[name])

    _STATE = ("value", "_to_beat", "epoch", "step", "_epoch", "waited", "last_step", "validations")

    def _better(self, value: float, than: float | None, margin: float) -> bool:
        if math.isnan(value):
            return False
        if than is None:
            return True
        gain = value - than if self.objective.direction == "maximize" else than - value
        return gain > margin


class Monitor(pl.Callback):
    """Log the training loss and the learning rate, keep time, and stop at a loss that is not a number.

    Nothing here waits for the device but every ``log_every_n_steps`` steps.
    """

    def __init__(self, log_every_n_steps: int) -> None:
        self._every = log_every_n_steps
        self.train_seconds = 0.0
        self.tokens = self.positions = self.samples = 0
        self.loss = math.nan
        self._clock = 0.0
        self._summed: list[torch.Tensor] = []
        self._weights: list[torch.Tensor] = []
        self._steps: list[int] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._clock = _seconds(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._log(trainer, pl_module)  # which waits for the device
        self._pause(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._clock = _seconds(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._log(trainer, pl_module)  # which waits for the device
        self._pause(trainer)

    def _pause(self, trainer: pl.Trainer) -> None:
        if trainer.state.fn == "fit":
            now = _seconds(trainer)
            self.train_seconds += now - self._clock
            self._clock = now

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._steps.append(trainer.global_step + 1)  # the optimizer step that the batch is for

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.tokens += batch["tokens"]
        self.positions += batch["positions"]
        self.samples += batch["rows"]
        self._summed.append(outputs["summed"].float())
        self._weights.append(outputs["weight"].float())
        taken = trainer.global_step == self._steps[-1]  # not yet where gradients add up over more batches
        if taken and trainer.global_step % self._every == 0:
            self._log(trainer, pl_module)

    def _log(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the losses since the last time."""
        assert isinstance(pl_module, FineTuner)
        if not self._summed:
            return
        summed, weight = torch.stack(self._summed), torch.stack(self._weights)
        step = trainer.global_step
        finite = summed.isfinite()
        if not bool(finite.all()):
            bad = self._steps[int((~finite).nonzero()[0])]
            rate = pl_module.learning_rate(bad - 1)
            raise TrainingError(
                f"the loss is not a number at step {bad} (epoch {trainer.current_epoch + 1}); "
                f"the last learning rate was {rate:.3g}",
                where="training",
                remedy="lower optimizer.lr, set trainer.gradient_clip_val, or use trainer.precision=32-true",
            )
        self.loss = float(summed.sum() / weight.sum().clamp(min=1))
        self._summed, self._weights, self._steps = [], [], []
        for logger in trainer.loggers:
            logger.log_metrics({"train/loss": self.loss, "lr": pl_module.learning_rate(max(0, step - 1))}, step)

    def state_dict(self) -> dict[str, Any]:
        """What was counted so far, and the losses that no row of the curve holds yet."""
        state = {name: getattr(self, name) for name in self._STATE}
        pending = {name: torch.stack(getattr(self, name)).tolist() for name in self._PENDING if getattr(self, name)}
        return {**state, **pending, "_steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in (*self._STATE, "_steps"):
            setattr(self, name, state_dict[name])
        for name in self._PENDING:
            setattr(self, name, [torch.tensor(value) for value in state_dict.get(name, [])])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for name in self._PENDING:  # what a checkpoint brought back is not on the device yet
            setattr(self, name, [value.to(pl_module.device) for value in getattr(self, name)])

    _STATE = ("train_seconds", "tokens", "positions", "samples", "loss")
    _PENDING = ("_summed", "_weights")

    def timing(self, world_size: int) -> dict[str, float]:
        """Seconds of optimisation (validation left out), speed on all devices, sub-words seen, share of padding."""
        seconds = max(self.train_seconds, 1e-9) / world_size
        return {
            "train_seconds": round(self.train_seconds, 3),
            "samples_per_second": round(self.samples / seconds, 2),
            "tokens_per_second": round(self.tokens / seconds, 1),
            "tokens_seen": self.tokens * world_size,
            "padding_fraction": round(1 - self.tokens / self.positions, 4) if self.positions else 0.0,
        }


def _seconds(trainer: Any) -> float:
    """The time, or that of a trainer which has to wait for others."""
    return float(getattr(trainer, "seconds", time.perf_counter()))
