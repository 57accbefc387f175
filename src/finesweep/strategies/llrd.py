"""Layer-wise learning-rate decay: all trains, lower layers more slowly (Howard and Ruder 2018; Clark et al. 2020)."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from finesweep.config.fields import component
from finesweep.strategies.anatomy import head_parameters, layers_from_top
from finesweep.strategies.base import Strategy

if TYPE_CHECKING:
    from torch import nn


@component
class LayerwiseDecay(Strategy):
    """The head learns at the full rate, the last layer at ``decay`` of it, the one below at its square, and so on
    down to the embeddings (https://arxiv.org/abs/2003.10555, appendix A).

    Attributes:
        decay: factor on the learning rate from one layer to the next below.
    """

    decay: Annotated[float, Field(gt=0, le=1)]

    def trainable(self, model: "nn.Module", epoch: int) -> dict[str, float]:
        factors = {name: self.decay ** (above + 1) for name, above in layers_from_top(model).items()}
        return {**factors, **dict.fromkeys(head_parameters(model), 1.0)}
