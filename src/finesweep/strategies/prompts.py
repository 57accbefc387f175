"""Virtual tokens before the text, from peft: prompt tuning (Lester et al. 2021), prefix tuning (Li and Liang 2021)."""

from typing import TYPE_CHECKING, Any, ClassVar

from finesweep.config.fields import PositiveInt, component
from finesweep.strategies.peft_method import PeftMethod

if TYPE_CHECKING:
    from torch import nn


@component
class VirtualTokens(PeftMethod):
    """Train what a frozen model sees before the text. It cannot be merged: the model is shipped as an adapter.

    Attributes:
        virtual_tokens: how many.
    """

    virtual_tokens: PositiveInt

    merges: ClassVar[bool] = False

    @property
    def positions(self) -> int:
        return self.virtual_tokens

    def _shape(self, model: Any) -> dict[str, Any]:
        """What peft would have to look for in the model's configuration, under names that differ."""
        config = model.config.get_text_config()
        both = 2 if config.is_encoder_decoder else 1
        return {
            "num_virtual_tokens": self.virtual_tokens,
            "token_dim": model.get_input_embeddings().embedding_dim,
            "num_transformer_submodules": both,
            "num_attention_heads": config.num_attention_heads,
            "num_layers": config.num_hidden_layers,
        }


@component
class PromptTuning(VirtualTokens):
    """Embeddings before the text's own (https://arxiv.org/abs/2104.08691)."""

    def config(self, model: "nn.Module", common: dict[str, Any]) -> Any:
        from peft import PromptTuningConfig

        return PromptTuningConfig(**common, **self._shape(model))


@component
class PrefixTuning(VirtualTokens):
    """Keys and values before those of the text, in every layer (https://arxiv.org/abs/2101.00190)."""

    def config(self, model: "nn.Module", common: dict[str, Any]) -> Any:
        from peft import PrefixTuningConfig

        return PrefixTuningConfig(**common, num_virtual_tokens=self.virtual_tokens)
