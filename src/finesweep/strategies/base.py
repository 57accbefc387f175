"""What a strategy is: which parameters train, and what is put into the model so that they can."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from finesweep.config.fields import NonNegative, component

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


@dataclass(frozen=True)
class Purpose:
    """What a model is to be trained for, as far as that matters to a strategy.

    Attributes:
        peft_type: peft's name for the kind of problem; None where it has none.
        new_head: whether the head starts at random, and not as the model was pretrained.
    """

    peft_type: str | None
    new_head: bool


@component
class Strategy(ABC):
    """Decides what trains. Nothing else in the code asks which strategy a run has.

    Attributes:
        name: of the strategy.
        lr: the learning rate that suits it; ``optimizer.lr`` follows it unless set.
    """

    name: str
    lr: NonNegative

    #: Whether another epoch may train other parameters.
    changes: ClassVar[bool] = False
    #: Whether the finished model is a plain one, and not an adapter that needs its base beside it.
    merges: ClassVar[bool] = True

    @property
    def positions(self) -> int:
        """Places of the input that it takes beside the text."""
        return 0

    def loading(self) -> dict[str, Any]:
        """More arguments for ``from_pretrained``, where the base is to be loaded in another form."""
        return {}

    def apply(self, model: "nn.Module", purpose: Purpose) -> "nn.Module":
        """Put in what the strategy needs; the model to train, which may be another object."""
        return model

    @abstractmethod
    def trainable(self, model: "nn.Module", epoch: int) -> dict[str, float]:
        """The parameters that train in an epoch: name -> factor on the learning rate. All others are frozen."""

    def finished(self, model: "nn.Module", folder: "Path", base_is_shared: bool) -> "nn.Module":
        """The trained model in the form that plain transformers loads; the last call, the model may be taken apart.

        Args:
            folder: of the finished model, for what the strategy wants to keep beside it.
            base_is_shared: whether others can get the model that the strategy was applied to.
        """
        return model


def freeze(model: "nn.Module", trainable: Iterable[str]) -> None:
    """Let exactly the named parameters train, and no others.

    Raises:
        ValueError: a name is no parameter of the model.
    """
    wanted = set(trainable)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in wanted)
        wanted.discard(name)
    if wanted:
        raise ValueError(f"not parameters of the model: {', '.join(sorted(wanted))}")


def set_modes(module: "nn.Module") -> None:
    """Training mode throughout, but evaluation mode for the parts that are frozen as a whole.

    Lightning leaves a loaded model in evaluation mode, in which no dropout is active; and a frozen encoder that
    drops activations at random would give its head a different input at every step.
    """
    parameters = list(module.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        module.eval()
        return
    module.training = True
    for child in module.children():
        if any(True for _ in child.parameters()):
            set_modes(child)
        else:
            child.train()
