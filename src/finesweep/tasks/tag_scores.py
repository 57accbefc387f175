"""Scores of predicted tags: entities as conlleval counts them, and the token-level table of the tutorials."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from seqeval.metrics.sequence_labeling import get_entities

from finesweep.results.significance import Tally, f1_tally
from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.class_scores import COLUMNS, marginals, per_class
from finesweep.tasks.tags import entities

#: Sentences that are scored together.
_SENTENCES = 1000
_Pair = tuple[Sequence[str], Sequence[str]]


def score_tags(pairs: Iterable[_Pair]) -> Scores:
    """Entity-level and token-level scores over sentences in IOB2.

    Args:
        pairs: for each sentence its gold and predicted tags, equally many; every gold word counts exactly once.

    Returns:
        ``precision``, ``recall``, ``f1``: micro average over entities (seqeval's default mode, which agrees with
        conlleval); ``token_accuracy`` and ``token_macro_f1`` over single tags, O included.
    """
    sums: list[Counter[str]] = [Counter(), Counter(), Counter()]
    taken: Counter[tuple[str, str]] = Counter()  # which tag for which
    for some in _batched(pairs):
        gold, predicted = zip(*some, strict=True)
        there, found = (set(get_entities([list(tags) for tags in each])) for each in (gold, predicted))
        for count, each in zip(sums, (there & found, found, there), strict=True):
            count.update(entity[0] for entity in each)
        for of_one in zip(gold, predicted, strict=True):
            taken.update(zip(*of_one, strict=True))
    types = sorted(sums[1].keys() | sums[2].keys())
    right, guessed, given = (np.array([count[kind] for kind in types], dtype=int) for count in sums)
    entity_rows, averages = per_class(right, guessed, given, types)
    tags = sorted({tag for pair in taken for tag in pair}, key=lambda tag: (tag == "O", tag))
    counts = [[taken[gold, predicted] for predicted in tags] for gold in tags]
    right, guessed, given = marginals(counts)
    token_rows, token_averages = per_class(right, guessed, given, tags)
    metrics = {
        **dict(zip(("precision", "recall", "f1"), averages[0].tolist(), strict=True)),
        "token_accuracy": float(right.sum() / max(1, given.sum())),
        "token_macro_f1": float(token_averages[1, 2]),
    }
    return Scores(metrics, [_entity_table(entity_rows if types else []), _token_table(token_rows)], tags, counts)


def _batched(pairs: Iterable[_Pair]) -> Iterator[list[_Pair]]:
    """So many at a time that memory does not matter."""
    every = iter(pairs)
    while some := list(islice(every, _SENTENCES)):
        yield some


def tally_tags(metric: str, gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Tally | None:
    """What each sentence adds to a metric of :func:`score_tags`."""
    pairs = list(zip(gold, predicted, strict=True))
    if metric == "token_accuracy":
        right = [sum(a == b for a, b in zip(*pair, strict=True)) for pair in pairs]
        return f1_tally([(r, len(tags), len(tags)) for r, tags in zip(right, gold, strict=True)])
    if metric not in ("f1", "precision", "recall"):
        return None
    sets = [tuple(set(entities(tags)) for tags in pair) for pair in pairs]
    return f1_tally([(len(there & found), len(found), len(there)) for there, found in sets], metric)


def _entity_table(rows: list[list[Any]]) -> ReportTable:
    note = "An entity counts as found only if its first word, its last word and its type are all right (seqeval)."
    return ReportTable("Entities", note, ["type", *COLUMNS], rows)


def _token_table(rows: list[list[Any]]) -> ReportTable:
    """The shape that tutorials print, O included."""
    note = (
        "Every word's tag on its own, O included. These figures are higher than entity scores and cannot be "
        "compared with published F1."
    )
    return ReportTable("Tokens", note, ["tag", *COLUMNS], rows)
