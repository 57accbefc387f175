"""Scores of predicted classes, sets of classes and numbers."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import (
    accuracy_score,
    matthews_corrcoef,
    mean_absolute_error,
    mean_squared_error,
)

from finesweep.results.significance import (
    Tally,
    class_tally,
    f1_tally,
    macro_f1_of_all,
    matthews,
    mean_tally,
    ratio,
)
from finesweep.results.tables import ReportTable, Scores

#: Behind the name of a class, in its row.
COLUMNS = ["precision", "recall", "f1", "support"]


def score_classes(gold: Sequence[str], predicted: Sequence[str]) -> Scores:
    """``accuracy``, ``macro_f1`` (mean over the classes that occur), ``micro_f1``, ``matthews`` (Matthews 1975)."""
    labels, counts = confusion(gold, predicted)
    rows, averages = per_class(*marginals(counts), labels)
    with warnings.catch_warnings():  # a single class has no correlation with anything: 0
        warnings.simplefilter("ignore")
        correlation = float(matthews_corrcoef(gold, predicted))
    accuracy = float(accuracy_score(gold, predicted))
    # With one class for each row every false positive is a false negative too, so that micro F1 is the accuracy.
    metrics = {"accuracy": accuracy, "macro_f1": float(averages[1, 2]), "micro_f1": accuracy, "matthews": correlation}
    return Scores(metrics, [_table(rows)], labels, counts)


def confusion(gold: Sequence[str], predicted: Sequence[str]) -> tuple[list[str], list[list[int]]]:
    """All labels, and how often each of them (rows) was taken for each (columns)."""
    labels = sorted(set(gold) | set(predicted))
    return labels, confusion_of(gold, predicted, labels)


def confusion_of(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> list[list[int]]:
    """How often each of the labels (rows) was taken for each (columns)."""
    ids = {label: index for index, label in enumerate(labels)}
    pairs = [ids[a] * len(labels) + ids[b] for a, b in zip(gold, predicted, strict=True)]
    counted = np.bincount(pairs, minlength=len(labels) ** 2).reshape(len(labels), len(labels))
    return [[int(count) for count in row] for row in counted]


def marginals(counts: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a confusion matrix the counts for :func:`per_class`."""
    matrix = np.array(counts, dtype=int).reshape(len(counts), len(counts))
    return matrix.diagonal(), matrix.sum(0), matrix.sum(1)


def score_sets(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Scores:
    """``micro_f1``, ``macro_f1`` and ``subset_accuracy``, the share of rows of which every class is right."""
    labels = sorted({label for row in (*gold, *predicted) for label in row})
    truth, guess = (np.array([[label in row for label in labels] for row in rows]) for rows in (gold, predicted))
    exact = float(np.mean([set(a) == set(b) for a, b in zip(gold, predicted, strict=True)]))
    if not labels:
        return Scores({"micro_f1": 0.0, "macro_f1": 0.0, "subset_accuracy": exact})
    rows, averages = per_class((truth & guess).sum(0), guess.sum(0), truth.sum(0), labels)
    metrics = {"micro_f1": float(averages[0, 2]), "macro_f1": float(averages[1, 2]), "subset_accuracy": exact}
    return Scores(metrics, [_table(rows)])


def per_class(right: Any, found: Any, there: Any, labels: Sequence[str]) -> tuple[list[list[Any]], np.ndarray]:
    """Rows of :data:`COLUMNS` for each class on its own, then micro, macro and weighted average.

    Args:
        right, found, there: of each class (classes,) how many were found rightly, found, and there to be found.

    Returns:
        the rows, rounded; and precision, recall and F1 of micro, macro and weighted average, (3 averages, 3).
    """
    right, found, there = (np.asarray(counts, dtype=float) for counts in (right, found, there))
    each = _measures(right, found, there)
    micro = _measures(right.sum(), found.sum(), there.sum())
    macro, weighted = each.sum(0) / max(1, len(each)), ratio(there, there.sum()) @ each
    averages = np.array([micro, macro, weighted])
    names = [*labels, "micro avg", "macro avg", "weighted avg"]
    support = [*there.astype(int).tolist(), *[int(there.sum())] * 3]
    values = np.concatenate([each, averages]).round(4).tolist()
    return [[name, *row, count] for name, row, count in zip(names, values, support, strict=True)], averages


def _measures(right: Any, found: Any, there: Any) -> np.ndarray:
    """Precision, recall and F1 (…, 3), 0 where nothing was found or was there."""
    return np.stack([ratio(right, found), ratio(right, there), ratio(2 * right, found + there)], axis=-1)


def _table(rows: list[list[Any]]) -> ReportTable:
    return ReportTable("Classes", "Each class on its own, and averages.", ["class", *COLUMNS], rows)


def score_numbers(gold: Sequence[float], predicted: Sequence[float]) -> Scores:
    """``pearson`` and ``spearman`` correlation (0 where one side is constant), ``mse`` and ``mae``; none of them is a
    number where a prediction is none."""
    if not np.isfinite(predicted).all():
        return Scores(dict.fromkeys(("pearson", "spearman", "mse", "mae"), float("nan")))
    metrics = {
        "pearson": _correlation(pearsonr, gold, predicted),
        "spearman": _correlation(spearmanr, gold, predicted),
        "mse": float(mean_squared_error(gold, predicted)),
        "mae": float(mean_absolute_error(gold, predicted)),
    }
    rows = [
        [name, *(round(float(v), 4) for v in (np.mean(values), np.std(values), np.min(values), np.max(values)))]
        for name, values in (("gold", gold), ("predicted", predicted))
    ]
    return Scores(metrics, [ReportTable("Numbers", "How both are spread.", ["", "mean", "sd", "min", "max"], rows)])


def _correlation(of: Any, gold: Sequence[float], predicted: Sequence[float]) -> float:
    if len(gold) < 2 or len(set(gold)) == 1 or len(set(predicted)) == 1:
        return 0.0
    return float(of(gold, predicted)[0])


def tally_classes(metric: str, gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> Tally | None:
    """What each row adds to a metric of :func:`score_classes`."""
    right = [a == b for a, b in zip(gold, predicted, strict=True)]
    if metric in ("accuracy", "micro_f1"):
        return mean_tally(right)
    value = {"macro_f1": macro_f1_of_all, "matthews": matthews}.get(metric)
    return class_tally(right, predicted, gold, sorted({*labels, *gold}), value) if value else None


def tally_sets(
    metric: str, gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], labels: Sequence[str]
) -> Tally | None:
    """What each row adds to a metric of :func:`score_sets`."""
    pairs = [(set(a), set(b)) for a, b in zip(gold, predicted, strict=True)]
    if metric == "subset_accuracy":
        return mean_tally([a == b for a, b in pairs])
    if metric == "micro_f1":
        return f1_tally([(len(a & b), len(b), len(a)) for a, b in pairs])
    if metric != "macro_f1":
        return None
    known = sorted({*labels, *(label for a, _ in pairs for label in a)})
    there, found = (np.array([[label in each[i] for label in known] for each in pairs]) for i in (0, 1))
    return Tally(np.concatenate([there & found, found, there], axis=1).astype(float), macro_f1_of_all)


def tally_numbers(metric: str, gold: Sequence[float], predicted: Sequence[float]) -> Tally | None:
    """What each row adds to ``pearson``, ``mse`` or ``mae`` of :func:`score_numbers`."""
    x, y = np.asarray(gold, dtype=float), np.asarray(predicted, dtype=float)
    if metric in ("mse", "mae"):
        return mean_tally((x - y) ** 2 if metric == "mse" else abs(x - y))
    if metric != "pearson":
        return None
    # Neither a shift nor a scale changes a correlation; without them rows of two systems can be exchanged.
    x, y = ((each - each.mean()) / (each.std() or 1.0) for each in (x, y))

    def value(sums: np.ndarray) -> np.ndarray:
        n, sx, sy, sxx, syy, sxy = np.moveaxis(sums, -1, 0)
        spread = np.maximum((n * sxx - sx**2) * (n * syy - sy**2), 0)
        return ratio(n * sxy - sx * sy, np.sqrt(spread))

    return Tally(np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1), value)
