"""A finished run's model, ready to predict: from rows in the task's form, or from plain text."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml

from finesweep.config.errors import UserError
from finesweep.config.instantiate import build
from finesweep.data.batch_plan import evaluation_plan
from finesweep.results.record import RunRecord
from finesweep.tasks.base import Row, Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Predictor:
    """A model with all that prediction needs.

    Attributes:
        labels: in the order of the model's outputs.
        max_length: sub-words in an input; longer rows become overlapping windows.
        batch_size: rows at a time.
        precision: as in training, so that a score is the same as the run's own.
    """

    task: Task
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    labels: list[str]
    max_length: int
    batch_size: int
    precision: str

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        """The model of a run folder.

        Raises:
            UserError: the run has no model, because it is not done or ``trainer.save_model`` was off.
        """
        import transformers

        record = RunRecord.read(folder)
        if not (folder / "model" / "config.json").is_file():
            raise UserError(
                f"the run has no model (status {record.status})", where=str(folder),
                remedy="use a run that ended well and was trained with trainer.save_model=true",
            )  # fmt: skip
        values = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        task: Task = build(values["task"], values["extension_packages"])
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        auto_class = getattr(transformers, task.auto_class)
        dtype = getattr(torch, values["model"]["dtype"])
        model = auto_class.from_pretrained(folder / "model", dtype=dtype).eval()
        if torch.cuda.is_available():
            model = model.cuda()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "model")
        data = values["data"]
        return cls(
            task, model, tokenizer, record.labels, data["max_length"], data["eval_batch_size"],
            values["trainer"]["precision"],
        )  # fmt: skip

    def predict(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Predictions for plain texts, in order, in the form that the task gives them to readers.

        For token classification: ``{"text", "entities": [{"type", "text", "start", "end", "score"}]}`` with character
        offsets.
        """
        rows = [self.task.row_from_text(text) for text in texts]
        return [
            self.task.readable(row, prediction) for row, prediction in zip(rows, self.predict_rows(rows), strict=True)
        ]

    def predict_rows(self, rows: Sequence[Row]) -> list[Row]:
        """One prediction for each row, in order."""
        predictions, _ = self.run(rows)
        return predictions

    def run(self, rows: Sequence[Row]) -> tuple[list[Row], float]:
        """Predictions, and the mean loss over what is labelled (0 where nothing is)."""
        features = self.task.encode(rows, self.labels, self.tokenizer, self.max_length)
        raw: list[Any] = [None] * len(features)
        summed = weight = 0.0
        pad = int(self.tokenizer.pad_token_id)
        with torch.inference_mode(), self._autocast():
            for indices in evaluation_plan([len(feature) for feature in features], self.batch_size):
                batch = self.task.collate([features[i] for i in indices], pad)
                batch = {key: value.to(self.model.device) for key, value in batch.items()}
                logits = self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
                losses, weights = self.task.loss(logits, batch, smooth=False)
                summed, weight = summed + float(losses.double().sum()), weight + float(weights.sum())
                for index, prediction in zip(indices, self.task.predict(logits, batch), strict=True):
                    raw[index] = prediction
        return self.task.decode(rows, features, raw, self.labels), summed / max(weight, 1.0)

    def in_chunks(self, rows: Iterator[Row], size: int) -> Iterator[tuple[Row, Row]]:
        """Pairs (row, prediction) for a stream of rows, ``size`` at a time."""
        chunk: list[Row] = []
        for row in rows:
            chunk.append(row)
            if len(chunk) == size:
                yield from zip(chunk, self.predict_rows(chunk), strict=True)
                chunk = []
        if chunk:
            yield from zip(chunk, self.predict_rows(chunk), strict=True)

    def _autocast(self) -> AbstractContextManager[Any]:
        kind = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(self.precision)
        if kind is None:
            return nullcontext()
        device = self.model.device.type
        return torch.autocast(device, torch.bfloat16 if device == "cpu" else kind)
