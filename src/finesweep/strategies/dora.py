"""DoRA: LoRA that learns the size of a weight apart from its direction (Liu et al. 2024), from peft."""

from typing import Any, ClassVar

from finesweep.config.fields import component
from finesweep.strategies.lora import LoRA


@component
class DoRA(LoRA):
    """See https://arxiv.org/abs/2402.09353; the keys are those of LoRA."""

    variant: ClassVar[dict[str, Any]] = {"use_dora": True}
