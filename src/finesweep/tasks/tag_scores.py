"""Scores of predicted tags: entities as conlleval counts them, and the token-level table of the tutorials."""

import warnings
from collections.abc import Sequence
from typing import Any

from seqeval.metrics import classification_report
from sklearn.metrics import accuracy_score, confusion_matrix

from finesweep.results.significance import Tally, f1_tally
from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.class_scores import COLUMNS, per_class
from finesweep.tasks.tags import entities


def score_tags(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Scores:
    """Entity-level and token-level scores over sentences in IOB2.

    Args:
        gold, predicted: one list of tags per sentence, of equal lengths; every gold word counts exactly once.

    Returns:
        ``precision``, ``recall``, ``f1``: micro average over entities (seqeval's default mode, which agrees with
        conlleval); ``token_accuracy`` and ``token_macro_f1`` over single tags, O included.
    """
    gold, predicted = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    flat_gold = [tag for tags in gold for tag in tags]
    flat_predicted = [tag for tags in predicted for tag in tags]
    tags = sorted(set(flat_gold) | set(flat_predicted), key=lambda tag: (tag == "O", tag))
    with warnings.catch_warnings():
        # No predicted entity at all is a score of zero, and O alone a table of one cell: neither needs a warning.
        warnings.simplefilter("ignore")
        by_type = classification_report(gold, predicted, output_dict=True, zero_division=0) if tags != ["O"] else {}
        counts = confusion_matrix(flat_gold, flat_predicted, labels=tags).tolist()
    micro = by_type.get("micro avg", {"precision": 0.0, "recall": 0.0, "f1-score": 0.0})
    tokens, macro_f1 = per_class(flat_gold, flat_predicted, tags)
    metrics = {
        "precision": float(micro["precision"]),
        "recall": float(micro["recall"]),
        "f1": float(micro["f1-score"]),
        "token_accuracy": float(accuracy_score(flat_gold, flat_predicted)),
        "token_macro_f1": macro_f1,
    }
    return Scores(metrics, [_entity_table(by_type), _token_table(tokens)], tags, counts)


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


def _entity_table(by_type: dict[str, dict[str, float]]) -> ReportTable:
    rows = [
        [name, *(round(float(scores[key]), 4) for key in ("precision", "recall", "f1-score")), int(scores["support"])]
        for name, scores in by_type.items()
    ]
    note = "An entity counts as found only if its first word, its last word and its type are all right (seqeval)."
    return ReportTable("Entities", note, ["type", *COLUMNS], rows)


def _token_table(rows: list[list[Any]]) -> ReportTable:
    """The shape that tutorials print, O included."""
    note = (
        "Every word's tag on its own, O included. These figures are higher than entity scores and cannot be "
        "compared with published F1."
    )
    return ReportTable("Tokens", note, ["tag", *COLUMNS], rows)
