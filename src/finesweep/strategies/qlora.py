"""QLoRA: LoRA on a base whose weights are kept in 4 bits (Dettmers et al. 2023), by bitsandbytes."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, ClassVar, Literal

from finesweep.config.fields import component
from finesweep.strategies.lora import LoRA


@component
class QLoRA(LoRA):
    """See https://arxiv.org/abs/2305.14314. The adapter is shipped alone: added to 4-bit weights it would be rounded.

    Attributes:
        quantization: the 4-bit type of the base's weights.
        double_quantization: whether the scales of the weights are quantized too.
    """

    quantization: Literal["nf4", "fp4"]
    double_quantization: bool

    merges: ClassVar[bool] = False

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        yield from super().problems(cfg)
        if find_spec("bitsandbytes") is None:
            yield "finetune_strategy", "qlora needs bitsandbytes: pip install 'finesweep[qlora]'"
        if not cfg["model"].get("pretrained", True):
            yield "finetune_strategy", "qlora quantizes pretrained weights, and model.pretrained is false"

    def loading(self) -> dict[str, Any]:
        import torch
        from transformers import BitsAndBytesConfig

        return {
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type=self.quantization,
                bnb_4bit_use_double_quant=self.double_quantization,
                bnb_4bit_compute_dtype=torch.bfloat16,
            )
        }
