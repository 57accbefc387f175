"""What the tests of strategies share: a strategy on a tiny encoder, a batch, a few steps of training."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from finesweep.config.check import check
from finesweep.config.compose import compose, hydra_session
from finesweep.config.instantiate import build

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def of_text(logits: Any, batch: dict[str, Any]) -> Any:
    """Logits without those of virtual tokens before the text."""
    return logits[:, -batch["input_ids"].size(1) :]


@dataclass
class SetUp:
    """A strategy and the model it was applied to; ``folder`` is the encoder's."""

    strategy: Any
    optimizer: Any
    model: Any
    folder: Path

    def prepare(self) -> dict[str, float]:
        """Freeze and set the modes as an epoch of training does; what trains."""
        from finesweep.strategies.base import freeze, set_modes

        trainable = self.strategy.trainable(self.model, 0)
        freeze(self.model, trainable)
        set_modes(self.model)
        return trainable

    def train(self, batch: dict[str, Any], steps: int = 3) -> None:
        """A few optimizer steps on one batch."""
        import torch
        from torch.nn.functional import cross_entropy

        from finesweep.training.optimizers import parameter_groups

        groups = parameter_groups(self.model, self.prepare(), self.optimizer)
        optimizer = self.optimizer.build(groups)
        target = batch["input_ids"] % len(LABELS)
        for step in range(steps):
            torch.manual_seed(step)
            logits = of_text(self.model(**batch).logits, batch)
            cross_entropy(logits.flatten(0, 1), target.flatten()).backward()
            optimizer.step()
            optimizer.zero_grad()

    def logits(self, batch: dict[str, Any], model: Any = None) -> Any:
        """Logits (batch, seq, labels) in evaluation mode, of this model or another."""
        import torch

        with torch.inference_mode():
            return of_text((self.model if model is None else model).eval()(**batch).logits, batch)


@cache
def _components(*overrides: str) -> tuple[dict[str, Any], Any, Any, Any]:
    """Values of the model group, and the built task, strategy and optimizer."""
    with hydra_session() as hydra:
        values = check(compose(hydra, ["model=bert_base", *overrides]))
    model = {key: value for key, value in values["model"].items() if key != "_target_"}
    return model, *(build(values[group], []) for group in ("task", "finetune_strategy", "optimizer"))


@pytest.fixture(scope="session")
def set_up(encoder_folder: Callable[[str], Path]) -> Callable[..., SetUp]:
    """``set_up("bert", "lora", "finetune_strategy.r=4")``: the strategy applied to an encoder of that shape."""
    import torch

    from finesweep.models.pretrained import PretrainedModel
    from finesweep.strategies.base import Purpose

    def make(shape: str, strategy: str, *overrides: str, apply: bool = True) -> SetUp:
        values, task, chosen, optimizer = _components(f"finetune_strategy={strategy}", *overrides)
        folder = encoder_folder(shape)
        torch.manual_seed(0)
        pretrained = PretrainedModel(**(values | {"name_or_path": str(folder), "pretrained": True}))
        model = pretrained.load(task, LABELS, 32).model
        return SetUp(
            chosen, optimizer, chosen.apply(model, Purpose(task.peft_type, task.new_head)) if apply else model, folder
        )

    return make


@pytest.fixture(scope="session")
def batch() -> dict[str, Any]:
    """Two rows, the second with padding: ``input_ids`` and ``attention_mask`` (2, 9)."""
    import torch

    ids = torch.randint(5, 500, (2, 9), generator=torch.Generator().manual_seed(7))
    mask = torch.ones_like(ids)
    ids[1, 6:], mask[1, 6:] = 0, 0
    return {"input_ids": ids, "attention_mask": mask}
