"""Checkpoints: the trainable weights as one safetensors file, written so that a good one is always there."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def save_weights(model: "nn.Module", names: Iterable[str], path: Path) -> None:
    """Write the named parameters, and nothing of what is frozen.

    Raises:
        OSError: the disk is full, say; the file that was there before is still there.
    """
    from safetensors.torch import save_file

    parameters = dict(model.named_parameters())
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file({name: parameters[name].detach().contiguous() for name in names}, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_weights(model: "nn.Module", path: Path) -> None:
    """Put the weights of :func:`save_weights` back.

    Raises:
        ValueError: the file holds a parameter that the model does not.
    """
    from safetensors.torch import load_file

    unexpected = model.load_state_dict(load_file(path), strict=False).unexpected_keys
    if unexpected:
        raise ValueError(f"{path} holds parameters that the model does not: {', '.join(unexpected)}")
