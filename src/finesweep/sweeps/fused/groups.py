"""Which jobs of a sweep can train as one: those that differ in numbers alone, and in nothing that decides a shape."""

import json
from typing import Any

from finesweep.config.identity import NO_EFFECT, value_at, without
from finesweep.training.components import Components
from finesweep.training.loggers import CSV
from finesweep.training.optimizers import SGD, AdamW

#: What runs that train as one may have each its own of. The rest of a configuration they share.
OWN = frozenset(
    {
        "finetune_strategy.alpha", "finetune_strategy.decay", "finetune_strategy.dropout", "finetune_strategy.lr",
        "finetune_strategy.r", "model.dropout", "model.learning_rate", "objective", "optimizer.betas", "optimizer.eps",
        "optimizer.lr", "optimizer.momentum", "optimizer.nesterov", "optimizer.weight_decay", "scheduler", "seed",
        "task.label_smoothing", "trainer.early_stopping", "trainer.ema_decay", "trainer.gradient_clip_val",
        "trainer.max_epochs", "trainer.max_steps",
    }
)  # fmt: skip


def group_of(values: dict[str, Any]) -> str:
    """What runs share that can train as one, as text.

    A matrix of rank 1 does not decay, and with a factor of 1 all layers are one group of the optimizer. And where
    dropouts are not set a model has several.
    """
    strategy = values["finetune_strategy"]
    kinds = [strategy.get("r") == 1, strategy.get("decay") == 1, value_at(values, "model.dropout") is None]
    return json.dumps([without(values, OWN | NO_EFFECT), kinds], sort_keys=True, default=str)


def apart(values: dict[str, Any]) -> str:
    """Why a run cannot train with others, as far as its configuration tells; empty if it can."""
    parts = Components.of(values)
    trainer = parts.trainer
    reasons = {
        f"trainer.devices is {trainer.devices}": trainer.devices > 1,
        "trainer.compile is set": trainer.compile is not None,
        "16-mixed scales the losses of all runs by what one of them overflows at": trainer.precision == "16-mixed",
        "data.batch_size=auto is for one run": parts.data.batch_size == "auto",
        f"{parts.task.name} hides another part of each batch": parts.task.hides,
        f"{parts.strategy.name} trains other parts in other epochs": parts.strategy.changes,
        f"no optimizer for several runs is known for {value_at(values, 'optimizer._target_')}": (
            type(parts.optimizer) not in (AdamW, SGD)
        ),
        "a mirror of curves knows one run at a time": type(parts.logger) is not CSV,
    }
    return next((why for why, holds in reasons.items() if holds), "")
