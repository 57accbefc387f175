"""Partial fine-tuning: the last layers and the head train, what lies below is frozen."""

from typing import TYPE_CHECKING

from finesweep.config.fields import NonNegativeInt, component
from finesweep.strategies.anatomy import head_parameters, top_layer_parameters
from finesweep.strategies.base import Strategy

if TYPE_CHECKING:
    from torch import nn


@component
class TopLayers(Strategy):
    """Train the top of the encoder.

    Attributes:
        layers: how many layers train, counted from the top; 0 is the same as frozen.
    """

    layers: NonNegativeInt

    def trainable(self, model: "nn.Module", epoch: int) -> dict[str, float]:
        return dict.fromkeys([*top_layer_parameters(model, self.layers), *head_parameters(model)], 1.0)
