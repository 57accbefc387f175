"""The parts of a transformers model that strategies speak of: body and head, stacks of layers, modules by pattern."""

import fnmatch
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from finesweep.config.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

#: Final norms that stand beside the stack of layers and follow the last of them.
_FINAL_NORMS = ("final_norm", "final_layer_norm", "ln_f", "norm")
_POOLER = "pooler"


def body_names(model: "nn.Module") -> list[str]:
    """The children that make the pretrained body: ``bert``, ``model``, or where it has no name of its own (T5) all but
    the output embeddings."""
    prefix = str(getattr(model, "base_model_prefix", ""))
    children = dict(model.named_children())
    if prefix in children:
        return [prefix]
    find: Any = getattr(model, "get_output_embeddings", None)
    out = find() if find is not None else None
    return [name for name, child in children.items() if child is not out]


def in_body(model: "nn.Module", name: str) -> bool:
    """Whether a parameter or module belongs to the body.

    The pooler of BERT and its kin stands in the body, but follows the last layer and serves the head alone: it is the
    head's, as the same layer is in RoBERTa. Checkpoints of language models come without it.
    """
    child, _, rest = name.partition(".")
    return child in body_names(model) and rest.partition(".")[0] != _POOLER


def head_modules(model: "nn.Module") -> list[str]:
    """The names of the modules with parameters that make the task's head."""
    children = dict(model.named_children())
    poolers = {f"{name}.{_POOLER}": getattr(child, _POOLER, None) for name, child in children.items()}
    modules = {name: module for name, module in (children | poolers).items() if module is not None}
    return [n for n, m in modules.items() if not in_body(model, n) and any(True for _ in m.parameters())]


def head_parameters(model: "nn.Module") -> list[str]:
    """The names of the head's parameters; those that are tied to the body's are the body's."""
    return [name for name, _ in model.named_parameters() if not in_body(model, name)]


def layer_stacks(model: "nn.Module") -> list[tuple[str, int]]:
    """The stacks of transformer layers and how many each has: one, or two for an encoder-decoder.

    Raises:
        UserError: the model has no stack of layers.
    """
    from torch import nn

    stacks = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    stacks = [(name, module) for name, module in stacks if any(True for _ in module.parameters())]
    if not stacks:
        raise UserError(
            f"{type(model).__name__} has no stack of layers",
            where="finetune_strategy",
            remedy="use full or frozen, or lora with target_modules that name linear layers",
        )
    # A stack inside a layer of another is none of its own.
    outer = [(n, m) for n, m in stacks if not any(n.startswith(other + ".") for other, _ in stacks if other != n)]
    most = max(len(module) for _, module in outer)
    sides = [(name, len(module)) for name, module in outer if {"encoder", "decoder"} & set(name.split("."))]
    if len(sides) == 2 and {name.split(".")[-2] for name, _ in sides} == {"encoder", "decoder"}:
        return sides
    return [next((name, len(module)) for name, module in outer if len(module) == most)]


def stacks_if_any(model: "nn.Module") -> list[tuple[str, int]]:
    """The stacks of layers; none of a model that has none."""
    try:
        return layer_stacks(model)
    except UserError:
        return []


def layers_from_top(model: "nn.Module") -> dict[str, int]:
    """For each parameter of the body how many layers lie above its own: 0 in the last layer and in what follows it, the
    number of layers in what comes before the first (embeddings)."""
    stacks = layer_stacks(model)
    places = {}
    for name, _ in model.named_parameters():
        if not in_body(model, name):
            continue
        place = max(depth for _, depth in stacks)
        for stack, depth in stacks:
            beside = stack.rpartition(".")[0]
            if name.startswith(stack + "."):
                place = depth - 1 - int(name[len(stack) + 1 :].split(".")[0])
            elif any(name.startswith(f"{beside}.{norm}." if beside else f"{norm}.") for norm in _FINAL_NORMS):
                place = 0
        places[name] = place
    return places


def top_layer_parameters(model: "nn.Module", count: int) -> list[str]:
    """The parameters of the last ``count`` layers (of each stack) with a final norm that follows them.

    Raises:
        UserError: the model has fewer layers.
    """
    depth = max(depth for _, depth in layer_stacks(model))
    if count > depth:
        raise UserError(
            f"the model has {depth} layers, not {count}",
            where="finetune_strategy.layers",
            remedy=f"choose 0 to {depth}",
        )
    return [name for name, above in layers_from_top(model).items() if above < count]


def match_modules(model: "nn.Module", patterns: Sequence[str], where: str, *, every: bool = True) -> list[str]:
    """The linear layers of the body whose name ends in one of the patterns (``query``, ``attention.*.dense``).

    Args:
        every: whether each pattern must match something; else only one of them must.

    Raises:
        UserError: a pattern matches nothing; the message offers what is near.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    linear: dict[str, Any] = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and in_body(model, name)
    }
    found: set[str] = set()
    for pattern in patterns:
        hits = [n for n in linear if fnmatch.fnmatchcase(n, pattern) or fnmatch.fnmatchcase(n, f"*.{pattern}")]
        if not hits and every:
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
    if not found:
        last = {name.rpartition(".")[2] for name in linear}
        raise UserError(f"no linear layer is called so; they are called {', '.join(sorted(last))}", where=where)
    return sorted(found)
