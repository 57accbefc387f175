"""A finished run's model, ready to predict: from rows in the task's form, or from plain text."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml

from finesweep.config.errors import UserError
from finesweep.config.instantiate import build
from finesweep.data.batch_plan import evaluation_plan, lengths_of
from finesweep.models.architectures import kind_of
from finesweep.models.pretrained import EMBEDDED, PretrainedModel
from finesweep.results.record import RunRecord
from finesweep.strategies.base import Strategy
from finesweep.tasks.base import Frame, Kind, Row, Task
from finesweep.tasks.context import in_document
from finesweep.training.precision import autocast, halve_products, in_int8

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Rows that are sorted by length and predicted together: enough to fill batches, few enough to stay in memory.
WINDOW = 4096


@dataclass(frozen=True)
class Predictor:
    """A model with all that prediction needs.

    Attributes:
        frame: what the task has to know of the model.
        batch_size: rows at a time.
        precision: as in training, so that a score is the same as the run's own.
        context: ``document`` of a model that sees a row's neighbours: rows, in order, are then one document, or
            several where one without words parts them.
    """

    task: Task
    model: "PreTrainedModel"
    frame: Frame
    batch_size: int
    precision: str
    context: str = "sentence"

    @classmethod
    def load(cls, folder: Path, *, int8: bool = False) -> "Predictor":
        """The model of a run folder.

        Args:
            int8: let its linear layers work in 8 bits, on the CPU: faster, and a little different.

        Raises:
            UserError: the run has no model, because it is not done, ``trainer.save_model`` was off, or it was dropped.
        """
        import transformers

        record = RunRecord.read(folder)
        if why := record.model.get("dropped"):
            raise UserError(
                f"the run's model was dropped: {why}", where=str(folder),
                remedy=f"finesweep reproduce {folder} makes it again, in a folder of its own",
            )  # fmt: skip
        if not any((folder / "model" / name).is_file() for name in ("config.json", "adapter_config.json")):
            raise UserError(
                f"the run has no model (status {record.status})", where=str(folder),
                remedy="use a run that ended well and was trained with trainer.save_model=true",
            )  # fmt: skip
        values = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        task: Task = build(values["task"], values["extension_packages"])
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        if (folder / "model" / "adapter_config.json").is_file():
            model, kind = _adapted(folder / "model", values, task, record.labels)
        else:
            kind = kind_of(transformers.AutoConfig.from_pretrained(folder / "model"))
            auto_class = getattr(transformers, task.auto_class_for(kind))
            model = auto_class.from_pretrained(folder / "model", dtype=getattr(torch, values["model"]["dtype"]))
        model, precision = model.eval().requires_grad_(requires_grad=False), values["trainer"]["precision"]
        if int8:
            model, precision = in_int8(_merged(model)), "32-true"
        elif torch.cuda.is_available():
            model = model.cuda()
        halve_products(model, precision, model.device.type)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "model")
        data = values["data"]
        frame = Frame(tokenizer, record.labels, data["max_length"], kind)
        return cls(task, model, frame, data["eval_batch_size"], precision, data.get("context", "sentence"))

    def predict(self, inputs: Sequence[str | Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Predictions in order, in the form that the task gives them to readers.

        For token classification: ``{"text", "entities": [{"type", "text", "start", "end", "score"}]}`` with character
        offsets.

        Args:
            inputs: plain texts, or what a task takes beside them as a mapping: ``{"question": …, "context": …}``.

        Raises:
            UserError: an input is not what the task takes.
        """
        rows = [
            self.task.row_from_text(each, f"input {number}")
            if isinstance(each, str)
            else self.task.row_from_object(each, f"input {number}")
            for number, each in enumerate(inputs, 1)
        ]
        rows = list(self.in_context(rows))
        return [
            self.task.readable(row, prediction) for row, prediction in zip(rows, self.predict_rows(rows), strict=True)
        ]

    def in_context(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Rows, one behind the other, as the model was trained to see them: alone, or with those around them."""
        return in_document(rows, self.frame.max_length) if self.context == "document" else iter(rows)

    def predict_rows(self, rows: Sequence[Row]) -> list[Row]:
        """One prediction for each row, in order."""
        return self.run(rows).predictions

    def run(self, rows: Sequence[Row], done: Callable[[int], None] | None = None) -> "Predicted":
        """Predict rows, those of like length together.

        Args:
            done: is told of so many more rows that are done.
        """
        if not rows:
            return Predicted([], 0.0, 0.0)
        task, model = self.task, self.model
        features = task.encode(rows, self.frame)
        raw: list[Any] = [None] * len(features)
        summed = weight = 0.0
        per_feature, seen = len(rows) / len(features), 0
        with torch.inference_mode(), autocast(self.precision, self.model.device.type):
            for indices in evaluation_plan(lengths_of(features), self.batch_size):
                batch = task.collate([features[i] for i in indices], self.frame)
                batch = {key: value.to(model.device) for key, value in batch.items()}
                batch = dict(task.corrupt(batch, training=False))
                logits = task.forward(model, batch)
                losses, weights = task.loss(logits, batch, smooth=False)
                summed, weight = summed + float(losses.double().sum()), weight + float(weights.sum())
                for index, prediction in zip(indices, task.predict(model, logits, batch, self.frame), strict=True):
                    raw[index] = prediction
                if done:  # a row may have several features, whose batches are apart
                    before, seen = seen, seen + len(indices)
                    done(int(seen * per_feature) - int(before * per_feature))
        return Predicted(task.decode(rows, features, raw, self.frame), summed, weight)

    def in_windows(self, rows: Iterable[Row], done: Callable[[int], None] | None = None) -> Iterator[tuple[Row, Row]]:
        """Pairs (row, prediction), in order, for a stream of rows that need not fit into memory."""
        every = iter(rows)
        while window := list(islice(every, WINDOW)):
            yield from zip(window, self.run(window, done).predictions, strict=True)


@dataclass(frozen=True)
class Predicted:
    """Predictions of rows, their summed loss, and the weight of what is labelled."""

    predictions: list[Row]
    loss: float
    weight: float


def _adapted(folder: Path, values: dict[str, Any], task: Task, labels: list[str]) -> tuple[Any, Kind]:
    """The base of a run whose model is an adapter, with the adapter put on it."""
    from peft import PeftConfig, PeftModel  # takes seconds, and only adapters need it

    chosen = dict(values["model"])
    if (folder / "base").is_dir():
        chosen |= {"name_or_path": str(folder / "base"), "pretrained": True}
    elif not chosen["name_or_path"].startswith(EMBEDDED):  # the very commit or folder that the adapter was trained on
        trained_on = PeftConfig.from_pretrained(folder)
        chosen |= {"name_or_path": trained_on.base_model_name_or_path, "revision": trained_on.revision}
    base: PretrainedModel = build(chosen, values["extension_packages"])
    strategy: Strategy = build(values["finetune_strategy"], values["extension_packages"])
    loaded = base.load(task, labels, values["data"]["max_length"], strategy.loading())
    return PeftModel.from_pretrained(loaded.model, folder), loaded.kind


def _merged(model: Any) -> Any:
    """A model with what an adapter adds to its layers put into them, where it adds to them."""
    return model.merge_and_unload() if hasattr(getattr(model, "base_model", None), "merge_and_unload") else model
