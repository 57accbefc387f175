"""What Lightning's names of precisions mean where a model runs without its trainer."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def autocast(precision: str, device: str) -> AbstractContextManager[Any]:
    """Operations in 16 bits where they are safe, if the precision is a mixed one.

    Args:
        precision: of the trainer.
        device: ``cpu`` or ``cuda``.
    """
    kind = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
    if kind is None:
        return nullcontext()
    return torch.autocast(device, torch.bfloat16 if device == "cpu" else kind)
