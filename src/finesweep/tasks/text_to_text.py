"""A text for a text, written by an encoder-decoder: what translation, summarisation and their kin have in common."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from finesweep.config.fields import PositiveInt, Probability, component
from finesweep.data.base import DataSource
from finesweep.data.table import Table, notes_of
from finesweep.tasks.base import Batch, Examples, Feature, Frame, Kind, Row, Task
from finesweep.tasks.cells import text_of
from finesweep.tasks.generation import Generation
from finesweep.tasks.tensors import IGNORED, encode_texts, label_loss, model_batch, padded, targets_of, written_logits

if TYPE_CHECKING:
    import torch
    from torch import nn


@component
class TextToText(Task):
    """Cross-entropy of the target's sub-words given those before them and the source; predictions are written freely.

    Attributes:
        prefix: what is put before every source, for models that were taught so ("summarize: ").
        max_target_length: sub-words of a target; what is longer is cut.
        label_smoothing: probability mass that training spreads over the vocabulary (Szegedy et al. 2016).
        generation: how predictions are written.
    """

    prefix: str
    max_target_length: PositiveInt
    label_smoothing: Probability
    generation: Generation

    kinds: ClassVar[tuple[Kind, ...]] = ("encoder-decoder",)
    auto_class: ClassVar[str] = "AutoModelForSeq2SeqLM"
    fast_tokenizer: ClassVar[bool] = False
    new_head: ClassVar[bool] = False
    peft_type: ClassVar[str | None] = "SEQ_2_SEQ_LM"
    model_inputs: ClassVar[tuple[str, ...]] = ("input_ids", "attention_mask")

    # --- data ---------------------------------------------------------------------------------------------------

    def read(self, tables: Mapping[str, Table], source: DataSource, labels: Sequence[str] | None = None) -> Examples:
        splits = {
            split: [
                {name: text_of(cells[name], name, where) for name in ("source", "target")}
                for where, cells in table.records()
            ]
            for split, table in tables.items()
        }
        return Examples(splits, [], notes_of(tables))

    def encode(self, rows: Sequence[Row], frame: Frame) -> list[Feature]:
        sources = encode_texts(frame, [self.prefix + row["source"] for row in rows])
        targets = targets_of([row["target"] for row in rows if "target" in row], frame, self.max_target_length)
        if not targets:
            targets = [([IGNORED], 0)] * len(rows)
        return [
            Feature(index, ids, {"target": target}, cut + lost)
            for index, ((ids, _, cut), (target, lost)) in enumerate(zip(sources, targets, strict=True))
        ]

    def collate(self, features: Sequence[Feature], frame: Frame) -> dict[str, "torch.Tensor"]:
        """Adds ``target`` (batch, target sub-words), padded with -100."""
        target = padded([feature.extra["target"] for feature in features], IGNORED)
        return {**model_batch(features, frame), "target": target}

    def weight(self, feature: Feature) -> float:
        return float(sum(label != IGNORED for label in feature.extra["target"]))

    # --- model --------------------------------------------------------------------------------------------------

    def head(self, labels: Sequence[str]) -> dict[str, Any]:
        return {}

    def forward(self, model: "nn.Module", batch: Batch) -> Any:
        """Logits (batch, target sub-words, vocabulary)."""
        return written_logits(model, batch, batch["target"])

    def loss(self, logits: Any, batch: Batch, *, smooth: bool) -> tuple["torch.Tensor", "torch.Tensor"]:
        return label_loss(logits, batch["target"], self.label_smoothing if smooth else 0.0)

    def predict(self, model: "nn.Module", logits: Any, batch: Batch, frame: Frame) -> list[Any]:
        """The texts themselves."""
        return self.generation.write(model, self.inputs(batch), frame, **self.writing(frame))

    def writing(self, frame: Frame) -> dict[str, Any]:
        """More keys for ``generate``, by the model's tokenizer."""
        return {}

    # --- predictions --------------------------------------------------------------------------------------------

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], raw: Sequence[Any], frame: Frame) -> list[Row]:
        """``{"prediction"}``."""
        return [{"prediction": text} for text in raw]

    def row_from_object(self, value: Mapping[str, Any], where: str) -> Row:
        """``{"source"}``, also under the name ``text``."""
        return {"source": text_of(value.get("source", value.get("text")), "source", where)}

    def text_of_row(self, row: Row) -> str:
        return str(row["source"])

    def readable(self, row: Row, prediction: Row) -> dict[str, Any]:
        return {"source": row["source"], **prediction}

    def lines(self, row: Row, prediction: Row) -> str:
        return str(prediction["prediction"])
