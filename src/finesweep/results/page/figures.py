"""Figures of the configurations of a sweep: parallel coordinates, importance of keys, cost, spread over seeds."""

import math
import statistics
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from finesweep.results.figures import BLUE, ORANGE
from finesweep.results.leaderboard import Entry
from finesweep.results.page.figure import (
    GREY,
    Choice,
    Figure,
    about,
    axis,
    figure,
    label,
    plain,
    score,
    thinned,
)
from finesweep.results.page.importance import FEW, importances
from finesweep.results.page.keys import Axis, axis_of, axis_of_numbers, spans_decades, varying
from finesweep.results.record import RunRecord

#: Configurations that are drawn as lines, that have bars for their deviation, and a row of seeds each.
_LINES, _BARS, _STRIPS = 240, 60, 15
#: Points of the Pareto front that have their name beside them, at most.
_NAMED = 5
#: So few lines can be bold, and texts at an axis have so many letters.
_FEW, _LETTERS = 30, 24
#: How far lines through one category are spread, of the way to the next.
_SPREAD = 0.18


def parallel_coordinates(found: Sequence[Entry]) -> Figure:
    """A line for each configuration through its values, to its score.

    Args:
        found: with a score each, best first.
    """
    title, keys = "Configurations", varying(found)
    if not keys:
        return Figure(title, "Nothing varies but the seed.")
    shown = [found[i] for i in thinned(len(found), _LINES)]
    axes = [axis_of([entry.settings[key] for entry in shown]) for key in keys]
    axes.append(axis_of_numbers([score(entry) for entry in shown]))
    few = len(shown) <= _FEW
    last, palest = max(1, len(shown) - 1), 0.35 if few else 0.12
    traces = []
    for i in reversed(range(len(shown))):  # the best on top
        standing = 1 - i / last
        heights = [each.positions[i] + (standing - 0.5) * _SPREAD * each.step for each in axes]
        traces.append({
            "type": "scatter", "mode": "lines", "x": list(range(len(axes))), "y": [round(y, 4) for y in heights],
            "line": {
                "color": ORANGE if i == 0 else f"rgba(0,114,178,{palest + (0.9 - palest) * standing**2:.2f})",
                "width": 3 if i == 0 else 2 if few else 1.3,
            },
            "text": about(shown[i], keys), "hoverinfo": "text",
        })  # fmt: skip
    metric = found[0].metric
    note = f"The best in orange, of the others the better the darker. The last axis is {metric} on validation."
    if len(shown) < len(found):
        note += f" Of {len(found):,} configurations {len(shown)} are drawn: the best {_LINES // 2}, others evenly."
    longest = min(_LETTERS, max(len(text) for _, text in axes[0].ticks))
    layout = {
        "xaxis": {"visible": False, "range": [-0.01, len(axes) - 0.99]},
        "yaxis": {"visible": False, "range": [-0.12, 1.3]},
        "margin": {"l": max(60, 30 + 7 * longest), "r": 50, "t": 4, "b": 4},
        "shapes": [{"type": "line", "x0": i, "x1": i, "y0": -0.1, "y1": 1.1} for i in range(len(axes))],
        "annotations": _axis_texts([*keys, metric], axes),
    }
    return figure(title, note, traces, 440, layout)


def _axis_texts(names: Sequence[str], axes: Sequence[Axis]) -> list[dict[str, Any]]:
    texts: list[dict[str, Any]] = []
    for i, (name, each) in enumerate(zip(names, axes, strict=True)):
        heading = {"x": i, "y": 1.12, "text": f"<b>{plain(name).replace('.', '.<br>')}</b>", "yanchor": "bottom"}
        texts.append({**heading, "showarrow": False, "xanchor": "center"})
        texts += [
            {"x": i, "y": at, "text": plain(text[:_LETTERS]), "showarrow": False, "xanchor": "right", "xshift": -5,
             "bgcolor": "#ffffff", "borderpad": 1, "font": {"size": 12}}
            for at, text in each.ticks
        ]  # fmt: skip
    return texts


def importance(found: Sequence[Entry]) -> Figure:
    """A bar for each key: how much of the variance of the scores it explains on its own."""
    title = "Importance of the keys"
    told = [each for each in importances(found, [score(entry) for entry in found]) if each.share is not None]
    keys = varying(found)
    if len(keys) < 2:
        only = f"Only {keys[0]} varies" if keys else "Nothing varies but the seed"
        return Figure(title, f"{only}, so there is nothing to weigh.")
    if not told:
        return Figure(title, f"{len(found)} configurations are too few to tell: no value of a key occurs twice.")
    note = (
        f"How much of the variance of {found[0].metric} between configurations a key explains on its own, the mean "
        "over seeds taken first: ε² (Kelley 1935), the share between its values in an analysis of variance, less what "
        "chance would give. What keys do only together is in what is left."
    )
    if math.prod(len({entry.settings[key] for entry in found}) for key in keys) != len(found):
        note += " The configurations are no complete grid: what values that went together explain, each key claims."
    if len(found) < FEW:
        note += f" {len(found)} configurations are few: take it as a hint."
    unknown = [key for key in keys if key not in {each.key for each in told}]
    if unknown:
        note += f" Of {', '.join(unknown)} it cannot be told: no value occurs twice."
    shares = [100 * (each.share or 0.0) for each in told]
    shares.append(max(0.0, 100 - sum(shares)))
    bars = {
        "type": "bar", "orientation": "h", "x": shares, "y": [*(plain(each.key) for each in told), "what is left"],
        "text": [f"{share:.0f} %" for share in shares], "textposition": "outside", "cliponaxis": False,
        "marker": {"color": [*(BLUE for _ in told), GREY]}, "hoverinfo": "skip", "width": 0.55,
    }  # fmt: skip
    layout = {
        "xaxis": axis("share of variance, %", range=[0, 105]),
        "yaxis": {"autorange": "reversed", "automargin": True, "ticksuffix": "  "},
        "margin": {"l": 10, "r": 40, "t": 8, "b": 50},
    }
    return figure(title, note, [bars], 80 + 36 * len(shares), layout)


def cost(found: Sequence[Entry]) -> Figure:
    """Score against what a configuration takes, with the front of those that no other beats in both."""
    title, metric = "Score against cost", found[0].metric
    keys = varying(found)
    upwards = found[0].records[0].objective["direction"] == "maximize"
    views, traces = [], []
    for name in _COSTS:
        known = [(i, value) for i, entry in enumerate(found) if (value := _cost(entry, name)) is not None]
        if known:
            views.append((name, [value for _, value in known]))
            cheapest_first = sorted(((value, i) for i, value in known))
            traces += _cost_traces(cheapest_first, found, keys, upwards)
    if not views:
        return Figure(title, "No run has a cost in its record.")
    choices = [
        Choice(
            name, [i // 2 == at for i in range(len(traces))],
            {"xaxis.title.text": name, "xaxis.autorange": True, **{f"xaxis.{k}": v for k, v in _scale(values).items()}},
        )
        for at, (name, values) in enumerate(views)
    ]  # fmt: skip
    note = (
        "Scores are means over seeds, bars their standard deviations. On the orange line, the Pareto front, lie the "
        "configurations that none beats in both: better is dearer there, and cheaper is worse. Those that "
        "lost a race are not on it."
    )
    layout: dict[str, Any] = {
        "xaxis": axis(views[0][0], **_scale(views[0][1])), "yaxis": axis(f"{metric} on validation"), "dragmode": "zoom",
    }  # fmt: skip
    return figure(title, note, traces, 420, layout, choices, [about(entry, keys) for entry in found])


#: What is chosen from -> how it is found in a record, and what counts of several runs: the mean, or the largest.
_COSTS: dict[str, tuple[Callable[[RunRecord], float | None], Callable[[list[float]], float]]] = {
    "training, seconds": (lambda record: record.timing.get("train_seconds"), statistics.mean),
    "trainable parameters": (lambda record: record.parameters.get("trainable"), statistics.mean),
    "peak memory, MB": (lambda record: (record.peak_memory_bytes or 0) / 1e6 or None, max),
}


def _cost(entry: Entry, name: str) -> float | None:
    of_run, of_all = _COSTS[name]
    values = [value for record in entry.records if (value := of_run(record)) is not None]
    return of_all(values) if values else None


def _scale(values: Sequence[float]) -> dict[str, Any]:
    """Linear, or logarithmic with round numbers written out, of which plotly itself would write the first digit."""
    if not spans_decades(values):
        return {"type": "linear", "tickmode": "auto"}
    powers = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in ((1, 2, 5) if len(powers) <= 4 else (1,))]
    return {"type": "log", "tickmode": "array", "tickvals": ticks, "ticktext": [f"{tick:,.9g}" for tick in ticks]}


def _cost_traces(
    known: Sequence[tuple[float, int]], found: Sequence[Entry], keys: Sequence[str], upwards: bool
) -> list[dict[str, Any]]:
    """The points of all, and the line through the front with names at it.

    Args:
        known: cost and place in ``found`` of each configuration, the cheapest first, the better first of two alike.
    """
    scores = [score(found[i]) for _, i in known]
    spread = [found[i].std or 0.0 for _, i in known]
    points = {
        "type": "scatter", "mode": "markers", "x": [value for value, _ in known], "y": scores,
        "customdata": [i for _, i in known], "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": BLUE, "size": 9, "opacity": 0.8},
        "error_y": {"array": spread, "color": GREY, "thickness": 1.2, "width": 3, "visible": len(known) <= _BARS},
    }  # fmt: skip
    front: list[int] = []
    for place, value in enumerate(scores):
        if found[known[place][1]].pruned:  # its mean is one over other seeds
            continue
        if not front or (value > scores[front[-1]] if upwards else value < scores[front[-1]]):
            front.append(place)
    # Of two at nearly one height the names would lie on each other: the better has its own.
    room = (max(scores) - min(scores)) / 20
    named = [place for place, better in pairwise(front) if abs(scores[better] - scores[place]) > room]
    named += front[-1:]
    line = {
        "type": "scatter", "mode": "lines+markers+text" if len(front) <= _NAMED else "lines+markers",
        "x": [known[place][0] for place in front], "y": [scores[place] for place in front],
        "text": [label(found[known[place][1]], keys, 40) if place in named else "" for place in front],
        "hoverinfo": "text",
        "hovertext": [about(found[known[place][1]], keys) for place in front],
        "textposition": ["bottom right" if place != front[-1] else "bottom left" for place in front],
        "line": {"color": ORANGE, "width": 2, "shape": "hv"}, "marker": {"color": ORANGE, "size": 11},
    }  # fmt: skip
    return [points, line]


def seeds(found: Sequence[Entry]) -> Figure:
    """A row for each of the best configurations with a mark for each of its runs."""
    title, shown, keys = "Spread over seeds", found[:_STRIPS], varying(found)
    if all(len(entry.records) < 2 for entry in found):
        return Figure(title, "Each configuration was run once: nothing can be said of the spread. Try seed=1,2,3.")
    names = [f"{i + 1}. {label(entry, keys)}" for i, entry in enumerate(shown)]
    runs = [(name, entry, record) for name, entry in zip(names, shown, strict=True) for record in entry.records]
    dots = {
        "type": "scatter", "mode": "markers", "x": [record.objective["value"] for _, _, record in runs],
        "y": [name for name, _, _ in runs], "hoverinfo": "text",
        "text": [plain(f"{e.metric} {r.objective['value']:.4f}, {', '.join(_replicate(r))}") for _, e, r in runs],
        "marker": {
            "size": 10, "opacity": 0.65,
            "color": [ORANGE if entry is shown[0] else BLUE for _, entry, _ in runs],
        },
    }  # fmt: skip
    means = {
        "type": "scatter", "mode": "markers", "x": [score(entry) for entry in shown], "y": names,
        "hoverinfo": "text", "text": [about(entry, keys) for entry in shown],
        "marker": {"symbol": "line-ns-open", "size": 20, "line": {"width": 2}, "color": "#808080"},
    }  # fmt: skip
    note = f"A dot for each run, a bar for the mean. {found[0].metric} on validation."
    if len(shown) < len(found):
        note += f" The best {len(shown)} of {len(found):,} configurations."
    layout = {
        "xaxis": axis(f"{found[0].metric} on validation"),
        "yaxis": {"autorange": "reversed", "automargin": True, "ticksuffix": "  ", "type": "category"},
        "margin": {"l": 10, "r": 24, "t": 8, "b": 50},
    }
    return figure(title, note, [means, dots], 90 + 34 * len(shown), layout)


def _replicate(record: RunRecord) -> list[str]:
    return [text for text in record.overrides if text.startswith(("seed=", "data.fold="))] or [f"seed={record.seed}"]
