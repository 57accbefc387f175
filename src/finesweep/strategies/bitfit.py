"""BitFit: the biases and the head train (Ben Zaken et al. 2022, https://arxiv.org/abs/2106.10199)."""

from typing import TYPE_CHECKING

from finesweep.config.errors import UserError
from finesweep.config.fields import component
from finesweep.strategies.anatomy import head_parameters, in_body
from finesweep.strategies.base import Strategy

if TYPE_CHECKING:
    from torch import nn


@component
class BitFit(Strategy):
    """A thousandth of the parameters, and nothing is put into the model."""

    def trainable(self, model: "nn.Module", epoch: int) -> dict[str, float]:
        biases = [name for name, _ in model.named_parameters() if name.endswith("bias") and in_body(model, name)]
        if not biases:
            raise UserError(
                f"{type(model).__name__} has no biases", where="finetune_strategy", remedy="use lora or top_layers"
            )
        return dict.fromkeys([*biases, *head_parameters(model)], 1.0)
