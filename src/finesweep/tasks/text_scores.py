"""Scores of text that a model writes, or could have written."""

import math
from collections.abc import Sequence
from itertools import chain

from finesweep.results.tables import ReportTable, Scores


def perplexity(loss: float) -> float:
    """The exponential of a mean loss; of a hopeless one the largest that is still a number."""
    return math.exp(min(loss, 700.0))


def distinct(texts: Sequence[str], n: int) -> float:
    """Different n-grams of words over all of them (Li et al. 2016, https://aclanthology.org/N16-1014); 0 for none."""
    grams = list(chain.from_iterable(zip(*(text.split()[i:] for i in range(n)), strict=False) for text in texts))
    return len(set(grams)) / len(grams) if grams else 0.0


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
