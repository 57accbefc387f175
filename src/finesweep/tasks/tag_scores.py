"""Scores of predicted tags: entities as conlleval counts them, and the token-level table of the tutorials."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from seqeval.metrics.sequence_labeling import get_entities

from finesweep.results.significance import Tally, f1_tally
from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.class_scores import COLUMNS, confusion_of, marginals, per_class
from finesweep.tasks.tags import entities


def score_tags(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Scores:
    """Entity-level and token-level scores over sentences in IOB2.

    Args:
        gold, predicted: one list of tags per sentence, of equal lengths; every gold word counts exactly once.

    Returns:
        ``precision``, ``recall``, ``f1``: micro average over entities (seqeval's default mode, which agrees with
        conlleval); ``token_accuracy`` and ``token_macro_f1`` over single tags, O included.
    """
    there, found = (set(get_entities([list(tags) for tags in each])) for each in (gold, predicted))
    types = sorted({entity[0] for entity in there | found})
    sums = [Counter(entity[0] for entity in each) for each in (there & found, found, there)]
    right, guessed, given = (np.array([counts[kind] for kind in types], dtype=int) for counts in sums)
    entity_rows, averages = per_class(right, guessed, given, types)
    flat_gold = [tag for tags in gold for tag in tags]
    flat_predicted = [tag for tags in predicted for tag in tags]
    tags = sorted(set(flat_gold) | set(flat_predicted), key=lambda tag: (tag == "O", tag))
    counts = confusion_of(flat_gold, flat_predicted, tags)
    right, guessed, given = marginals(counts)
    token_rows, token_averages = per_class(right, guessed, given, tags)
    metrics = {
        **dict(zip(("precision", "recall", "f1"), averages[0].tolist(), strict=True)),
        "token_accuracy": float(right.sum() / max(1, given.sum())),
        "token_macro_f1": float(token_averages[1, 2]),
    }
    return Scores(metrics, [_entity_table(entity_rows if types else []), _token_table(token_rows)], tags, counts)


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
