"""IA3: a learned factor on keys, values and inner activations (Liu et al. 2022, https://arxiv.org/abs/2205.05638)."""

from typing import TYPE_CHECKING, Any

from finesweep.config.fields import component
from finesweep.strategies.anatomy import match_modules
from finesweep.strategies.peft_method import PeftMethod

if TYPE_CHECKING:
    from torch import nn


@component
class IA3(PeftMethod):
    """From peft. Of both lists those endings count that the model has; one at least of each.

    Attributes:
        target_modules: linear layers whose output is scaled: keys and values.
        feedforward_modules: linear layers whose input is scaled: the second of each feed-forward block.
    """

    target_modules: list[str]
    feedforward_modules: list[str]

    def config(self, model: "nn.Module", common: dict[str, Any]) -> Any:
        from peft import IA3Config

        scaled, inner = (
            match_modules(model, getattr(self, name), f"finetune_strategy.{name}", every=False)
            for name in ("target_modules", "feedforward_modules")
        )
        return IA3Config(**common, target_modules=[*scaled, *inner], feedforward_modules=inner)

    def merged(self, peft_model: Any) -> "nn.Module":
        # peft's own unloading fails for IA3 where a head has more than one layer.
        peft_model.merge_adapter()
        base = peft_model.get_base_model()
        for name, module in list(base.named_modules()):
            saved = getattr(module, "modules_to_save", None)
            inner = saved[peft_model.active_adapter] if saved is not None else getattr(module, "base_layer", None)
            if inner is not None:
                base.set_submodule(name, inner)
        return base
