"""What all figures of the page have in common: how they are laid out, and handed to the browser."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from finesweep.results.leaderboard import Entry
from finesweep.results.page.keys import name_of

#: For all that is neither the best nor the matter of the figure; visible on light and on dark ground.
GREY = "rgba(128,128,128,0.45)"


@dataclass(frozen=True)
class Choice:
    """One of several views on a figure: which traces it shows, and what it changes of the layout."""

    label: str
    visible: list[bool]
    layout: dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A figure with what it means; without a ``spec`` only that is said.

    Attributes:
        spec: for plotly.js, as JSON that can stand inside an HTML page.
        height: pixels.
        choices: views that the reader can choose from, the first is shown.
    """

    title: str
    note: str
    spec: str = ""
    height: int = 0
    choices: list[Choice] = field(default_factory=list)


def figure(
    title: str, note: str, traces: Sequence[dict[str, Any]], height: int, layout: Mapping[str, Any],
    choices: Sequence[Choice] = (), names: Sequence[str] = (),
) -> Figure:  # fmt: skip
    """A figure of plotly's traces. Colours of text, lines and ground are the style sheet's, as the reader's scheme is.

    Args:
        traces, layout: in plotly's own terms; ``layout`` is added to what all figures have.
        height: pixels.
        names: what the ``customdata`` of a trace, where it has any, are indices of: a text that many points share is
            written once, and becomes the ``text`` of each in the browser.
    """
    import plotly.io

    clear = "rgba(0,0,0,0)"
    common = {
        "height": height, "paper_bgcolor": clear, "plot_bgcolor": clear,
        "font": {"family": "system-ui, sans-serif", "size": 13}, "hovermode": "closest", "showlegend": False,
        "margin": {"l": 70, "r": 24, "t": 24, "b": 56}, "dragmode": False,
        "modebar": {"bgcolor": clear, "color": "#808080", "activecolor": "#808080"},
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": "#888888", "font": {"color": "#111111"}, "align": "left"},
    }  # fmt: skip
    spec = {
        "data": [{**trace, "visible": not choices or choices[0].visible[i]} for i, trace in enumerate(traces)],
        "layout": {**common, **layout},
        "choices": [{"visible": choice.visible, "layout": choice.layout} for choice in choices],
        "names": list(names),
    }
    text = str(plotly.io.to_json(spec, validate=False))  # with < escaped: it could end the script element it stands in
    return Figure(title, note, text, height, list(choices))


def axis(title: str, **more: Any) -> dict[str, Any]:
    """A plain axis in plotly's terms."""
    named = {"text": plain(title), "font": {"size": 13}, "standoff": 12}
    return {"title": named, "zeroline": False, "automargin": True, "gridwidth": 1, **more}


def plain(text: str) -> str:
    """A text that plotly shows as it is: it takes some HTML for markup."""
    return html.escape(text, quote=False)


def score(entry: Entry) -> float:
    """The mean of the objective over the seeds of a configuration; nan where it has none."""
    return math.nan if entry.mean is None else entry.mean


def about(entry: Entry, keys: Sequence[str]) -> str:
    """What is shown of a configuration when the pointer is over it."""
    told = f"{entry.metric} {score(entry):.4f}" + (f" ± {entry.std:.4f}" if entry.std is not None else "")
    settings = "<br>".join(f"{plain(key)} = {plain(entry.settings[key])}" for key in keys)
    return f"<b>{plain(told)}</b>, n = {len(entry.records)}" + (f"<br>{settings}" if settings else "")


def label(entry: Entry, keys: Sequence[str], letters: int = 60) -> str:
    """A configuration's name, cut where it is long."""
    name = name_of(entry, keys)
    return plain(name if len(name) <= letters else f"{name[: letters - 1]}…")


def thinned(count: int, most: int) -> list[int]:
    """At most so many of the numbers below ``count``: the first half of them as they are, the others evenly spread."""
    if count <= most:
        return list(range(count))
    head = most // 2
    rest = most - head
    return [*range(head), *(head + round(i * (count - 1 - head) / (rest - 1)) for i in range(rest))]
