"""Summarisation: a short text for a long one, scored by ROUGE."""

from collections.abc import Sequence
from typing import ClassVar

from finesweep.config.fields import component
from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.base import Row
from finesweep.tasks.text_to_text import TextToText


@component
class Summarization(TextToText):
    """Scored by ROUGE-1, -2 and -L, the F measure from 0 to 1 (Lin 2004, https://aclanthology.org/W04-1013).

    Attributes:
        stemmer: whether English word endings are dropped before words are compared.
    """

    stemmer: bool

    metric_names: ClassVar[tuple[str, ...]] = ("loss", "rouge1", "rouge2", "rougeL")

    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        gold, texts = [row["target"] for row in rows], [row["prediction"] for row in predictions]
        return rouge(gold, texts, ("rouge1", "rouge2", "rougeL"), stemmer=self.stemmer)


def rouge(gold: Sequence[str], predicted: Sequence[str], measures: Sequence[str], *, stemmer: bool) -> Scores:
    """The mean F measure of each kind of ROUGE, and a table with precision and recall."""
    from rouge_score.rouge_scorer import RougeScorer  # takes a second, and nothing else needs it

    scorer = RougeScorer(list(measures), use_stemmer=stemmer)
    every = [scorer.score(reference, text) for reference, text in zip(gold, predicted, strict=True)]
    means = {
        name: [sum(float(each[name][i]) for each in every) / max(1, len(every)) for i in range(3)] for name in measures
    }
    rows = [[name, *(round(value, 4) for value in values)] for name, values in means.items()]
    note = f"rouge-score, {'with' if stemmer else 'without'} a stemmer, mean over rows; it reads letters a to z alone."
    table = ReportTable("ROUGE", note, ["measure", "precision", "recall", "f"], rows)
    return Scores({name: values[2] for name, values in means.items()}, [table])
