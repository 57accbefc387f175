"""Label sets: which classes there are and in what order, what training never saw, how much each class counts."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from finesweep.config.errors import UserError, did_you_mean
from finesweep.data.base import DataSource
from finesweep.data.table import Table
from finesweep.tasks.base import Row
from finesweep.tasks.cells import class_of

Classes = Callable[[Row], Sequence[str]]


def known_labels(
    splits: Mapping[str, Sequence[Row]],
    classes: Classes,
    source: DataSource,
    tables: Mapping[str, Table],
    labels: Sequence[str] | None,
    *,
    several: bool = False,
) -> tuple[list[str], list[str]]:
    """The label set, and what is to be said of labels that training has not seen.

    Args:
        labels: those that a trained model knows; None takes them from the training rows, see :func:`labels_of`.
        several: whether a row may have any number of classes, so that one class alone is something to learn.

    Raises:
        UserError: as :func:`labels_of`, or there is one class only.
    """
    known = list(labels) if labels is not None else labels_of(splits, classes, source, tables)
    if len(known) < 2 and not several:
        message = f"the training data has one class only, '{known[0]}'"
        raise UserError(message, where=tables["train"].path, remedy="check data.label_column")
    return known, unseen_notes(splits, classes, tables, labels)


def class_label(cell: Any, source: DataSource, where: str) -> str:
    """The class of a cell by ``data.label_names`` and ``data.label_map``. Raises as :func:`class_of`."""
    label = class_of(cell, source.label_names, where)
    return renamed(listed(label, source, where), source)


def listed(label: str, source: DataSource, where: str) -> str:
    """A label that ``data.label_names`` has, if there are any.

    Raises:
        UserError: it has not.
    """
    known = {*source.label_names, *source.label_map}
    if source.label_names and label not in known:
        hint = did_you_mean(label, known, otherwise=f" There are: {', '.join(source.label_names)}.")
        raise UserError(f"there is no class '{label}' in data.label_names.{hint}", where=where)
    return label


def labels_of(
    splits: Mapping[str, Sequence[Row]], classes: Classes, source: DataSource, tables: Mapping[str, Table]
) -> list[str]:
    """The classes of the training rows, in the order of ``data.label_names`` if given, else sorted.

    Raises:
        UserError: ``data.label_map`` names a class that there is not, or no training row has a class.
    """
    found = {label for row in splits["train"] for label in classes(row)}
    every = found | {label for rows in splits.values() for row in rows for label in classes(row)}
    for new in source.label_map.values():
        if new not in every:
            old = [key for key, value in source.label_map.items() if value == new]
            hint = did_you_mean(old[0], every, otherwise=f" There are: {', '.join(sorted(every))}.")
            raise UserError(f"'{old[0]}' matches no label of the data.{hint}", where="data.label_map")
    if source.label_names:
        named = list(dict.fromkeys(renamed(name, source) for name in source.label_names))
        return [*named, *sorted(found - set(named))]
    if not found:
        raise UserError("no training row has a class", where=tables["train"].path, remedy="check data.label_column")
    numbers = all(re.fullmatch(r"-?\d+", label) for label in found)
    return sorted(found, key=lambda label: (int(label), label)) if numbers else sorted(found)


def renamed(label: str, source: DataSource) -> str:
    """The label under its name in ``data.label_map``."""
    return source.label_map.get(label, label)


def unseen_notes(
    splits: Mapping[str, Sequence[Row]], classes: Classes, tables: Mapping[str, Table], labels: Sequence[str] | None
) -> list[str]:
    """What is to be said about classes that training has not seen, with a count."""
    seen = set(labels) if labels is not None else {label for row in splits["train"] for label in classes(row)}
    notes = []
    for split, rows in splits.items():
        unseen = [(label, index) for index, row in enumerate(rows) for label in classes(row) if label not in seen]
        if unseen:
            counts = Counter(label for label, _ in unseen)
            each = ", ".join(f"{label} ({count})" for label, count in sorted(counts.items()))
            note = f"{tables[split].path}: labels that training has not seen and no model can learn: {each}"
            notes.append(f"{note}; the first at {tables[split].where(unseen[0][1])}")
    return notes


def weigh(
    rows: Sequence[Row], setting: Literal["balanced"] | Mapping[str, float] | None, labels: Sequence[str]
) -> None:
    """Give training rows the ``weight`` of their class; null leaves them without.

    ``balanced`` is ``rows / (classes * rows of the class)`` (King and Zeng 2001), so that the mean over rows is 1.

    Raises:
        UserError: a weight without its class.
    """
    if setting is None:
        return
    if setting == "balanced":
        counts = Counter(row["label"] for row in rows)
        weights = {label: len(rows) / (len(counts) * count) for label, count in counts.items()}
    else:
        assert not isinstance(setting, str)
        for name in setting:
            if name not in labels:
                hint = did_you_mean(name, labels, otherwise=f" There are: {', '.join(labels)}.")
                raise UserError(f"there is no class '{name}'.{hint}", where="task.class_weights")
        weights = {label: float(setting.get(label, 1.0)) for label in labels}
    for row in rows:
        row["weight"] = weights[row["label"]]
