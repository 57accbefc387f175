"""Learning curves of the runs of a sweep, from their metrics.csv."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finesweep.results.figures import ORANGE
from finesweep.results.leaderboard import Entry
from finesweep.results.page.figure import GREY, Choice, Figure, axis, figure, plain
from finesweep.results.record import RunRecord

#: Points of all curves of a view together, and of one curve at least and at most.
_ALL, _LEAST, _MOST = 20_000, 10, 100
#: So many points have marks, and curves a line of full width.
_MARKED, _MANY = 200, 150
#: Columns of metrics.csv, and what they are called.
_VIEWS = {"val/{metric}": "{metric} on validation", "val/loss": "loss on validation", "train/loss": "loss in training"}
_Points = list[tuple[int, float]]


def learning_curves(found: Sequence[Entry], unfinished: Sequence[RunRecord]) -> Figure:
    """A curve for each run, those of the best configuration in front.

    Args:
        found: best first.
        unfinished: runs of the same data that did not end well.
    """
    title, metric, best = "Learning curves", found[0].metric, found[0].records
    others = [record for entry in reversed(found[1:]) for record in entry.records]
    runs = [*unfinished, *others, *best]
    most = min(_MOST, max(_LEAST, _ALL // len(runs)))
    curves = [_curves(record.folder / "metrics.csv", most) for record in runs]
    first, second = len(unfinished), len(unfinished) + len(others)
    width = 1.2 if len(runs) <= _MANY else 0.5
    styles = (
        (range(first), {"color": GREY, "width": width, "dash": "dot"}),
        (range(first, second), {"color": GREY, "width": width}),
        (range(second, len(runs)), {"color": ORANGE, "width": 2.4}),
    )
    names = {key.format(metric=metric): name.format(metric=metric) for key, name in _VIEWS.items()}
    views = [key for key in names if any(key in curve for curve in curves)]
    if not views:
        return Figure(title, "No metrics.csv is left in the folders of the runs.")
    traces = [_trace({i: curves[i].get(key, []) for i in of}, line) for key in views for of, line in styles]
    choices = [
        Choice(names[key], [i // len(styles) == at for i in range(len(traces))], {"yaxis.title.text": names[key]})
        for at, key in enumerate(views)
    ]
    note = f"The best configuration in orange ({len(best)} {'run' if len(best) == 1 else 'runs'}), the others in grey"
    note += ", dotted what did not end well." if unfinished else "."
    if most < _MOST:
        note += f" Of each of the {len(runs):,} curves {most} points are drawn at most."
    layout: dict[str, Any] = {
        "xaxis": axis("optimizer step", rangemode="tozero"), "yaxis": axis(names[views[0]]), "dragmode": "zoom",
    }  # fmt: skip
    return figure(title, note, traces, 420, layout, choices, [plain(record.folder.name) for record in runs])


def _trace(curves: Mapping[int, _Points], line: dict[str, Any]) -> dict[str, Any]:
    """All curves of one style as one trace with gaps, which a browser draws far faster than a trace for each."""
    points = [(i, *point) for i, curve in curves.items() for point in [*curve, (None, None)]]
    return {
        "type": "scatter", "mode": "lines+markers" if len(points) <= _MARKED else "lines", "line": line,
        "x": [step for _, step, _ in points], "y": [value for _, _, value in points],
        "customdata": [i for i, _, _ in points], "marker": {"size": 5},
        "hovertemplate": "<b>%{text}</b><br>step %{x}: %{y:.4f}<extra></extra>",
    }  # fmt: skip


def _curves(file: Path, most: int) -> dict[str, _Points]:
    """Name -> (step, value), so many at most, evenly; nothing where the file is missing or damaged."""
    found: dict[str, _Points] = {}
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                for key, text in row.items():
                    if text and key != "step":
                        found.setdefault(key, []).append((int(row["step"]), float(f"{float(text):.5g}")))
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return {}
    return {
        key: points if len(points) <= most else [points[i * (len(points) - 1) // (most - 1)] for i in range(most)]
        for key, points in found.items()
    }
