"""The official score of SemEval-2010 task 8: macro F1 over relations, direction taken into account, one label left out.

Hendrickx et al. 2010, https://aclanthology.org/S10-1006; figures agree with the task's own scorer, version 1.2.
"""

import re
from collections.abc import Sequence
from typing import Any

from finesweep.results.significance import Tally, class_tally, macro_f1, mean_tally
from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.class_scores import confusion

_DIRECTION = re.compile(r"\(e[12],e[12]\)$")


def score_relations(gold: Sequence[str], predicted: Sequence[str], negative: str | None) -> Scores:
    """``f1``, ``precision`` and ``recall``: the mean over the relations of the gold labels; ``micro_f1``, ``accuracy``.

    ``R(e1,e2)`` and ``R(e2,e1)`` are one relation R in two directions, and a wrong direction is a wrong answer that
    counts against the relation's precision and recall. ``negative`` is no relation and left out of all but accuracy.
    """
    truth, guess = ([_DIRECTION.sub("", label) for label in labels] for labels in (gold, predicted))
    relations = sorted(set(truth) - {negative})
    rows: list[list[Any]] = []
    for relation in relations:
        right = sum(a == b and t == relation for a, b, t in zip(gold, predicted, truth, strict=True))
        rows.append([relation, *_measures(right, guess.count(relation), truth.count(relation)), truth.count(relation)])
    right = sum(a == b and t != negative for a, b, t in zip(gold, predicted, truth, strict=True))
    found, there = sum(label in relations for label in guess), sum(label in relations for label in truth)
    micro = _measures(right, found, there)
    macro = [sum(row[i] for row in rows) / max(1, len(rows)) for i in (1, 2, 3)]
    metrics = {
        "f1": macro[2],
        "precision": macro[0],
        "recall": macro[1],
        "micro_f1": micro[2],
        "accuracy": sum(a == b for a, b in zip(gold, predicted, strict=True)) / max(1, len(gold)),
    }
    rows = [*rows, ["micro avg", *micro, there], ["macro avg", *macro, there]]
    note = "Both directions of a relation together; one in the wrong direction is wrong (SemEval-2010 task 8's scorer)."
    note += f" '{negative}' is left out." if negative is not None else ""
    table = ReportTable(
        "Relations",
        note,
        ["relation", "precision", "recall", "f1", "support"],
        [[row[0], *(round(value, 4) for value in row[1:4]), row[4]] for row in rows],
    )
    return Scores(metrics, [table], *confusion(gold, predicted))


def tally_relations(
    metric: str, gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str], negative: str | None
) -> Tally | None:
    """What each row adds to ``f1`` or ``accuracy`` of :func:`score_relations`."""
    if metric == "accuracy":
        return mean_tally([a == b for a, b in zip(gold, predicted, strict=True)])
    if metric != "f1":
        return None
    truth, guess, known = ([_DIRECTION.sub("", label) for label in each] for each in (gold, predicted, labels))
    right = [a == b for a, b in zip(gold, predicted, strict=True)]
    return class_tally(right, guess, truth, sorted({*known, *truth} - {negative}), macro_f1)


def _measures(right: int, found: int, there: int) -> tuple[float, float, float]:
    """Precision, recall and F1, 0 where nothing is to be divided by."""
    precision, recall = right / found if found else 0.0, right / there if there else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0
