"""``leaderboard.csv``, ``leaderboard.md`` and the table of a terminal: a row for each configuration, best first."""

import csv
import io
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finesweep.results.files import write_atomically
from finesweep.results.ranking import Entry, entries, same_rows
from finesweep.results.record import RunRecord
from finesweep.results.tables import cell_text, markdown_table, numeric, size_text, spaced_text

#: Rows that a terminal shows.
_SHOWN = 20


def write_leaderboard(records: Sequence[RunRecord], folder: Path) -> str:
    """Write ``leaderboard.csv``, with every column, and ``leaderboard.md``; the best of it as text for a terminal.

    Ranked by validation; test is told of the chosen configuration alone and never sorted by.
    """
    found = entries(records)
    header, rows = table(found)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
    write_atomically(folder / "leaderboard.csv", stream.getvalue())
    short, cells = compact(found)
    write_atomically(folder / "leaderboard.md", f"# Leaderboard\n\n{markdown_table(short, cells)}\n\n{note(found)}\n")
    return _terminal(found)


def table(found: Sequence[Entry]) -> tuple[list[str], list[list[Any]]]:
    """Header and rows with all that is known of each configuration; numbers as numbers, None where there is none."""
    name = _name(found)
    header = [
        "rank", *_keys(found), "metric", "n", "seeds", "failed", "pruned", "interrupted",
        f"val_{name}_mean", f"val_{name}_std", f"val_{name}_ci_low", f"val_{name}_ci_high",
        "gap", "p", "p_holm", "significant", f"test_{name}_mean", f"test_{name}_std",
        "trainable_parameters", "train_seconds", "peak_memory_bytes",
    ]  # fmt: skip
    rows = [
        [
            entry.rank, *entry.settings.values(), entry.metric or None,
            len(entry.records), len(entry.scores), entry.failed, entry.pruned, entry.interrupted,
            *map(_short, (entry.mean, entry.std, *(entry.ci or (None, None)), entry.gap, entry.p, entry.p_holm)),
            {None: None, True: "yes", False: "no"}[entry.significant], _short(entry.test_mean), _short(entry.test_std),
            entry.trainable_parameters, _whole(entry.train_seconds), entry.peak_memory_bytes,
        ]
        for entry in found
    ]  # fmt: skip
    return header, rows


def compact(found: Sequence[Entry]) -> tuple[list[str], list[list[Any]]]:
    """The same for reading: a score in one cell, and no columns that say nothing."""
    name = _name(found)
    header = [
        "rank", *_keys(found), "metric", "n", "seeds", "failed", "pruned", "interrupted",
        name, "gap", "p", f"test {name}", "parameters", "seconds", "memory",
    ]  # fmt: skip
    rows = [
        [
            entry.rank, *entry.settings.values(), entry.metric or None,
            len(entry.records), len(entry.scores), entry.failed, entry.pruned, entry.interrupted,
            _score(entry.mean, entry.std, entry.ci), entry.gap, _p(entry), _score(entry.test_mean, entry.test_std),
            entry.trainable_parameters, _whole(entry.train_seconds),
            None if entry.peak_memory_bytes is None else size_text(entry.peak_memory_bytes),
        ]
        for entry in found
    ]  # fmt: skip
    hidden = {
        "metric": len({entry.metric for entry in found if entry.records}) < 2,
        "seeds": all(len(entry.scores) == len(entry.records) for entry in found),
        **{state: not any(getattr(entry, state) for entry in found) for state in ("failed", "pruned", "interrupted")},
    }
    first = 1 + len(_keys(found))  # settings may bear any name
    kept = [
        i
        for i, each in enumerate(header)
        if i < first or (not hidden.get(each) and any(row[i] is not None for row in rows))
    ]
    return [header[i] for i in kept], [[row[i] for i in kept] for row in rows]


def note(found: Sequence[Entry]) -> str:
    """What the columns mean, and what a reader of this leaderboard has to know."""
    parts = [
        "Mean ± standard deviation over seeds [95 % interval of the mean, Student's t]. Gap: behind the best; p: "
        "t-test of the gap over seeds, by Holm for all of them, * below 0.05. Ranked by validation; test is shown for "
        "the chosen configuration alone: to choose by it would be to tune on it."
    ]
    if any(entry.p is not None for entry in found):
        parts.append("The best was picked by these same scores: a p close to 0.05 is no proof.")
    if any(len(entry.records) > len(entry.scores) for entry in found):
        parts.append("The folds of a seed are averaged first.")
    if any(len(entry.records) > len(entry.scores) == 1 for entry in found):
        parts.append(
            "With a single seed ± is over its folds, and there is no interval and no p: folds share training rows."
        )
    if any(entry.pruned and entry.records for entry in found):
        parts.append("Whoever lost a race is behind; its gap is over the seeds and folds that the best has done too.")
    if not same_rows(found):
        parts.append("Not all were scored on the same validation rows: their scores can only be compared with caution.")
    return " ".join(parts)


def _terminal(found: Sequence[Entry]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    header, rows = compact(found)
    order = sorted(range(len(found)), key=lambda i: math.inf if (rank := found[i].rank) is None else rank)
    best = sorted(order[:_SHOWN])  # of each board its best
    more = f"The best {_SHOWN} of {len(rows):,}; {len(rows) - _SHOWN:,} more are in leaderboard.csv. "
    below = (more if len(rows) > _SHOWN else "") + note(found)
    shown = Table(title="Leaderboard", title_justify="left")
    for name, column in zip(header, zip(*rows, strict=True), strict=True):
        shown.add_column(Text(name.replace("_", " ")), justify="right" if numeric(column) else "left")
    for i in best:  # as Text, since a cell may hold brackets, which are markup otherwise
        shown.add_row(*(Text(spaced_text(cell)) for cell in rows[i]))
    console = Console(width=max(100, shutil.get_terminal_size((140, 24)).columns))
    with console.capture() as capture:
        console.print(shown)
        console.print(below, style="dim", highlight=False, markup=False)
    return capture.get().rstrip()


def _keys(found: Sequence[Entry]) -> list[str]:
    return list(found[0].settings) if found else []


def _name(found: Sequence[Entry]) -> str:
    """The objective's metric, if all have the same."""
    metrics = {entry.metric for entry in found if entry.records}
    return metrics.pop() if len(metrics) == 1 else "objective"


def _score(mean: float | None, deviation: float | None, ci: tuple[float, float] | None = None) -> float | str | None:
    if mean is None or deviation is None:
        return mean
    interval = f" [{cell_text(ci[0])}, {cell_text(ci[1])}]" if ci else ""
    return f"{cell_text(mean)} ± {cell_text(deviation)}{interval}"


def _p(entry: Entry) -> str | None:
    if entry.p_holm is None:
        return None
    text = f"{entry.p_holm:.3f}" if entry.p_holm >= 0.001 else "<0.001"
    return text + ("*" if entry.significant else "")


def _short(value: float | None) -> float | None:
    """With six digits, however small it is."""
    return None if value is None else float(f"{value:.6g}")


def _whole(value: float | None) -> int | None:
    return None if value is None or not math.isfinite(value) else math.ceil(value)
