"""The best configuration from near: its scores by label, its confusion, its hardest errors."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finesweep.results.leaderboard import Entry
from finesweep.results.page.links import href
from finesweep.results.record import RunRecord
from finesweep.results.report import DATA

#: Labels that a confusion matrix has room for.
_LABELS = 24


def best_run(entry: Entry) -> RunRecord:
    """Of the runs of a configuration the one in the middle: the best would flatter it."""
    ranked = sorted(entry.records, key=lambda record: record.objective["value"])
    return ranked[(len(ranked) - 1) // 2]


def best(entry: Entry, folder: Path) -> dict[str, Any]:
    """What is known of it: ``run``, ``href``, and on validation ``tables``, ``hardest`` and ``confusion``."""
    record = best_run(entry)
    found: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, AttributeError):  # of a run of old, or cut short: there is none
        found = json.loads((record.folder / DATA).read_text(encoding="utf-8")).get("validation", {})
    confusion = found.get("confusion", {})
    return {
        "run": record.folder.name,
        "href": href(record.folder, folder),
        "of": len(entry.records),
        "tables": found.get("tables", []),
        "hardest": found.get("hardest"),
        "confusion": _confusion(confusion["labels"], confusion["counts"]) if confusion.get("labels") else None,
    }


def _confusion(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """``labels`` that are shown, ``rows`` of (count, share of its gold label), and how many labels ``all`` are."""
    wrong = [sum(counts[i]) + sum(row[i] for row in counts) - 2 * counts[i][i] for i in range(len(labels))]
    shown = sorted(sorted(range(len(labels)), key=lambda i: -wrong[i])[:_LABELS])
    rows = [[(counts[i][j], counts[i][j] / max(1, sum(counts[i]))) for j in shown] for i in shown]
    return {"labels": [labels[i] for i in shown], "rows": rows, "all": len(labels)}
