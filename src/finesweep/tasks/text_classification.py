"""Classes or a number for a text, or for a pair of texts: one class, any number of classes, or a score."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from finesweep.config.errors import UserError
from finesweep.config.fields import Fraction, Positive, Probability, component
from finesweep.data.base import DataSource
from finesweep.data.table import Table, notes_of
from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.base import Batch, Examples, Feature, Frame, Kind, Row, Task
from finesweep.tasks.cells import classes_of, is_flags, number_of, text_of
from finesweep.tasks.hardest import hardest_rows
from finesweep.tasks.labels import class_label, known_labels, listed, renamed, weigh
from finesweep.tasks.tensors import IGNORED, class_loss, encode_texts, model_batch, wide

if TYPE_CHECKING:
    import torch
    from torch import nn

    from finesweep.results.significance import Tally


@component
class TextTask(Task):
    """What the three have in common: a text or a pair of them, and a head on the whole of it."""

    optional_columns: ClassVar[frozenset[str]] = frozenset({"text_pair"})
    fast_tokenizer: ClassVar[bool] = False
    kinds: ClassVar[tuple[Kind, ...]] = ("encoder", "decoder")
    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"
    pipeline: ClassVar[str] = '"text-classification"'
    peft_type: ClassVar[str | None] = "SEQ_CLS"
    #: Whether a label is a class, and not a number; and whether a row may have several.
    has_classes: ClassVar[bool] = True
    several_classes: ClassVar[bool] = False
    #: What :meth:`error` is called and means, where it is no probability.
    errors_by: ClassVar[tuple[str, ...]] = ()

    def read(self, tables: Mapping[str, Table], source: DataSource, labels: Sequence[str] | None = None) -> Examples:
        paired = {split: "text_pair" in table.found for split, table in tables.items()}
        if len(set(paired.values())) > 1:
            lacking = next(split for split, there in paired.items() if not there)
            raise UserError("there is no text_pair here, but in another split", where=tables[lacking].path)
        splits = {split: self._rows(table, source) for split, table in tables.items()}
        if not self.has_classes:
            return Examples(splits, [], notes_of(tables))
        known, unseen = known_labels(splits, self.classes_of_row, source, tables, labels, several=self.several_classes)
        if labels is None:
            self.weigh_rows(splits["train"], known)
        return Examples(splits, known, [*notes_of(tables), *unseen])

    def _rows(self, table: Table, source: DataSource) -> list[Row]:
        rows = []
        label_of = self.label_reader(table, source)
        for where, cells in table.records():
            row: Row = {name: text_of(cells[name], name, where) for name in ("text", "text_pair") if name in cells}
            rows.append(row | {"label": label_of(cells["label"], where)})
        return rows

    @abstractmethod
    def label_reader(self, table: Table, source: DataSource) -> Callable[[Any, str], Any]:
        """What makes the gold label of a cell and its place. It raises UserError with file and line."""

    def weigh_rows(self, rows: Sequence[Row], labels: Sequence[str]) -> None:
        """Give training rows a ``weight``, if they are not to count alike."""

    def encode(self, rows: Sequence[Row], frame: Frame) -> list[Feature]:
        ids = {label: index for index, label in enumerate(frame.labels)}
        paired = sum("text_pair" in row for row in rows)
        if 0 < paired < len(rows):
            raise UserError(f"{paired} of {len(rows)} rows have a text_pair, and the others have none", where="data")
        pairs = [row["text_pair"] for row in rows] if paired else None
        encoded = encode_texts(frame, [row["text"] for row in rows], pairs)
        return [
            Feature(index, ids_of_row, {**extra, **self.target(row, ids), "weight": row.get("weight", 1.0)}, cut)
            for index, (row, (ids_of_row, extra, cut)) in enumerate(zip(rows, encoded, strict=True))
        ]

    @abstractmethod
    def target(self, row: Row, ids: Mapping[str, int]) -> dict[str, Any]:
        """``{"label": …}`` as ``collate`` puts it into a tensor."""

    def collate(self, features: Sequence[Feature], frame: Frame) -> dict[str, "torch.Tensor"]:
        """Adds ``label`` and ``weight`` (batch,), ``label`` being (batch, labels) where there may be several."""
        import torch

        extra = {key: torch.tensor([feature.extra[key] for feature in features]) for key in ("label", "weight")}
        return {**model_batch(features, frame), **extra}

    def weight(self, feature: Feature) -> float:
        return float(feature.extra["weight"])

    def row_from_object(self, value: Mapping[str, Any], where: str) -> Row:
        row = super().row_from_object(value, where)
        return {**row, "text_pair": text_of(value["text_pair"], "text_pair", where)} if "text_pair" in value else row

    def text_of_row(self, row: Row) -> str:
        return "\n".join(row[name] for name in ("text", "text_pair") if name in row)

    def readable(self, row: Row, prediction: Row) -> dict[str, Any]:
        return {**{name: row[name] for name in ("text", "text_pair") if name in row}, **prediction}

    def hardest(self, rows: Sequence[Row], predictions: Sequence[Row]) -> ReportTable | None:
        gold, said = ([row["label"] for row in each] for each in (rows, predictions))
        size = [self.error(*pair) for pair in zip(rows, predictions, strict=True)]
        return hardest_rows([self.text_of_row(row) for row in rows], gold, said, size, *self.errors_by)

    def error(self, row: Row, prediction: Row) -> float:
        """How large the error of a wrong row is: the probability of what was predicted."""
        return float(prediction["score"])

    def lines(self, row: Row, prediction: Row) -> str:
        label = prediction["label"]
        return f"{row['text']}\t{','.join(label) if isinstance(label, list) else label}"


@component
class TextClassification(TextTask):
    """One class for each text.

    Attributes:
        label_smoothing: probability mass that training spreads over all classes (Szegedy et al. 2016).
        class_weights: how much a row of a class counts in training: null for 1, ``balanced`` for the inverse of how
            often the class occurs, or a weight for each class.
    """

    label_smoothing: Probability
    class_weights: Literal["balanced"] | dict[str, Positive] | None

    metric_names: ClassVar[tuple[str, ...]] = ("loss", "accuracy", "macro_f1", "micro_f1", "matthews")

    def head(self, labels: Sequence[str]) -> dict[str, Any]:
        return {**super().head(labels), "problem_type": "single_label_classification"}

    def label_reader(self, table: Table, source: DataSource) -> Callable[[Any, str], Any]:
        return lambda cell, where: class_label(cell, source, where)

    def weigh_rows(self, rows: Sequence[Row], labels: Sequence[str]) -> None:
        weigh(rows, self.class_weights, labels)

    def target(self, row: Row, ids: Mapping[str, int]) -> dict[str, Any]:
        return {"label": ids.get(row.get("label", ""), IGNORED)}

    def weight(self, feature: Feature) -> float:
        return float(feature.extra["weight"]) if feature.extra["label"] != IGNORED else 0.0

    def loss(self, logits: Any, batch: Batch, *, smooth: bool) -> tuple["torch.Tensor", "torch.Tensor"]:
        return class_loss(logits, batch, self.label_smoothing if smooth else 0.0)

    def predict(self, model: "nn.Module", logits: Any, batch: Batch, frame: Frame) -> list[Any]:
        """The probabilities of all classes, (labels,) for each row."""
        return list(logits.float().softmax(-1).cpu().numpy())

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], raw: Sequence[Any], frame: Frame) -> list[Row]:
        """``{"label", "score", "scores"}``: the likeliest class, its probability, and those of all."""
        out = []
        for probabilities in raw:
            best = int(probabilities.argmax())
            scores = {label: round(float(p), 4) for label, p in zip(frame.labels, probabilities, strict=True)}
            out.append({"label": frame.labels[best], "score": scores[frame.labels[best]], "scores": scores})
        return out

    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        from finesweep.tasks.class_scores import score_classes

        return score_classes([row["label"] for row in rows], [row["label"] for row in predictions])

    def tally(
        self, metric: str, rows: Sequence[Row], predictions: Sequence[Row], labels: Sequence[str]
    ) -> "Tally | None":
        from finesweep.tasks.class_scores import tally_classes

        return tally_classes(metric, [row["label"] for row in rows], [row["label"] for row in predictions], labels)

    def classes_of_row(self, row: Row) -> list[str]:
        return [row["label"]]


@component
class MultiLabelClassification(TextTask):
    """Any number of classes for each text, each decided on its own.

    Attributes:
        threshold: the probability from which a class is predicted.
    """

    threshold: Fraction

    metric_names: ClassVar[tuple[str, ...]] = ("loss", "micro_f1", "macro_f1", "subset_accuracy")
    several_classes: ClassVar[bool] = True
    errors_by: ClassVar[tuple[str, ...]] = ("furthest off", "Wrong rows, by the probability furthest off.")

    def head(self, labels: Sequence[str]) -> dict[str, Any]:
        return {**super().head(labels), "problem_type": "multi_label_classification"}

    def label_reader(self, table: Table, source: DataSource) -> Callable[[Any, str], Any]:
        names = source.label_names
        flags = table.of_all("flags", lambda rows: all(is_flags(cells["label"], len(names)) for cells in rows))

        def read(cell: Any, where: str) -> list[str]:
            found = classes_of(cell, names, where, flags=flags)
            return sorted({renamed(listed(label, source, where), source) for label in found})

        return read

    def target(self, row: Row, ids: Mapping[str, int]) -> dict[str, Any]:
        gold = set(row.get("label", ()))
        return {"label": [float(label in gold) for label in ids]}

    def loss(self, logits: Any, batch: Batch, *, smooth: bool) -> tuple["torch.Tensor", "torch.Tensor"]:
        from torch.nn.functional import binary_cross_entropy_with_logits

        losses = binary_cross_entropy_with_logits(wide(logits), batch["label"], reduction="none")
        return losses.mean(-1), batch["weight"]

    def predict(self, model: "nn.Module", logits: Any, batch: Batch, frame: Frame) -> list[Any]:
        """The probability of each class, (labels,) for each row."""
        return list(logits.float().sigmoid().cpu().numpy())

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], raw: Sequence[Any], frame: Frame) -> list[Row]:
        """``{"label": [classes], "scores"}``."""
        out = []
        for probabilities in raw:
            scores = {label: round(float(p), 4) for label, p in zip(frame.labels, probabilities, strict=True)}
            chosen = [label for label, p in zip(frame.labels, probabilities, strict=True) if p >= self.threshold]
            out.append({"label": chosen, "scores": scores})
        return out

    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        from finesweep.tasks.class_scores import score_sets

        return score_sets([row["label"] for row in rows], [row["label"] for row in predictions])

    def tally(
        self, metric: str, rows: Sequence[Row], predictions: Sequence[Row], labels: Sequence[str]
    ) -> "Tally | None":
        from finesweep.tasks.class_scores import tally_sets

        return tally_sets(metric, [row["label"] for row in rows], [row["label"] for row in predictions], labels)

    def error(self, row: Row, prediction: Row) -> float:
        return float(max(abs(p - (label in row["label"])) for label, p in prediction["scores"].items()))

    def classes_of_row(self, row: Row) -> list[str]:
        return list(row["label"])


@component
class TextRegression(TextTask):
    """A number for each text."""

    metric_names: ClassVar[tuple[str, ...]] = ("loss", "pearson", "spearman", "mse", "mae")
    pipeline: ClassVar[str] = '"text-classification", function_to_apply="none"'
    has_classes: ClassVar[bool] = False
    errors_by: ClassVar[tuple[str, ...]] = ("error", "Rows whose number is furthest off.")

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        yield from Task.problems(self, cfg)
        if cfg["data"]["label_names"] or cfg["data"]["label_map"]:
            yield "data", "label_names and label_map name classes, and regression has none"

    def head(self, labels: Sequence[str]) -> dict[str, Any]:
        return {"num_labels": 1, "problem_type": "regression"}

    def label_reader(self, table: Table, source: DataSource) -> Callable[[Any, str], Any]:
        return lambda cell, where: number_of(cell, "label", where)

    def target(self, row: Row, ids: Mapping[str, int]) -> dict[str, Any]:
        return {"label": row.get("label", float("nan"))}

    def loss(self, logits: Any, batch: Batch, *, smooth: bool) -> tuple["torch.Tensor", "torch.Tensor"]:
        """The squared error."""
        return (wide(logits).squeeze(-1) - batch["label"]) ** 2, batch["weight"]

    def predict(self, model: "nn.Module", logits: Any, batch: Batch, frame: Frame) -> list[Any]:
        return [float(value) for value in logits.float().squeeze(-1)]

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], raw: Sequence[Any], frame: Frame) -> list[Row]:
        return [{"label": value} for value in raw]

    def readable(self, row: Row, prediction: Row) -> dict[str, Any]:
        return {**super().readable(row, prediction), "label": float(f"{prediction['label']:.5g}")}

    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        from finesweep.tasks.class_scores import score_numbers

        return score_numbers([row["label"] for row in rows], [row["label"] for row in predictions])

    def error(self, row: Row, prediction: Row) -> float:
        return float(abs(row["label"] - prediction["label"]))

    def tally(
        self, metric: str, rows: Sequence[Row], predictions: Sequence[Row], labels: Sequence[str]
    ) -> "Tally | None":
        from finesweep.tasks.class_scores import tally_numbers

        return tally_numbers(metric, [row["label"] for row in rows], [row["label"] for row in predictions])
