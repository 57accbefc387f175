"""Multiple choice: which of several answers, endings or causes is the right one."""

import string
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from finesweep.config.errors import UserError
from finesweep.config.fields import Probability, component
from finesweep.data.base import DataSource
from finesweep.data.table import Table, notes_of
from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.base import Batch, Examples, Feature, Frame, Row, Task
from finesweep.tasks.cells import text_of
from finesweep.tasks.hardest import hardest_rows
from finesweep.tasks.tensors import IGNORED, class_loss, encode_texts, padded, wide

if TYPE_CHECKING:
    import torch
    from torch import nn


@component
class MultipleChoice(Task):
    """A score for each choice, read together with what it is a choice for (Zellers et al. 2018, SWAG).

    Attributes:
        label_smoothing: probability mass that training spreads over all choices (Szegedy et al. 2016).
    """

    label_smoothing: Probability

    metric_names: ClassVar[tuple[str, ...]] = ("loss", "accuracy")
    mean_metrics: ClassVar[tuple[str, ...]] = ("accuracy",)
    optional_columns: ClassVar[frozenset[str]] = frozenset({"context", "question"})
    auto_class: ClassVar[str] = "AutoModelForMultipleChoice"

    def read(self, tables: Mapping[str, Table], source: DataSource, labels: Sequence[str] | None = None) -> Examples:
        splits = {
            split: [
                {**(row := self.row_from_object(cells, where)), "label": _label(cells, row["choices"], where)}
                for where, cells in table.records()
            ]
            for split, table in tables.items()
        }
        return Examples(splits, [], notes_of(tables))

    def row_from_object(self, value: Mapping[str, Any], where: str) -> Row:
        """``{"context", "question", "choices"}``; one of the first two may be missing."""
        row: Row = {name: text_of(value[name], name, where) for name in ("context", "question") if value.get(name)}
        if not row:
            raise UserError("there is neither a context nor a question", where=where)
        choices = value.get("choices")
        choices = choices.get("text") if isinstance(choices, dict) else choices
        if not isinstance(choices, list | tuple):
            raise UserError(f"the choices should be a list, not {type(choices).__name__}", where=where)
        choices = list(choices)
        while choices and choices[-1] in (None, ""):  # rows with fewer than the widest leave the last columns empty
            choices.pop()
        texts = [text_of(choice, "choice", where) for choice in choices]
        if len(texts) < 2:
            raise UserError(f"two choices are the least, there is {len(texts)}", where=where)
        return {**row, "choices": texts}

    def row_from_text(self, text: str, where: str) -> Row:
        remedy = 'give lines of JSON: {"question": "…", "choices": ["…", "…"]}'
        raise UserError("a question needs its choices beside it", where=where, remedy=remedy)

    def encode(self, rows: Sequence[Row], frame: Frame) -> list[Feature]:
        """All choices of a row in one list of sub-words, with where each of them ends."""
        firsts, seconds = [], []
        for row in rows:
            for choice in row["choices"]:
                whole = "context" in row and "question" in row
                firsts.append(row["context"] if "context" in row else row["question"])
                seconds.append(f"{row['question']} {choice}" if whole else choice)
        encoded = iter(encode_texts(frame, firsts, seconds))
        features = []
        for index, row in enumerate(rows):
            chosen = [next(encoded) for _ in row["choices"]]
            ends, ids, types = [], [], []
            for ids_of_choice, extra, _ in chosen:
                ids += ids_of_choice
                types += extra.get("token_type_ids", [])
                ends.append(len(ids))
            extra = {"ends": ends, "types": types, "label": row.get("label", IGNORED)}
            features.append(Feature(index, ids, extra, sum(cut for *_, cut in chosen)))
        return features

    def collate(self, features: Sequence[Feature], frame: Frame) -> dict[str, "torch.Tensor"]:
        """``input_ids``, ``attention_mask`` and ``token_type_ids`` (batch, choices, seq), ``there`` (batch, choices),
        which is 0 where a row has fewer choices than others, and ``label`` and ``weight`` (batch,)."""
        import torch

        most = max(len(feature.extra["ends"]) for feature in features)
        ids, types, there = [], [], []
        for feature in features:
            parts = list(zip([0, *feature.extra["ends"]], feature.extra["ends"], strict=False))
            there.append([int(i < len(parts)) for i in range(most)])
            for begin, end in [*parts, *[parts[0]] * (most - len(parts))]:
                ids.append(feature.input_ids[begin:end])
                types.append(feature.extra["types"][begin:end])
        flat = {"input_ids": padded(ids, frame.pad_token_id), "attention_mask": padded([[1] * len(i) for i in ids], 0)}
        if types[0]:
            flat["token_type_ids"] = padded(types, 0)
        shaped = {name: tensor.view(len(features), most, -1) for name, tensor in flat.items()}
        label = torch.tensor([feature.extra["label"] for feature in features])
        return {**shaped, "there": torch.tensor(there), "label": label, "weight": torch.ones(len(features))}

    def weight(self, feature: Feature) -> float:
        return float(feature.extra["label"] != IGNORED)

    def head(self, labels: Sequence[str]) -> dict[str, Any]:
        return {}

    def forward(self, model: "nn.Module", batch: Batch) -> Any:
        """Logits (batch, choices)."""
        import torch

        logits = wide(super().forward(model, batch))
        return logits.masked_fill(batch["there"] == 0, torch.finfo(torch.float32).min)

    def loss(self, logits: Any, batch: Batch, *, smooth: bool) -> tuple["torch.Tensor", "torch.Tensor"]:
        losses, weights = class_loss(logits, batch, 0.0)
        if not smooth or not self.label_smoothing:
            return losses, weights
        # Spread over the choices that are there, which cross_entropy cannot know of.
        there = batch["there"].bool()
        even = -logits.log_softmax(-1).masked_fill(~there, 0.0).sum(-1) / there.sum(-1)
        mixed = (1 - self.label_smoothing) * losses + self.label_smoothing * even * weights
        return mixed, weights

    def predict(self, model: "nn.Module", logits: Any, batch: Batch, frame: Frame) -> list[Any]:
        """The probability of each choice, (choices,) for each row."""
        return list(logits.softmax(-1).cpu().numpy())

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], raw: Sequence[Any], frame: Frame) -> list[Row]:
        """``{"label", "score", "scores"}``: the number of the choice from 0, its probability, and those of all."""
        out = []
        for row, probabilities in zip(rows, raw, strict=True):
            scores = [round(float(p), 4) for p in probabilities[: len(row["choices"])]]
            best = int(probabilities.argmax())
            out.append({"label": best, "score": scores[best], "scores": scores})
        return out

    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        right = sum(row["label"] == guess["label"] for row, guess in zip(rows, predictions, strict=True))
        accuracy, chance = right / max(1, len(rows)), sum(1 / len(row["choices"]) for row in rows) / max(1, len(rows))
        note = "Chance is what blind guessing would get."
        table = ReportTable(
            "Choices", note, ["accuracy", "chance", "support"], [[round(accuracy, 4), round(chance, 4), len(rows)]]
        )
        return Scores({"accuracy": accuracy}, [table])

    def text_of_row(self, row: Row) -> str:
        return "\n".join([*(row[name] for name in ("context", "question") if name in row), *row["choices"]])

    def hardest(self, rows: Sequence[Row], predictions: Sequence[Row]) -> ReportTable | None:
        asked = [" ".join(row[name] for name in ("context", "question") if name in row) for row in rows]
        gold, said = (
            [f"{each['label']}: {row['choices'][each['label']]}" for row, each in zip(rows, answers, strict=True)]
            for answers in (rows, predictions)
        )
        return hardest_rows(asked, gold, said, [each["score"] for each in predictions])

    def classes_of_row(self, row: Row) -> list[str]:
        return [str(row["label"])]

    def readable(self, row: Row, prediction: Row) -> dict[str, Any]:
        asked: Row = {name: row[name] for name in ("context", "question") if name in row}
        return {**asked, "choice": row["choices"][prediction["label"]], **prediction}

    def lines(self, row: Row, prediction: Row) -> str:
        return f"{row.get('question', row.get('context'))}\t{row['choices'][prediction['label']]}"


def _label(cells: Mapping[str, Any], choices: Sequence[str], where: str) -> int:
    """The number of the right choice from 0: of a number, a letter (A is the first), its own name, or its text."""
    cell, names = cells["label"], []
    if isinstance(cells["choices"], dict):  # {"label": ["A", "B"], "text": […]}
        names = [str(name) for name in cells["choices"].get("label", [])]
    text = text_of(int(cell) if isinstance(cell, float) and cell.is_integer() else cell, "label", where).strip()
    if text in names:
        return names.index(text)
    number = int(text) if text.isdecimal() else -1
    if len(text) == 1 and text.upper() in string.ascii_uppercase:
        number = string.ascii_uppercase.index(text.upper())
    if not 0 <= number < len(choices) and text in choices:
        return choices.index(text)
    if not 0 <= number < len(choices):
        raise UserError(
            f"the label is {text!r}, and there are {len(choices)} choices",
            where=where,
            remedy=f"give a number from 0 to {len(choices) - 1}, a letter, or the text of the right choice",
        )
    return number
