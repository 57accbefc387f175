"""Gradient checkpointing, by whichever name the installed transformers has for it."""

from typing import Any

from finesweep.config.errors import UserError


def checkpoint_layers(model: Any) -> None:
    """Let each layer keep its input alone, and run again on the way back (Chen et al. 2016, 1604.06174).

    Raises:
        UserError: the model cannot.
    """
    name = "activation_checkpointing" if hasattr(model, "activation_checkpointing_enable") else "gradient_checkpointing"
    if not getattr(model, "supports_gradient_checkpointing", False):
        raise UserError(f"{type(model).__name__} has no layers that can", where="trainer.gradient_checkpointing")
    getattr(model, f"{name}_enable")(**{f"{name}_kwargs": {"use_reentrant": False}})
