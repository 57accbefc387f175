"""Gradual unfreezing: the head first, then layer by layer from the top (Howard and Ruder 2018)."""

from typing import TYPE_CHECKING, ClassVar

from finesweep.config.fields import NonNegativeInt, PositiveInt, component
from finesweep.strategies.anatomy import head_parameters, layer_stacks, top_layer_parameters
from finesweep.strategies.base import Strategy

if TYPE_CHECKING:
    from torch import nn


@component
class GradualUnfreeze(Strategy):
    """See https://arxiv.org/abs/1801.06146. The optimizer holds from the start what trains in the last epoch.

    Attributes:
        start: top layers that train in the first epoch, beside the head.
        step: layers that join each time.
        every: epochs from one time to the next.
    """

    start: NonNegativeInt
    step: PositiveInt
    every: PositiveInt

    changes: ClassVar[bool] = True

    def trainable(self, model: "nn.Module", epoch: int) -> dict[str, float]:
        heads = head_parameters(model)
        layers = self.start + self.step * (epoch // self.every)
        if not heads:  # a tied head is no head of its own: there the last layer comes first
            layers = max(1, layers)
        if layers > max(depth for _, depth in layer_stacks(model)):  # after the lowest layer come the embeddings
            return {name: 1.0 for name, _ in model.named_parameters()}
        return dict.fromkeys([*top_layer_parameters(model, layers), *heads], 1.0)
