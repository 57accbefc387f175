"""A space in which one key depends on another."""

from collections.abc import Mapping
from typing import Any

from optuna.trial import Trial


def by_strategy(trial: Trial, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The rank of LoRA, where there is LoRA."""
    if chosen["finetune_strategy"] == "lora":
        return {"finetune_strategy.r": trial.suggest_int("r", 2, 4)}
    return {}


def broken(trial: Trial, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """A mistake."""
    del trial
    return {"optimizer.lr": chosen["nothing"]}


def half_wrong(trial: Trial, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Something that cannot be trained, for one of two strategies."""
    del trial
    return {"trainer.max_epochs": 0 if chosen["finetune_strategy"] == "frozen" else 1}
