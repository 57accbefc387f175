"""LoRA: low-rank updates beside frozen linear layers (Hu et al. 2022, https://arxiv.org/abs/2106.09685), from peft."""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from finesweep.config.fields import Positive, PositiveInt, Probability, component
from finesweep.strategies.base import Purpose, Strategy, head_modules, layer_stack, match_modules

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


@component
class LoRA(Strategy):
    """Train ``B A`` of rank ``r`` beside chosen linear layers, and the whole head.

    Attributes:
        r: rank of the update.
        alpha: the update is scaled by ``alpha / r``.
        dropout: on the input of the update.
        target_modules: endings of the linear layers' names; ``[all]`` takes every one in the stack of layers.
    """

    r: PositiveInt
    alpha: Positive
    dropout: Probability
    target_modules: list[str]

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        del cfg
        if not self.target_modules:
            yield "finetune_strategy.target_modules", "is empty, so nothing of the encoder would train. Use frozen."

    def apply(self, model: "nn.Module", purpose: Purpose) -> "nn.Module":
        from peft import LoraConfig, get_peft_model  # takes seconds, and only this strategy needs it

        config = LoraConfig(
            task_type=purpose.peft_type,
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=self._targets(model),
            # Without its name here peft would neither train nor save a new head.
            modules_to_save=head_modules(model) if purpose.new_head else None,
        )
        # The adapter fits the weights that it was trained on, not what a branch of the hub will hold one day.
        commit = getattr(model.config, "_commit_hash", None)
        with warnings.catch_warnings():  # peft asks transformers 5 by a name that is to go
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing. is deprecated")
            return get_peft_model(model, config, revision=commit)

    def _targets(self, model: "nn.Module") -> list[str]:
        where = "finetune_strategy.target_modules"
        if self.target_modules == ["all"]:
            stack, _ = layer_stack(model)
            return match_modules(model, [f"{stack}.*"], where)
        return match_modules(model, self.target_modules, where)

    def trainable(self, model: "nn.Module", epoch: int) -> dict[str, float]:
        del epoch
        parts = (".lora_", ".modules_to_save.")
        return {name: 1.0 for name, _ in model.named_parameters() if any(part in name for part in parts)}

    def finished(self, model: "nn.Module", folder: "Path", base_is_pretrained: bool) -> "nn.Module":
        """The base with the update added to its weights; the adapter itself goes into ``adapter/`` for peft."""
        peft_model: Any = model
        if base_is_pretrained:
            # The vocabulary is as it was; left to itself, peft would ask the hub about it.
            peft_model.save_pretrained(folder / "adapter", save_embedding_layers=False)
        return peft_model.merge_and_unload()
