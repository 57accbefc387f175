"""Spaces in which one key depends on another, and a task that cannot be scored."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import Trial

from finesweep.config.fields import component
from finesweep.results.tables import Scores
from finesweep.tasks.base import Row
from finesweep.tasks.token_classification import TokenClassification


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


@component
class Unscored(TokenClassification):
    """A task whose score is no number."""

    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        found = super().score(rows, predictions, loss)
        found.metrics["f1"] = float("nan")
        return found
