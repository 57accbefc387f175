"""Lightning's trainer, set up for a run."""

import logging
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from finesweep.training.assemble import Assembled
from finesweep.training.components import Components

#: Hints of Lightning's that do not fit here: batches are small and ready, loaders reloaded on purpose.
_HINTS = (
    "in eval mode at the start of training",
    "does not have many workers",
    "The number of training batches",
    "Experiment logs directory",
    "isinstance\\(tree",
    "You're resuming from a checkpoint that ended before the epoch ended",  # the data module knows where to go on
)


class Trainer(pl.Trainer):
    """Lightning's trainer, which can begin anywhere."""

    def go_on(self, epoch: int, batch: int, step: int) -> None:
        """Set the counters: so many epochs, batches of the next and optimizer steps are done."""
        fit: Any = self.fit_loop
        loop = fit.epoch_loop
        for epochs in (fit.epoch_progress.total, fit.epoch_progress.current):
            epochs.ready = epochs.started = epochs.processed = epochs.completed = epoch
        steps = loop.automatic_optimization.optim_progress.optimizer.step
        for counter in (steps.total, steps.current):
            counter.ready = counter.completed = step
        if batch:
            for batches in (loop.batch_progress.total, loop.batch_progress.current):
                batches.ready = batches.started = batches.processed = batches.completed = batch
            loop.restarting = True


def lightning_trainer(work: Assembled, loggers: list[Any], callbacks: list[pl.Callback], folder: Path) -> Trainer:
    """The trainer of a run, whose loop is Lightning's; checkpoints, progress and signals are not."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for hint in _HINTS:
        warnings.filterwarnings("ignore", message=f".*{hint}.*")
    settings = work.parts.trainer
    # Uninitialised memory is never read here, and filling it costs time in every operation.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    trainer = Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy="auto" if settings.devices == 1 else _distributed(work.parts),
        precision=settings.precision,  # type: ignore[arg-type]
        max_epochs=settings.max_epochs,
        max_steps=settings.max_steps if settings.max_steps is not None else -1,
        gradient_clip_val=settings.gradient_clip_val,
        accumulate_grad_batches=settings.accumulate_grad_batches,
        val_check_interval=settings.val_check_interval,
        deterministic=settings.deterministic,
        logger=loggers,
        callbacks=callbacks,
        default_root_dir=folder,
        log_every_n_steps=settings.log_every_n_steps,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
    )
    # It would take SIGTERM over, and with several devices wait in the handler for the others.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


def _distributed(parts: Components) -> str:
    """DDP, told to expect parameters without a gradient where not all that train some time do so from the start."""
    return "ddp_find_unused_parameters_true" if parts.strategy.changes else "ddp"
