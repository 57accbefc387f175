"""How a model writes: the settings of its search, and the texts that come of it."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from finesweep.config.fields import NonNegativeInt, Positive, PositiveInt, component
from finesweep.tasks.base import Frame

if TYPE_CHECKING:
    from torch import nn


@component
class Generation:
    """Keys of transformers' ``generate``, under its names. Null keeps what the model itself is configured with."""

    max_new_tokens: PositiveInt
    num_beams: PositiveInt
    do_sample: bool
    temperature: Positive | None
    top_p: Annotated[float, Field(gt=0, le=1)] | None
    length_penalty: float | None
    repetition_penalty: Positive | None
    no_repeat_ngram_size: NonNegativeInt | None

    def write(self, model: "nn.Module", inputs: Mapping[str, Any], frame: Frame, **more: Any) -> list[str]:
        """A text for each row of ``inputs`` (batch, seq); for a decoder, the continuation alone.

        Args:
            more: further keys of ``generate``.
        """
        settings = {f.name: getattr(self, f.name) for f in fields(self)}
        settings = {name: value for name, value in settings.items() if value is not None}
        room = getattr(model.config, "max_position_embeddings", None)
        if frame.kind == "decoder" and room is not None:
            settings["max_new_tokens"] = max(1, min(self.max_new_tokens, room - inputs["input_ids"].size(1)))
        ids = model.generate(**inputs, **settings, **more, pad_token_id=frame.pad_token_id)  # type: ignore[operator]
        if frame.kind == "decoder":
            ids = ids[:, inputs["input_ids"].size(1) :]
        return texts_of(ids.tolist(), frame)


def texts_of(ids: Sequence[Sequence[int]], frame: Frame) -> list[str]:
    """Sub-word ids as texts, without special tokens."""
    texts = frame.tokenizer.batch_decode(
        [list(each) for each in ids], skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return [text.strip() for text in texts]
