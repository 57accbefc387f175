"""What models are made of: by the name of their architecture, before transformers is imported, or by configuration."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from finesweep.tasks.base import Kind

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_ENCODERS = (
    "albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "ernie", "eurobert", "fnet",
    "longformer", "mobilebert", "modernbert", "mpnet", "rembert", "roberta", "xlm-roberta",
)  # fmt: skip
_DECODERS = (
    "bloom", "falcon", "gemma", "gemma2", "gemma3_text", "gpt2", "gpt_neo", "gpt_neox", "llama", "mistral", "olmo2",
    "opt", "phi", "phi3", "qwen2", "qwen3", "smollm3",
)  # fmt: skip
_BOTH = ("bart", "blenderbot", "led", "m2m_100", "marian", "mbart", "mt5", "pegasus", "t5")

#: transformers' model type -> what it is made of; what is not listed is looked up once it is loaded.
KINDS: dict[str, Kind] = {
    **dict.fromkeys(_ENCODERS, "encoder"),
    **dict.fromkeys(_DECODERS, "decoder"),
    **dict.fromkeys(_BOTH, "encoder-decoder"),
}

_A: dict[Kind, str] = {"encoder": "an encoder", "decoder": "a decoder", "encoder-decoder": "an encoder-decoder"}


def kind_mismatch(kind: Kind, task: str, wanted: tuple[Kind, ...]) -> str | None:
    """What to say where a task needs another kind of model; None where it does not."""
    if kind in wanted:
        return None
    return f"is {_A[kind]}, and {task} needs {' or '.join(_A[each] for each in wanted)}"


def architecture_of(folder: Path) -> str | None:
    """The model type that a folder's ``config.json`` names; None where there is none to be read."""
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = content.get("model_type") if isinstance(content, dict) else None
    return found if isinstance(found, str) else None


def kind_of(config: "PretrainedConfig") -> Kind:
    """What a model is made of, by its configuration.

    What can fill in masked words is an encoder, though transformers could also let most of those write.
    """
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    if config.is_encoder_decoder:
        return "encoder-decoder"
    writes = config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return "decoder" if writes and config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES else "encoder"
