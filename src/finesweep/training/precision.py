"""What Lightning's names of precisions mean where a model runs without its trainer."""

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import nn


def autocast(precision: str, device: str) -> AbstractContextManager[Any]:
    """Operations in 16 bits where they are safe, if the precision is a mixed one.

    Args:
        precision: of the trainer.
        device: ``cpu`` or ``cuda``.
    """
    kind = _kind(precision, device)
    return nullcontext() if kind is None else torch.autocast(device, kind)


def weights_in(precision: str) -> torch.dtype | None:
    """What Lightning makes of all weights, and so also of those of an adapter; None where they stay what they are."""
    return {"64-true": torch.float64, "bf16-true": torch.bfloat16}.get(precision)


def halve_products(model: nn.Module, precision: str, device: str) -> None:
    """Keep the weights of linear layers in the 16 bits in which :func:`autocast` would use them, for a model that is
    not trained further: its output is the same, and they need not be made anew for each batch."""
    kind = _kind(precision, device)
    if kind is None:
        return
    linear = [module for module in model.modules() if type(module) is nn.Linear]
    chosen = {id(parameter) for module in linear for parameter in module.parameters()}
    others = (module for module in model.modules() if type(module) is not nn.Linear)
    # A weight that an embedding shares is used in full too.
    shared = {id(parameter) for module in others for parameter in module.parameters(recurse=False)} & chosen
    for module in linear:
        if not any(id(parameter) in shared for parameter in module.parameters()):
            module.to(kind)


def in_int8(model: nn.Module) -> nn.Module:
    """A copy for CPUs whose linear layers work in 8 bits: weights rounded by channel, inputs as they come (dynamic
    quantization). Twice to three times as fast as float32, and its output is close, but not the same."""
    from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it may move to another package
        return cast("nn.Module", quantize_dynamic(model, {nn.Linear: per_channel_dynamic_qconfig}))


def _kind(precision: str, device: str) -> torch.dtype | None:
    kind = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
    return torch.bfloat16 if kind is not None and device == "cpu" else kind
