"""The leaderboard of a sweep: a row for each configuration, its mean over seeds and what that tells, best first.

The score of a configuration is the mean over its seeds, and of a seed the mean over its folds, which share training
rows and are no independent replicates. The interval is Student's. Whether the best is better than another one is
tested over the seeds, paired where the best has them too, else by Welch's test; Holm's correction covers all tests.
"""

import csv
import io
import json
import math
import shutil
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from finesweep.config.identity import configuration, value_at
from finesweep.results.record import RunRecord, write_atomically
from finesweep.results.significance import Test, holm, interval, over_seeds
from finesweep.results.tables import cell_text, markdown_table, numeric

#: Keys that set replicates of one configuration apart: another seed, another fold of the same data.
REPLICATES = ("seed", "data.fold")
#: Rows that a terminal shows.
_SHOWN = 20
#: Below it a gap is called significant.
LEVEL = 0.05


@dataclass(frozen=True)
class Entry:
    """One configuration with all its seeds and folds.

    Attributes:
        settings: the keys that vary within the sweep, but for those of replicates.
        records: of its runs that ended well.
        states: how many runs ended otherwise, by status.
        gap: how far the best of its board is ahead, with the test over seeds; None where none can be made.
        p_holm: the test's p after Holm's correction.
    """

    settings: dict[str, str]
    records: list[RunRecord]
    states: Counter[str] = field(default_factory=Counter)
    gap: float | None = None
    test: Test | None = None
    p_holm: float | None = None

    @property
    def failed(self) -> int:
        return self.states["failed"]

    @property
    def metric(self) -> str:
        """The objective's metric; empty where no run ended well."""
        return str(self.records[0].objective["metric"]) if self.records else ""

    @property
    def board(self) -> tuple[str, str]:
        """What it can be compared within: one data set and one metric."""
        return self.settings.get("data", ""), self.metric

    @property
    def scores(self) -> list[float]:
        """The objective of each seed."""
        return list(seed_scores(self.records, "validation", self.metric).values())

    @property
    def mean(self) -> float | None:
        return statistics.mean(self.scores) if self.records else None

    def spread(self, split: str) -> tuple[float | None, float | None]:
        """Mean and standard deviation over seeds; with a single seed, over its folds."""
        runs = [record for record in self.records if split in record.metrics]
        scores = list(seed_scores(runs, split, self.metric).values())
        if len(scores) == 1:
            scores = [record.metrics[split][self.metric] for record in runs]
        if not scores:
            return None, None
        return statistics.mean(scores), statistics.stdev(scores) if len(scores) > 1 else None

    @property
    def significant(self) -> bool | None:
        """Whether the best is better, None where that cannot be told."""
        return None if self.p_holm is None else self.p_holm < LEVEL


def seed_scores(records: Sequence[RunRecord], split: str, metric: str) -> dict[Any, float]:
    """The score of each seed, the mean over its folds."""
    scores: dict[Any, list[float]] = {}
    for record in records:
        scores.setdefault(record.seed, []).append(record.metrics[split][metric])
    return {seed: statistics.mean(each) for seed, each in scores.items()}


def entries(records: Sequence[RunRecord]) -> list[Entry]:
    """Group runs that differ in nothing but seed and fold: data set by data set, best mean objective first.

    Of a job that was done several times, the last that ended well counts.
    """
    jobs: dict[str, RunRecord] = {}
    for record in sorted(records, key=lambda record: (record.status == "ok", record.started)):
        jobs[record.config_hash] = record
    overrides = {key: dict(_split(text) for text in record.overrides) for key, record in jobs.items()}
    keys = [key for key in dict.fromkeys(key for each in overrides.values() for key in each) if key not in REPLICATES]
    groups: dict[str, list[RunRecord]] = {}
    settings: dict[str, dict[str, str]] = {}
    for hashed in sorted(jobs, key=lambda each: jobs[each].started):
        record = jobs[hashed]
        values = {key: overrides[hashed].get(key) or _default(record, key) for key in keys}
        name = configuration(record.config) if record.config else json.dumps(values)
        groups.setdefault(name, []).append(record)
        settings.setdefault(name, values)
    varying = [key for key in keys if len({each[key] for each in settings.values()}) > 1]
    found = [_entry({key: settings[name][key] for key in varying}, group) for name, group in groups.items()]
    boards = {board: [each for each in found if each.board == board] for board in dict.fromkeys(e.board for e in found)}
    order = list(dict.fromkeys(data for data, _ in boards))
    tested = [entry for board in boards.values() for entry in _tested(sorted(board, key=_order))]
    return sorted(tested, key=lambda entry: (order.index(entry.board[0]), not entry.records, entry.metric))


def _entry(settings: dict[str, str], group: Sequence[RunRecord]) -> Entry:
    good = sorted((record for record in group if record.status == "ok"), key=lambda record: str(record.seed))
    return Entry(settings, good, Counter(record.status for record in group if record.status != "ok"))


def _default(record: RunRecord, key: str) -> str:
    """What a run has where it did not say so itself, and others did."""
    value = value_at(record.config, key)
    if isinstance(value, dict):  # the option of a group
        return str(value.get("name", ""))
    return "" if value is None else str(value)


def _tested(board: Sequence[Entry]) -> list[Entry]:
    """Entries of one board, the best first, each against the best."""
    best, *others = board
    if not best.records or math.isnan(best.mean or 0.0):
        return list(board)
    made = [best]
    for entry in others:
        a, b = (seed_scores(each.records, "validation", best.metric) for each in (best, entry))
        gap = abs(statistics.mean(a.values()) - statistics.mean(b.values())) if b else None
        paired = len(b) > 1 and b.keys() <= a.keys()  # a configuration that lost a race has fewer seeds
        test = over_seeds([a[seed] for seed in (b if paired else a)], list(b.values()), paired=paired)
        made.append(replace(entry, gap=gap, test=test))
    adjusted = iter(holm([entry.test.p for entry in made if entry.test is not None]))
    return [replace(entry, p_holm=next(adjusted)) if entry.test is not None else entry for entry in made]


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
    short, cells = _compact(found)
    write_atomically(folder / "leaderboard.md", f"# Leaderboard\n\n{markdown_table(short, cells)}\n\n{_NOTE}\n")
    return _terminal(short, cells)


_NOTE = (
    "Mean ± standard deviation over seeds [95 % interval of the mean, Student's t]. Gap: behind the best; p: of the "
    "gap over seeds, by Holm for all of them, * below 0.05. Ranked by validation; test is shown for the chosen "
    "configuration alone: to choose by it would be to tune on it."
)


def table(found: Sequence[Entry]) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of the leaderboard; each data set and metric has ranks of its own."""
    metrics = list(dict.fromkeys(entry.metric for entry in found if entry.records))
    name = metrics[0] if len(metrics) == 1 else "objective"
    header = [
        "rank", *(found[0].settings if found else ()), *(["metric"] if len(metrics) > 1 else []),
        "n", "seeds", "failed", "pruned", "interrupted", f"val_{name}_mean", f"val_{name}_std", f"val_{name}_ci_low",
        f"val_{name}_ci_high", "gap", "p", "p_holm", "significant", f"test_{name}_mean", f"test_{name}_std",
        "trainable_parameters", "train_seconds", "peak_memory_bytes",
    ]  # fmt: skip
    rows: list[list[Any]] = []
    for entry, rank in zip(found, _ranks(found), strict=True):
        test = entry.spread("test") if rank == 1 else (None, None)
        significant = {None: None, True: "yes", False: "no"}[entry.significant]
        rows.append(
            [
                rank, *entry.settings.values(), *([entry.metric] if len(metrics) > 1 else []),
                len(entry.records), len(entry.scores),
                *(entry.states[state] for state in ("failed", "pruned", "interrupted")),
                *map(_rounded, (*entry.spread("validation"), *(interval(entry.scores) or (None, None)), entry.gap)),
                *map(_rounded, (entry.test.p if entry.test else None, entry.p_holm)), significant, *map(_rounded, test),
                *_costs(entry),
            ]
        )  # fmt: skip
    return header, rows


def _ranks(found: Sequence[Entry]) -> list[int | None]:
    counts: Counter[tuple[str, str]] = Counter()
    ranks: list[int | None] = []
    for entry in found:
        counts[entry.board] += 1
        ranks.append(counts[entry.board] if entry.records else None)
    return ranks


def _costs(entry: Entry) -> list[Any]:
    """Trainable parameters, mean seconds of training, and the largest peak memory."""
    if not entry.records:
        return [None] * 3
    seconds = statistics.mean(record.timing["train_seconds"] for record in entry.records)
    memory = max((record.peak_memory_bytes or 0 for record in entry.records), default=0)
    return [entry.records[0].parameters["trainable"], math.ceil(seconds), memory or None]


def _compact(found: Sequence[Entry]) -> tuple[list[str], list[list[Any]]]:
    """The same for reading: a score in one cell, and no columns without content."""
    header, rows = table(found)
    at = {name: i for i, name in enumerate(header)}
    first = at["interrupted"] + 1
    metric = header[first].removeprefix("val_").removesuffix("_mean")
    short = [*header[:first], metric, "gap", "p", f"test {metric}", "parameters", "seconds", "GB"]
    cells = []
    for row in rows:
        mean, deviation, low, high, gap, _, p, significant, test, test_deviation, parameters, seconds, memory = row[
            first:
        ]
        mark = "*" if significant == "yes" else ""
        cells.append(
            [
                *row[:first], _score(mean, deviation, low, high), gap, None if p is None else f"{p:.3f}{mark}",
                _score(test, test_deviation), parameters, seconds, memory and f"{memory / 1e9:.2f}",
            ]
        )  # fmt: skip
    kept = [i for i in range(len(short)) if any(row[i] is not None for row in cells)]
    for name in ("failed", "pruned", "interrupted"):
        if not any(entry.states[name] for entry in found):
            kept.remove(at[name])
    if all(len(entry.scores) == len(entry.records) for entry in found):
        kept.remove(at["seeds"])
    return [short[i] for i in kept], [[row[i] for i in kept] for row in cells]


def _score(mean: float | None, deviation: float | None, low: float | None = None, high: float | None = None) -> Any:
    if mean is None or deviation is None:
        return mean
    return f"{mean:.4f} ± {deviation:.4f}" + (f" [{low:.4f}, {high:.4f}]" if low is not None else "")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _order(entry: Entry) -> tuple[bool, float]:
    """Best first; behind them what is no number, and last what has nothing to show."""
    if entry.mean is None or math.isnan(entry.mean):
        return True, float(entry.mean is None)
    return False, -entry.mean if entry.records[0].objective["direction"] == "maximize" else entry.mean


def _split(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key, value


def _terminal(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    from rich.console import Console
    from rich.table import Table

    more = f"The best {_SHOWN} of {len(rows)}; all are in leaderboard.csv. " if len(rows) > _SHOWN else ""
    shown = Table(title="Leaderboard", title_justify="left")
    for name, column in zip(header, zip(*rows, strict=True), strict=True):
        shown.add_column(name.replace("_", " "), justify="right" if numeric(column) else "left")
    for row in rows[:_SHOWN]:
        shown.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell_text(cell) for cell in row))
    console = Console(width=max(100, shutil.get_terminal_size((140, 24)).columns))
    with console.capture() as capture:
        console.print(shown)
        console.print(more + _NOTE, style="dim", highlight=False, markup=False)
    return capture.get().rstrip()
