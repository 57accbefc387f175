"""What a strategy is, and the parts of a model that strategies speak of: head, layers, parameters by pattern."""

import fnmatch
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finesweep.config.errors import UserError, did_you_mean
from finesweep.config.fields import NonNegative, component

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

#: Final norms that stand beside the stack of layers and follow the last of them.
_FINAL_NORMS = ("final_norm", "final_layer_norm", "ln_f", "norm")


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

    def apply(self, model: "nn.Module", purpose: Purpose) -> "nn.Module":
        """Put in what the strategy needs; the model to train, which may be another object."""
        del purpose
        return model

    @abstractmethod
    def trainable(self, model: "nn.Module", epoch: int) -> dict[str, float]:
        """The parameters that train in an epoch: name -> factor on the learning rate. All others are frozen."""

    def finished(self, model: "nn.Module", folder: "Path", base_is_pretrained: bool) -> "nn.Module":
        """The trained model in the form that plain transformers loads; the last call, the model may be taken apart.

        Args:
            folder: of the finished model, for what the strategy wants to keep beside it.
            base_is_pretrained: whether others can get the model that the strategy was applied to.
        """
        del folder, base_is_pretrained
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


def encoder(model: "nn.Module") -> "nn.Module":
    """The pretrained body of a transformers model, without the head."""
    return model.get_submodule(encoder_name(model))


def encoder_name(model: "nn.Module") -> str:
    """The attribute under which the body stands: ``bert``, ``roberta``, ``deberta``, ``model``, …"""
    return str(model.base_model_prefix)


def head_modules(model: "nn.Module") -> list[str]:
    """The names of the modules with parameters beside the body: the task's head."""
    body = encoder_name(model)
    return [name for name, child in model.named_children() if name != body and any(True for _ in child.parameters())]


def head_parameters(model: "nn.Module") -> list[str]:
    """The names of the parameters outside the body."""
    body = encoder_name(model) + "."
    return [name for name, _ in model.named_parameters() if not name.startswith(body)]


def layer_stack(model: "nn.Module") -> tuple[str, int]:
    """The name of the stack of transformer layers and how many there are.

    Raises:
        UserError: the model has no stack of layers.
    """
    from torch import nn

    stacks = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    # The stack that holds the others inside its layers comes first among those of most layers.
    stacks = [(name, module) for name, module in stacks if any(True for _ in module.parameters())]
    if not stacks:
        raise UserError(
            f"{type(model).__name__} has no stack of layers",
            where="finetune_strategy",
            remedy="use full or frozen, or lora with target_modules that name linear layers",
        )
    name, stack = min(stacks, key=lambda pair: (pair[0].count("."), -len(pair[1])))
    return name, len(stack)


def top_layer_parameters(model: "nn.Module", count: int) -> list[str]:
    """The parameters of the last ``count`` layers, with a final norm that follows them.

    Raises:
        UserError: the model has fewer layers.
    """
    stack, depth = layer_stack(model)
    if count > depth:
        raise UserError(
            f"the model has {depth} layers, not {count}",
            where="finetune_strategy.layers",
            remedy=f"choose 0 to {depth}",
        )
    beside = stack.rpartition(".")[0]
    prefixes = [f"{stack}.{index}." for index in range(depth - count, depth)]
    if count:
        prefixes += [f"{beside}.{norm}." for norm in _FINAL_NORMS]
    return [name for name, _ in model.named_parameters() if name.startswith(tuple(prefixes))]


def match_modules(model: "nn.Module", patterns: Sequence[str], where: str) -> list[str]:
    """The linear layers of the body whose name ends in one of the patterns (``query``, ``attention.*.dense``).

    Raises:
        UserError: a pattern matches nothing; the message offers what is near.
    """
    from torch import nn

    body = encoder_name(model)
    linear: dict[str, Any] = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.startswith(body + ".")
    }
    found: set[str] = set()
    for pattern in patterns:
        hits = [n for n in linear if fnmatch.fnmatchcase(n, pattern) or fnmatch.fnmatchcase(n, f"*.{pattern}")]
        if not hits:
            parts = pattern.count(".") + 1
            endings = {".".join(name.split(".")[-parts:]) for name in linear}
            last = {name.rpartition(".")[2] for name in linear}
            hint = did_you_mean(pattern, endings, otherwise=f" They are called {', '.join(sorted(last))}.")
            raise UserError(
                f"'{pattern}' matches no linear layer of the encoder.{hint}",
                where=where,
                remedy="give endings of their names, or [all] for every one in the stack of layers",
            )
        found.update(hits)
    return sorted(found)
