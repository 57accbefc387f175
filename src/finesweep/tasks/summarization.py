"""Summarisation: a short text for a long one, scored by ROUGE."""

from collections.abc import Sequence
from typing import ClassVar

from finesweep.config.fields import component
from finesweep.results.tables import Scores
from finesweep.tasks.base import Row
from finesweep.tasks.text_scores import rouge
from finesweep.tasks.text_to_text import TextToText


@component
class Summarization(TextToText):
    """Scored by ROUGE-1, -2 and -L, the F measure from 0 to 1 (Lin 2004, https://aclanthology.org/W04-1013).

    Attributes:
        stemmer: whether English word endings are dropped before words are compared.
    """

    stemmer: bool

    metric_names: ClassVar[tuple[str, ...]] = ("loss", "rouge1", "rouge2", "rougeL")
    mean_metrics: ClassVar[tuple[str, ...]] = ("rouge1", "rouge2", "rougeL")

    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        gold, texts = [row["target"] for row in rows], [row["prediction"] for row in predictions]
        return rouge(gold, texts, ("rouge1", "rouge2", "rougeL"), stemmer=self.stemmer)
