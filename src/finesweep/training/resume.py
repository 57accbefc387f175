"""Stop at any step and go on from there, as if nothing had been: what a checkpoint of a training holds, and when.

Lightning's own resuming replays an epoch's first order, or sees rows twice (its checkpoints know no batch plan). Here
the plan is a pure function of seed and epoch and the generators are seeded at each batch, so that going on needs the
trainable weights, the optimizer's state, what the callbacks have counted, and the place. Models, tasks and strategies
have no state of their own beside weights and buffers.
"""

import time
from typing import Any

import pytorch_lightning as pl
import torch

from finesweep.config.interrupt import StopRequest
from finesweep.training.assemble import Assembled
from finesweep.training.averaging import Averaging
from finesweep.training.callbacks import Monitor, Selection
from finesweep.training.checkpoint import Checkpoints, load_weights, weights
from finesweep.training.curves import CurveLogger
from finesweep.training.module import FineTuner
from finesweep.training.optimizers import load_optimizer_state, optimizer_state
from finesweep.training.supervision import Supervisor

_MODEL, _OPTIMIZER, _GRADIENT, _AVERAGE = "model.", "optimizer.", "gradient.", "average."
State = dict[str, Any]


class Checkpointer(pl.Callback):
    """Write checkpoints at optimizer steps, every few minutes and before the training stops on a signal.

    It must stand behind the other callbacks, whose state it writes.

    Args:
        identity: what a run has to share with another to go on from its checkpoint: configuration, data, base model.
        minutes: between checkpoints of the whole state; None writes one on a signal only.
    """

    def __init__(
        self,
        work: Assembled,
        checkpoints: Checkpoints,
        identity: dict[str, Any],
        minutes: float | None,
        selection: Selection,
        monitor: Monitor,
        curves: CurveLogger,
        stop: StopRequest,
        supervisor: Supervisor,
        averaging: Averaging,
    ) -> None:
        self._work = work
        self._checkpoints, self._identity, self._minutes = checkpoints, identity, minutes
        self._selection, self._monitor, self._curves, self._stop = selection, monitor, curves, stop
        self._supervisor, self.averaging = supervisor, averaging
        self.before: dict[str, float] = {}  # metrics of the untrained model, which are part of the record
        self.validation_due = False  # before the training goes on
        self.trained = False  # to its end: only the best weights are to be scored still
        self._tensors: dict[str, torch.Tensor] = {}
        self._state: State | None = None  # to be put back when the training starts
        self._gradients: dict[str, torch.Tensor] = {}  # and these with its first batch
        self._batch = self._step = 0
        self._whole_step = False
        self._written = time.monotonic()
        self._validation_began = self._validation_took = 0.0

    # --- when ---------------------------------------------------------------------------------------------------

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, FineTuner)
        self._step = trainer.global_step
        for name in list(self._gradients):
            parameter = pl_module.model.get_parameter(name)
            gradient = self._gradients.pop(name).to(parameter.device)
            if parameter.grad is None:
                parameter.grad = gradient
            else:  # a view, of a run that trains with others
                parameter.grad.copy_(gradient)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batch = batch_idx + 1
        self._whole_step = trainer.global_step > self._step  # else gradients of a part of it are at hand
        assert trainer.val_check_batch is not None
        self.validation_due = self._batch % trainer.val_check_batch == 0
        self._save_if_due(trainer, pl_module, ahead=self._validation_took if self.validation_due else 0.0)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validation_began = time.monotonic()

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if self._stop.number is not None:
            self._save_if_due(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validation_took = time.monotonic() - self._validation_began
        if trainer.state.fn == "fit":
            self.validation_due = False
            self._save_if_due(trainer, pl_module)

    def _save_if_due(self, trainer: pl.Trainer, pl_module: pl.LightningModule, ahead: float = 0.0) -> None:
        """
        Args:
            ahead: seconds of work that come without an opportunity.
        """
        if self.trained or self._state is not None or not self._batch:
            return  # there is nothing that a checkpoint does not hold
        asked = self._stop.number is not None
        waited = time.monotonic() - self._written
        due = self._minutes is not None and waited + ahead >= 60 * self._minutes and self._whole_step
        # Between two steps there are gradients to keep; of several devices each has its own.
        if due or (asked and (self._whole_step or trainer.world_size == 1)):
            self.save(trainer, pl_module)
            self._stop.stop_if_asked()

    # --- what ---------------------------------------------------------------------------------------------------

    def save(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the whole state, or what is still of use of it once the model is trained."""
        assert isinstance(pl_module, FineTuner)
        self._written = time.monotonic()
        if not trainer.is_global_zero:
            return
        self._supervisor.check()
        self.averaging.put_back(pl_module)  # a signal may come while the average is scored
        kept = {}
        if not self.trained or self._selection.value is None:  # else the best weights are what counts
            kept = {_MODEL + name: tensor for name, tensor in weights(pl_module.model, pl_module.trainable()).items()}
        optimizer: State = {}
        if not self.trained:
            kept |= {_AVERAGE + name: tensor for name, tensor in self.averaging.tensors.items()}
            tensors, optimizer = optimizer_state(trainer.optimizers[0])
            kept |= {_OPTIMIZER + name: tensor for name, tensor in tensors.items()}
            if not self._whole_step:
                named = pl_module.model.named_parameters()
                kept |= {_GRADIENT + name: each.grad for name, each in named if each.grad is not None}
        state = {
            "identity": self._identity,
            "epoch": trainer.current_epoch,
            "batch": self._batch,
            "batches": trainer.num_training_batches,
            "step": trainer.global_step,
            "whole_step": self._whole_step,
            "trained": self.trained,
            "validation_due": self.validation_due,
            "before": self.before,
            "selection": self._selection.state_dict(),
            "monitor": self._monitor.state_dict(),
            "curves": list(self._curves.rows.items()),
            "optimizer": optimizer,
            "precision": trainer.precision_plugin.state_dict(),
            "fused": self._work.fused,
        }
        self._checkpoints.save(kept, state, step=trainer.global_step, best=self._selection.step)

    def restore(self, tensors: dict[str, torch.Tensor], state: State, trainer: Any) -> None:
        """Put everything back but the optimizer, which is not there before the training starts."""
        work = self._work
        load_weights(work.tuner.model, _below(tensors, _MODEL))
        self.averaging.load(_below(tensors, _AVERAGE), state["step"], work.tuner)
        work.fused = max(work.fused, state.get("fused", 0))
        self._tensors, self._state = tensors, state
        self._selection.load_state_dict(state["selection"])
        self._monitor.load_state_dict(state["monitor"])
        self._curves.rows = dict(state["curves"])
        self.before, self.validation_due, self.trained = state["before"], state["validation_due"], state["trained"]
        self._batch, self._whole_step = state["batch"], state["whole_step"]
        work.data.done = _place(trainer, state)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._state is None:
            return
        (optimizer,), (config,) = trainer.optimizers, trainer.lr_scheduler_configs
        load_optimizer_state(optimizer, _below(self._tensors, _OPTIMIZER), self._state["optimizer"])
        schedule: Any = config.scheduler
        schedule.last_epoch = trainer.global_step
        schedule._last_lr = [group["lr"] for group in optimizer.param_groups]
        trainer.precision_plugin.load_state_dict(self._state["precision"])
        self._gradients, self._tensors, self._state = _below(self._tensors, _GRADIENT), {}, None


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _place(trainer: Any, state: State) -> tuple[int, int]:
    """Set the trainer's counters to where the training was: the epoch, and how many of its batches are done.

    They are set as after a batch whose validation, if one was due, is done: that is done before the training goes on.
    """
    epoch, batch = state["epoch"], state["batch"]
    if batch == state["batches"]:
        epoch, batch = epoch + 1, 0
    trainer.go_on(epoch, batch, state["step"])
    return epoch, batch
