"""QLoRA: LoRA on a base whose weights are kept in 4 bits (Dettmers et al. 2023), by bitsandbytes."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from finesweep.config.errors import UserError
from finesweep.config.fields import component
from finesweep.strategies.base import Purpose
from finesweep.strategies.lora import LoRA

if TYPE_CHECKING:
    from torch import nn

#: What heads are called in transformers' models: new ones are trained, and 4 bits cannot be.
_HEADS = ("classifier", "pre_classifier", "score", "qa_outputs", "head", "pooler", "cls", "lm_head")


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
                llm_int8_skip_modules=list(_HEADS),
            ),
            # bitsandbytes quantizes on the device where the weights are to stay.
            "device_map": {"": torch.cuda.current_device() if torch.cuda.is_available() else "cpu"},
        }

    def apply(self, model: "nn.Module", purpose: Purpose) -> "nn.Module":
        packed: list[Any] = [module for module in model.modules() if type(module).__name__ == "Linear4bit"]
        for module in packed:
            # In evaluation mode, in which frozen layers are, it would use a kernel without a gradient for its input.
            module.support_avx512bf16_for_cpu = False
        on_cpu = any(parameter.device.type == "cpu" for parameter in model.parameters())
        if on_cpu and any(module.bias is not None for module in packed):
            raise UserError(
                f"bitsandbytes cannot train {type(model).__name__} on a CPU, as its linear layers have biases",
                where="finetune_strategy",
                remedy="use a GPU, or finetune_strategy=lora",
            )
        return super().apply(model, purpose)
