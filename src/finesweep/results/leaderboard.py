"""The leaderboard of a sweep: a row for each configuration, mean and spread over its seeds and folds, best first."""

import csv
import io
import math
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finesweep.results.record import RunRecord, write_atomically
from finesweep.results.tables import cell_text, markdown_table, numeric

#: Keys that set replicates of one configuration apart: another seed, another fold of the same data.
REPLICATES = ("seed", "data.fold")


@dataclass(frozen=True)
class Entry:
    """One configuration with all its seeds and folds.

    Attributes:
        settings: the keys that vary within the sweep, but for those of replicates.
        records: of its runs that ended well.
        failed: how many runs did not.
    """

    settings: dict[str, str]
    records: list[RunRecord]
    failed: int

    @property
    def metric(self) -> str:
        """The objective's metric; empty where no run ended well."""
        return str(self.records[0].objective["metric"]) if self.records else ""

    @property
    def board(self) -> tuple[str, str]:
        """What it can be compared within: one data set and one metric."""
        return self.settings.get("data", ""), self.metric


def entries(records: Sequence[RunRecord]) -> list[Entry]:
    """Group runs that differ in nothing but seed and fold: data set by data set, best mean objective first."""
    overrides = [dict(_split(text) for text in record.overrides) for record in records]
    keys = list(dict.fromkeys(key for each in overrides for key in each))
    varying = [key for key in keys if key not in REPLICATES and len({each.get(key) for each in overrides}) > 1]
    groups: dict[tuple[str, ...], list[RunRecord]] = {}
    for record, each in zip(records, overrides, strict=True):
        groups.setdefault(tuple(each.get(key, "") for key in varying), []).append(record)
    found = []
    for settings, members in groups.items():
        good = [record for record in members if record.status == "ok"]
        found.append(Entry(dict(zip(varying, settings, strict=True)), good, len(members) - len(good)))
    boards = list(dict.fromkeys(entry.board[0] for entry in found))
    return sorted(found, key=lambda entry: (boards.index(entry.board[0]), *_order(entry)))


def write_leaderboard(records: Sequence[RunRecord], folder: Path) -> str:
    """Write ``leaderboard.csv`` and ``leaderboard.md``; the table as text for a terminal.

    Columns: rank, the keys that vary, n (runs), failed, mean and standard deviation of the objective over them on
    validation, and on test for the chosen configuration alone (test is never sorted by), trainable parameters and
    mean seconds of training.
    """
    header, rows = table(entries(records))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
    write_atomically(folder / "leaderboard.csv", stream.getvalue())
    write_atomically(folder / "leaderboard.md", f"# Leaderboard\n\n{markdown_table(header, rows)}\n\n{_NOTE}\n")
    return _terminal(header, rows)


_NOTE = (
    "Mean and standard deviation over seeds and folds; ranked by validation. Test is shown for the chosen "
    "configuration alone: to choose by it would be to tune on it."
)


def table(found: Sequence[Entry]) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of the leaderboard; each data set and metric has ranks of its own."""
    metrics = list(dict.fromkeys(entry.metric for entry in found if entry.records))
    settings = list(found[0].settings) if found else []
    name = metrics[0] if len(metrics) == 1 else "objective"
    header = [
        "rank", *settings, *(["metric"] if len(metrics) > 1 else []), "n", "failed",
        f"val_{name}_mean", f"val_{name}_std", f"test_{name}_mean", f"test_{name}_std",
        "trainable_parameters", "train_seconds",
    ]  # fmt: skip
    rows: list[list[Any]] = []
    ranks: dict[tuple[str, str], int] = {}
    for entry in found:
        rank = ranks[entry.board] = ranks.get(entry.board, 0) + 1
        validation = _mean_and_deviation(entry, "validation")
        test = _mean_and_deviation(entry, "test") if rank == 1 else (None, None)
        first = entry.records[0] if entry.records else None
        seconds = statistics.mean(r.timing["train_seconds"] for r in entry.records) if entry.records else None
        rows.append(
            [
                rank if entry.records else None, *entry.settings.values(),
                *([entry.metric] if len(metrics) > 1 else []), len(entry.records), entry.failed, *validation, *test,
                first.parameters["trainable"] if first else None, math.ceil(seconds) if seconds is not None else None,
            ]
        )  # fmt: skip
    return header, rows


def _mean_and_deviation(entry: Entry, split: str) -> tuple[float | None, float | None]:
    values = [r.metrics[split][entry.metric] for r in entry.records if split in r.metrics]
    if not values:
        return None, None
    return round(statistics.mean(values), 6), round(statistics.stdev(values), 6) if len(values) > 1 else None


def _order(entry: Entry) -> tuple[bool, str, bool, float]:
    """Best first within a metric; behind them what is no number, and last what has nothing to show."""
    if not entry.records:
        return True, "", True, 0.0
    mean = statistics.mean(record.objective["value"] for record in entry.records)
    if math.isnan(mean):
        return False, entry.metric, True, 0.0
    return False, entry.metric, False, -mean if entry.records[0].objective["direction"] == "maximize" else mean


def _split(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key, value


def _terminal(header: list[str], rows: list[list[Any]]) -> str:
    from rich.console import Console
    from rich.table import Table

    shown = Table(title="Leaderboard", title_justify="left", caption=_NOTE, caption_justify="left")
    for name, column in zip(header, zip(*rows, strict=True), strict=True):
        shown.add_column(name.replace("_", " "), justify="right" if numeric(column) else "left")
    for row in rows:
        shown.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell_text(cell) for cell in row))
    console = Console(width=max(100, shutil.get_terminal_size((140, 24)).columns))
    with console.capture() as capture:
        console.print(shown)
    return capture.get().rstrip()
