"""Full fine-tuning: every parameter trains."""

from typing import TYPE_CHECKING

from finesweep.config.fields import component
from finesweep.strategies.base import Strategy

if TYPE_CHECKING:
    from torch import nn


@component
class Full(Strategy):
    """Encoder and head train together."""

    def trainable(self, model: "nn.Module", epoch: int) -> dict[str, float]:
        return {name: 1.0 for name, _ in model.named_parameters()}
