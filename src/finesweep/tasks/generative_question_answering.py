"""Generative question answering: an answer in the model's own words, from a context or from memory alone."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from finesweep.config.fields import component
from finesweep.data.base import DataSource
from finesweep.data.table import Table, notes_of
from finesweep.results.tables import Scores
from finesweep.tasks.answer_scores import score_answers
from finesweep.tasks.base import Examples, Row
from finesweep.tasks.cells import text_of
from finesweep.tasks.text_to_text import TextToText


@component
class GenerativeQuestionAnswering(TextToText):
    """Question and context become one source text (Raffel et al. 2020, https://arxiv.org/abs/1910.10683, appendix D).

    The first gold answer is learned; scores count the best of them, as SQuAD's script does.

    Attributes:
        no_answer: what is written where there is no answer.
    """

    no_answer: str

    metric_names: ClassVar[tuple[str, ...]] = ("loss", "exact_match", "f1")
    mean_metrics: ClassVar[tuple[str, ...]] = ("exact_match", "f1")
    optional_columns: ClassVar[frozenset[str]] = frozenset({"context"})

    def read(self, tables: Mapping[str, Table], source: DataSource, labels: Sequence[str] | None = None) -> Examples:
        splits = {
            split: [self._row(cells, where) for where, cells in table.records()] for split, table in tables.items()
        }
        return Examples(splits, [], notes_of(tables))

    def _row(self, cells: Mapping[str, Any], where: str) -> Row:
        answers = _texts(cells["answer"], where)
        return {**_asked(cells, where), "answers": answers, "target": answers[0] if answers else self.no_answer}

    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        written = [row["prediction"] for row in predictions]
        return score_answers([row["answers"] for row in rows], ["" if t == self.no_answer else t for t in written])

    def row_from_object(self, value: Mapping[str, Any], where: str) -> Row:
        """``{"question", "context"}``, or a question alone, also under the name ``text``."""
        return _asked({"question": value.get("text"), **value}, where)


def _asked(cells: Mapping[str, Any], where: str) -> Row:
    names = ("question", "context") if str(cells.get("context") or "").strip() else ("question",)
    return {"source": " ".join(f"{name}: {text_of(cells[name], name, where)}" for name in names)}


def _texts(cell: Any, where: str) -> list[str]:
    """The gold answers of a cell in SQuAD's forms, as a list of texts, or as one text."""
    if cell is None or cell == "":
        return []
    if isinstance(cell, dict):
        cell = cell.get("text")
    every = cell if isinstance(cell, list) else [cell]
    return [text_of(each.get("text") if isinstance(each, dict) else each, "answer", where) for each in every]
