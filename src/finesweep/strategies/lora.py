"""LoRA: low-rank updates beside frozen linear layers (Hu et al. 2022, https://arxiv.org/abs/2106.09685), from peft."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from finesweep.config.fields import Positive, PositiveInt, Probability, component
from finesweep.strategies.anatomy import layer_stacks, match_modules
from finesweep.strategies.peft_method import PeftMethod

if TYPE_CHECKING:
    from torch import nn


@component
class LoRA(PeftMethod):
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

    #: Keys of peft's configuration that a relative of this method sets.
    variant: ClassVar[dict[str, Any]] = {}

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        if not self.target_modules:
            yield "finetune_strategy.target_modules", "is empty, so nothing of the encoder would train. Use frozen."

    def config(self, model: "nn.Module", common: dict[str, Any]) -> Any:
        from peft import LoraConfig

        where, wanted = "finetune_strategy.target_modules", self.target_modules
        patterns = [f"{stack}.*" for stack, _ in layer_stacks(model)] if wanted == ["all"] else wanted
        return LoraConfig(
            **common,
            **self.variant,
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=match_modules(model, patterns, where),
        )
