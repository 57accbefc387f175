"""Causal language modelling: the next sub-word after each; how decoders are pretrained."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from finesweep.config.fields import component
from finesweep.tasks.base import Batch, Feature, Frame, Kind, Row
from finesweep.tasks.generation import Generation
from finesweep.tasks.plain_text import PlainText
from finesweep.tasks.tensors import IGNORED, left_padded, model_batch, special_ids, token_loss

if TYPE_CHECKING:
    import torch
    from torch import nn


@component
class CausalLM(PlainText):
    """Each sub-word given those before it in its part of the text.

    Attributes:
        generation: how ``predict`` goes on with a text.
    """

    generation: Generation

    kinds: ClassVar[tuple[Kind, ...]] = ("decoder",)
    auto_class: ClassVar[str] = "AutoModelForCausalLM"
    peft_type: ClassVar[str | None] = "CAUSAL_LM"
    of_subwords: ClassVar[bool] = True
    pipeline: ClassVar[str] = '"text-generation"'

    def encode(self, rows: Sequence[Row], frame: Frame) -> Sequence[Feature]:
        before, _ = special_ids(frame.tokenizer)  # a model that was pretrained with a first token expects it
        if rows and rows[0].get("prompt"):
            room = frame.max_length - len(before)
            texts = frame.tokenizer([row["text"] for row in rows], add_special_tokens=False, verbose=False)["input_ids"]
            return [
                Feature(i, [*before, *ids[-room:]], {"prompt": True}, max(0, len(ids) - room))
                for i, ids in enumerate(texts)
            ]
        return self.chunks(rows, frame, before, [])

    def collate(self, features: Sequence[Feature], frame: Frame) -> dict[str, "torch.Tensor"]:
        """Adds ``labels`` (batch, seq). Prompts are padded on the left, as what is written comes on the right."""
        import torch

        if features[0].extra.get("prompt"):
            batch = left_padded([feature.input_ids for feature in features], frame)
            return {**batch, "labels": torch.full_like(batch["input_ids"], IGNORED)}
        batch = model_batch(features, frame)
        return {**batch, "labels": batch["input_ids"].masked_fill(batch["attention_mask"] == 0, IGNORED)}

    def weight(self, feature: Feature) -> float:
        return float(len(feature) - 1)

    def loss(self, logits: Any, batch: Batch, *, smooth: bool) -> tuple["torch.Tensor", "torch.Tensor"]:
        return token_loss(logits[:, :-1], batch["labels"][:, 1:])

    def predict(self, model: "nn.Module", logits: Any, batch: Batch, frame: Frame) -> list[Any]:
        """For prompts how they go on; for training text nothing."""
        if bool((batch["labels"] != IGNORED).any()):
            return [None] * len(logits)
        return self.generation.write(model, self.inputs(batch), frame)

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], raw: Sequence[Any], frame: Frame) -> list[Row]:
        """``{"continuation"}`` for prompts."""
        return [{"continuation": text} for text in raw] if raw and raw[0] is not None else []

    def row_from_object(self, value: Mapping[str, Any], where: str) -> Row:
        return {**super().row_from_object(value, where), "prompt": True}

    def lines(self, row: Row, prediction: Row) -> str:
        return f"{row['text']} {prediction['continuation']}"
