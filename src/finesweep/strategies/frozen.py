"""Frozen encoder: the head alone trains, on the states of an encoder that stays as it is (feature extraction)."""

from typing import TYPE_CHECKING

from finesweep.config.fields import component
from finesweep.strategies.anatomy import head_parameters
from finesweep.strategies.base import Strategy

if TYPE_CHECKING:
    from torch import nn


@component
class Frozen(Strategy):
    """The encoder is in evaluation mode throughout: without dropout, its states are the same in every epoch."""

    def trainable(self, model: "nn.Module", epoch: int) -> dict[str, float]:
        return dict.fromkeys(head_parameters(model), 1.0)
