"""Relation extraction: which relation two marked entities of a sentence stand in, and in which direction."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from finesweep.config.errors import UserError
from finesweep.config.fields import Positive, Probability, component
from finesweep.data.base import DataSource
from finesweep.data.table import Table, notes_of
from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.base import Batch, Examples, Feature, Frame, Row, Task
from finesweep.tasks.cells import text_of
from finesweep.tasks.hardest import hardest_rows
from finesweep.tasks.labels import class_label, known_labels, weigh
from finesweep.tasks.tensors import IGNORED, class_loss, model_batch, special_ids

if TYPE_CHECKING:
    import torch
    from torch import nn

    from finesweep.results.significance import Tally

_MARKED = re.compile(r"<(e[12])>(.*?)</\1>", re.DOTALL)


@component
class RelationExtraction(Task):
    """The label of two entities, predicted from the states of the tokens that mark where each begins.

    The markers are tokens that every vocabulary has, so that they need no training of their own (Zhou and Chen 2022,
    https://arxiv.org/abs/2102.01373). A linear head on both states together (Baldini Soares et al. 2019,
    https://arxiv.org/abs/1906.03158) is the sum of one on each: the model is a plain token classifier of twice as many
    outputs, of which the first half is read off at the first entity and the second half at the second.

    Attributes:
        markers: what stands before and behind the first entity, and before and behind the second.
        negative_label: the label of no relation, which the score leaves out; null where there is none.
        label_smoothing: probability mass that training spreads over all labels (Szegedy et al. 2016).
        class_weights: how much a row of a label counts in training; null, ``balanced``, or a weight for each.
    """

    markers: list[str]
    negative_label: str | None
    label_smoothing: Probability
    class_weights: Literal["balanced"] | dict[str, Positive] | None

    metric_names: ClassVar[tuple[str, ...]] = ("loss", "f1", "precision", "recall", "micro_f1", "accuracy")
    auto_class: ClassVar[str] = "AutoModelForTokenClassification"
    peft_type: ClassVar[str | None] = "TOKEN_CLS"
    of_subwords: ClassVar[bool] = True

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        yield from Task.problems(self, cfg)
        if len(self.markers) != 4:
            yield "task.markers", f"should be four, before and behind each entity, not {len(self.markers)}"

    # --- data ---------------------------------------------------------------------------------------------------

    def read(self, tables: Mapping[str, Table], source: DataSource, labels: Sequence[str] | None = None) -> Examples:
        splits = {
            split: [self._row(cells, source, where) for where, cells in table.records()]
            for split, table in tables.items()
        }
        known, unseen = known_labels(splits, self.classes_of_row, source, tables, labels)
        notes = [*notes_of(tables), *unseen]
        if labels is None:
            if self.negative_label is not None and self.negative_label not in known:
                notes.append(f"no training row has the label '{self.negative_label}' (task.negative_label)")
            weigh(splits["train"], self.class_weights, known)
        return Examples(splits, known, notes)

    def _row(self, cells: Mapping[str, Any], source: DataSource, where: str) -> Row:
        row = marked(text_of(cells["text"], "text", where), where)
        return {**row, "label": class_label(cells["label"], source, where)}

    def encode(self, rows: Sequence[Row], frame: Frame) -> list[Feature]:
        self._check_markers(frame)
        if not rows:
            return []
        ids = {label: index for index, label in enumerate(frame.labels)}
        before, after = special_ids(frame.tokenizer)
        capacity = frame.max_length - len(before) - len(after)
        texts, starts = zip(*(self._with_markers(row) for row in rows), strict=True)
        encodings = frame.tokenizer(list(texts), add_special_tokens=False, verbose=False).encodings
        features = []
        for index, (row, encoding, characters) in enumerate(zip(rows, encodings, starts, strict=True)):
            first, second = (encoding.char_to_token(character) for character in characters)
            begin = _begin(first, second, len(encoding.ids), capacity, row)
            extra = {
                "positions": [len(before) + first - begin, len(before) + second - begin],
                "label": ids.get(row.get("label", ""), IGNORED),
                "weight": row.get("weight", 1.0),
            }
            body = encoding.ids[begin : begin + capacity]
            features.append(Feature(index, [*before, *body, *after], extra, len(encoding.ids) - len(body)))
        return features

    def _with_markers(self, row: Row) -> tuple[str, tuple[int, int]]:
        """The text with its markers, and at which characters those before the first and the second entity stand."""
        text, out, done, starts = row["text"], "", 0, {}
        around = {"e1": self.markers[:2], "e2": self.markers[2:]}
        for name in sorted(around, key=lambda name: row[name]):
            (start, end), (before, behind) = row[name], around[name]
            out += f"{text[done:start].strip()} ".lstrip()
            starts[name] = len(out)
            out += f"{before} {text[start:end].strip()} {behind} "
            done = end
        return (out + text[done:].strip()).strip(), (starts["e1"], starts["e2"])

    def _check_markers(self, frame: Frame) -> None:
        tokenizer = frame.tokenizer
        for marker in self.markers:
            ids = tokenizer(f"a {marker} a", add_special_tokens=False)["input_ids"]
            around = tokenizer("a a", add_special_tokens=False)["input_ids"]
            if len(ids) != len(around) + 1 or tokenizer.unk_token_id in ids:
                raise UserError(
                    f"'{marker}' is not one token of the model's vocabulary",
                    where="task.markers",
                    remedy="name tokens that it has: they would be untrained otherwise",
                )

    def collate(self, features: Sequence[Feature], frame: Frame) -> dict[str, "torch.Tensor"]:
        """Adds ``positions`` (batch, 2), where the two markers stand, and ``label`` and ``weight`` (batch,)."""
        import torch

        names = ("positions", "label", "weight")
        extra = {name: torch.tensor([feature.extra[name] for feature in features]) for name in names}
        return {**model_batch(features, frame), **extra}

    def weight(self, feature: Feature) -> float:
        return float(feature.extra["weight"]) if feature.extra["label"] != IGNORED else 0.0

    # --- model --------------------------------------------------------------------------------------------------

    def head(self, labels: Sequence[str]) -> dict[str, Any]:
        return super().head([f"{label}@{entity}" for entity in ("e1", "e2") for label in labels])

    def forward(self, model: "nn.Module", batch: Batch) -> Any:
        """Logits (batch, labels)."""
        every = super().forward(model, batch)  # (batch, seq, 2 * labels)
        marked_states = every.gather(1, batch["positions"].unsqueeze(-1).expand(-1, -1, every.size(-1)))
        half = every.size(-1) // 2
        return marked_states[:, 0, :half] + marked_states[:, 1, half:]

    def loss(self, logits: Any, batch: Batch, *, smooth: bool) -> tuple["torch.Tensor", "torch.Tensor"]:
        return class_loss(logits, batch, self.label_smoothing if smooth else 0.0)

    def predict(self, model: "nn.Module", logits: Any, batch: Batch, frame: Frame) -> list[Any]:
        """Pairs (label id, probability)."""
        best = logits.float().softmax(-1).max(-1)
        return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))

    # --- predictions --------------------------------------------------------------------------------------------

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], raw: Sequence[Any], frame: Frame) -> list[Row]:
        """``{"label", "score"}``."""
        return [{"label": frame.labels[best], "score": round(score, 4)} for best, score in raw]

    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        from finesweep.tasks.relation_scores import score_relations

        gold, predicted = ([row["label"] for row in each] for each in (rows, predictions))
        return score_relations(gold, predicted, self.negative_label)

    def tally(
        self, metric: str, rows: Sequence[Row], predictions: Sequence[Row], labels: Sequence[str]
    ) -> "Tally | None":
        from finesweep.tasks.relation_scores import tally_relations

        gold, predicted = ([row["label"] for row in each] for each in (rows, predictions))
        return tally_relations(metric, gold, predicted, labels, self.negative_label)

    def hardest(self, rows: Sequence[Row], predictions: Sequence[Row]) -> ReportTable | None:
        pairs = [" and ".join(row["text"][slice(*row[name])] for name in ("e1", "e2")) for row in rows]
        texts = [f"{pair}: {row['text']}" for pair, row in zip(pairs, rows, strict=True)]
        gold, said = ([row["label"] for row in each] for each in (rows, predictions))
        return hardest_rows(texts, gold, said, [each["score"] for each in predictions])

    def classes_of_row(self, row: Row) -> list[str]:
        return [row["label"]]

    def row_from_object(self, value: Mapping[str, Any], where: str) -> Row:
        return marked(super().row_from_object(value, where)["text"], where)

    def readable(self, row: Row, prediction: Row) -> dict[str, Any]:
        entities = {name: row["text"][slice(*row[name])] for name in ("e1", "e2")}
        return {"text": row["text"], **entities, **prediction}

    def lines(self, row: Row, prediction: Row) -> str:
        e1, e2 = (row["text"][slice(*row[name])] for name in ("e1", "e2"))
        return f"{e1}\t{e2}\t{prediction['label']}"


def marked(text: str, where: str) -> Row:
    """``{"text", "e1": [start, end], "e2": [start, end]}`` of a text with ``<e1>…</e1>`` and ``<e2>…</e2>`` in it.

    Raises:
        UserError: one of the two is not marked exactly once, or is empty.
    """
    plain, done, spans = "", 0, {}
    for match in _MARKED.finditer(text):
        plain += text[done : match.start()]
        if match[1] in spans:
            raise UserError(f"<{match[1]}> is marked more than once", where=where)
        if not match[2].strip():
            raise UserError(f"<{match[1]}> marks nothing", where=where)
        spans[match[1]] = [len(plain), len(plain) + len(match[2])]
        plain, done = plain + match[2], match.end()
    plain += text[done:]
    missing = [name for name in ("e1", "e2") if name not in spans]
    if missing or re.search(r"</?e[12]>", plain):
        what = f"<{missing[0]}>…</{missing[0]}> is missing" if missing else "a mark is left over"
        raise UserError(
            f"{what} in {text[:60]!r}", where=where, remedy="mark the entities: <e1>Ada</e1> met <e2>Bob</e2>"
        )
    return {"text": plain, **spans}


def _begin(first: int, second: int, length: int, capacity: int, row: Row) -> int:
    """Where a window on a long sentence begins, with both markers in it, in the middle if possible."""
    low, high = min(first, second), max(first, second)
    if high - low + 2 > capacity:
        raise UserError(
            f"the two entities are {high - low} sub-words apart, more than fit: {row['text'][:60]!r}",
            where="data.max_length",
            remedy="set a larger one",
        )
    return max(0, min((low + high + 1 - capacity) // 2, length - capacity)) if length > capacity else 0
