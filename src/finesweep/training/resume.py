"""Stop at any step and go on from there, as if nothing had been: what a checkpoint of a training holds, and when.

Lightning's own resuming replays an epoch's first order, or sees rows twice (its checkpoints know no batch plan). Here
the plan is a pure function of seed and epoch and the generators are seeded at each batch, so that going on needs the
trainable weights, the optimizer's state, what the callbacks have counted, and the place.
"""

import time
from typing import Any

import pytorch_lightning as pl
import torch

from finesweep.config.interrupt import StopRequest
from finesweep.training.assemble import Assembled
from finesweep.training.callbacks import Monitor, Selection
from finesweep.training.checkpoint import Checkpoints, load_weights, weights
from finesweep.training.curves import CurveLogger
from finesweep.training.module import FineTuner

_MODEL, _OPTIMIZER = "model.", "optimizer."
State = dict[str, Any]


class Checkpointer(pl.Callback):
    """Write checkpoints at optimizer steps, every few minutes and before the training stops on a signal.

    It must stand behind the other callbacks, whose state it writes.

    Args:
        identity: what a run has to share with another to go on from its checkpoint: configuration, data, base model.
        minutes: between checkpoints; None writes one on a signal only.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        identity: dict[str, Any],
        minutes: float | None,
        selection: Selection,
        monitor: Monitor,
        curves: CurveLogger,
        stop: StopRequest,
    ) -> None:
        self._checkpoints, self._identity, self._minutes = checkpoints, identity, minutes
        self._selection, self._monitor, self._curves, self._stop = selection, monitor, curves, stop
        self.before: dict[str, float] = {}  # metrics of the untrained model, which are part of the record
        self.validation_due = False  # before a resumed training goes on
        self._optimizer: dict[str, torch.Tensor] | None = None
        self._precision: dict[str, Any] = {}
        self._batch = self._step = 0
        self._whole_step = False
        self._written = time.monotonic()

    # --- when ---------------------------------------------------------------------------------------------------

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._optimizer is not None:
            self._restore_optimizer(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop.listen_again()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop.listen_again()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batch = batch_idx + 1
        self._whole_step = trainer.global_step > self._step  # else gradients of a part of it are at hand
        self._save_if_due(trainer, pl_module)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if self._stop.number is not None:
            self._save_if_due(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._save_if_due(trainer, pl_module)

    def _save_if_due(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit" or not self._whole_step:
            return
        due = self._minutes is not None and time.monotonic() - self._written >= 60 * self._minutes
        if due or self._stop.number is not None:
            if trainer.is_global_zero:
                self._save(trainer, pl_module)
            self._written = time.monotonic()
            self._stop.stop_if_asked()

    # --- what ---------------------------------------------------------------------------------------------------

    def _save(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, FineTuner)
        assert trainer.val_check_batch is not None
        (optimizer,) = trainer.optimizers
        kept = {_MODEL + name: tensor for name, tensor in weights(pl_module.model, pl_module.trainable()).items()}
        for name, parameter in _names(optimizer).items():
            for key, value in optimizer.state.get(parameter, {}).items():
                if value is not None:  # momentum that there is none of
                    kept[f"{_OPTIMIZER}{name}.{key}"] = torch.as_tensor(value)
        validated = self._selection.last_step == trainer.global_step
        state = {
            "identity": self._identity,
            "epoch": trainer.current_epoch,
            "batch": self._batch,
            "batches": trainer.num_training_batches,
            "step": trainer.global_step,
            "validation_due": not validated and self._batch % trainer.val_check_batch == 0,
            "before": self.before,
            "selection": self._selection.state_dict(),
            "monitor": self._monitor.state_dict(),
            "curves": list(self._curves.rows.items()),
            "precision": trainer.precision_plugin.state_dict(),
        }
        self._checkpoints.save(kept, state, step=trainer.global_step, best=self._selection.step)

    def restore(self, tensors: dict[str, torch.Tensor], state: State, trainer: pl.Trainer, work: Assembled) -> None:
        """Put everything back but the optimizer, which is not there before the training starts."""
        load_weights(work.tuner.model, _below(tensors, _MODEL))
        self._optimizer, self._precision = _below(tensors, _OPTIMIZER), state["precision"]
        self._selection.load_state_dict(state["selection"])
        self._monitor.load_state_dict(state["monitor"])
        self._curves.rows = dict(state["curves"])
        self.before, self.validation_due = state["before"], state["validation_due"]
        self._batch, self._whole_step = state["batch"], True
        work.data.done = _place(trainer, state)

    def _restore_optimizer(self, trainer: pl.Trainer) -> None:
        (optimizer,) = trainer.optimizers
        assert self._optimizer is not None
        for name, parameter in _names(optimizer).items():
            own = _below(self._optimizer, f"{name}.")
            if own:
                optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in own.items()}
        (config,) = trainer.lr_scheduler_configs
        schedule: Any = config.scheduler
        schedule.last_epoch = trainer.global_step
        rates = zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)
        schedule._last_lr = [rate * factor(schedule.last_epoch) for rate, factor in rates]
        for group, rate in zip(optimizer.param_groups, schedule._last_lr, strict=True):
            group["lr"] = rate
        trainer.precision_plugin.load_state_dict(self._precision)
        self._optimizer = None


def _names(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Each parameter of an optimizer by its name, see :func:`finesweep.training.optimizers.parameter_groups`."""
    return {
        name: parameter
        for group in optimizer.param_groups
        for name, parameter in zip(group["names"], group["params"], strict=True)
    }


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _place(trainer: pl.Trainer, state: State) -> tuple[int, int]:
    """Set Lightning's counters to where the training was: the epoch, and how many of its batches are done.

    They are set as after a batch whose validation, if one was due, is done: that is done before the training goes on.
    """
    epoch, batch = state["epoch"], state["batch"]
    if batch == state["batches"]:
        epoch, batch = epoch + 1, 0
    fit: Any = trainer.fit_loop
    loop = fit.epoch_loop
    for epochs in (fit.epoch_progress.total, fit.epoch_progress.current):
        epochs.ready = epochs.started = epochs.processed = epochs.completed = epoch
    steps = loop.automatic_optimization.optim_progress.optimizer.step
    for counter in (steps.total, steps.current):
        counter.ready = counter.completed = state["step"]
    if batch:
        for batches in (loop.batch_progress.total, loop.batch_progress.current):
            batches.ready = batches.started = batches.processed = batches.completed = batch
        loop.restarting = True
    return epoch, batch
