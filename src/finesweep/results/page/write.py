"""Put the page of a sweep together. Source of the figures' library: https://plotly.com/javascript, inlined once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finesweep.config.identity import value_at
from finesweep.results.configurations import originals
from finesweep.results.files import write_atomically
from finesweep.results.leaderboard import Entry, entries, table, write_leaderboard
from finesweep.results.page.best import best
from finesweep.results.page.curves import learning_curves
from finesweep.results.page.facts import commands, endings, facts, machines, packages
from finesweep.results.page.figure import Figure, score
from finesweep.results.page.figures import cost, importance, parallel_coordinates, seeds
from finesweep.results.page.links import href
from finesweep.results.record import RunRecord, records_below
from finesweep.results.tables import numeric, spaced_text

PAGE = "report.html"


@dataclass(frozen=True)
class Board:
    """What can be compared with each other: the configurations on one data set by one metric.

    Attributes:
        title: the data set and the metric; empty where the sweep has but one of these.
        best: the best configuration from near, see :func:`finesweep.results.page.best.best`.
    """

    title: str
    figures: list[Figure]
    best: dict[str, Any]


def write_results(folder: Path) -> str:
    """Write leaderboard and page of all runs below a folder; what there is to say of it.

    Raises:
        UserError: there are none, see :func:`finesweep.results.record.records_below`.
    """
    records = records_below(folder)
    shown = write_leaderboard([record for record in records if record.status != "running"], folder)
    return f"{shown}\n\nResults: {folder}/leaderboard.csv, leaderboard.md and {write_page(records, folder).name}"


def write_page(records: Sequence[RunRecord], folder: Path) -> Path:
    """Write ``report.html`` of runs that lie below ``folder``: one file, which asks nothing of any network.

    Args:
        records: at least one; what still runs is counted, and not ranked.
    """
    # Takes a second, and only the end of a sweep needs it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    records = originals(records)
    over = [record for record in records if record.status != "running"]
    found = entries(over)
    header, rows = _telling(*table(found))
    name = " + ".join(dict.fromkeys(record.name for record in records))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["cell"] = spaced_text
    text = environment.get_template("page.html").render(
        title=name,
        folder=folder.resolve().name,
        commands=commands(records),
        facts=facts(records),
        machines=machines(records),
        packages=packages(records),
        header=header,
        numeric=[numeric(column) for column in zip(*rows, strict=True)] or [False] * len(header),
        rows=[(row, _links(entry, folder)) for row, entry in zip(rows, found, strict=True)],
        boards=_boards(found, over, folder),
        endings=endings([record for record in records if record.status != "ok"], folder),
        plotly=get_plotlyjs(),
    )
    write_atomically(folder / PAGE, text)
    return folder / PAGE


def _telling(header: list[str], rows: list[list[Any]]) -> tuple[list[str], list[list[Any]]]:
    """The rank and the columns that tell something: leaderboard.csv has the others too."""
    metric, n, seeds = (header.index(name) for name in ("metric", "n", "seeds"))
    silent = {metric} if len({row[metric] for row in rows if row[metric]}) < 2 else set()
    silent |= {seeds} if all(row[seeds] == row[n] for row in rows) else set()
    told = [i for i in range(len(header)) if i not in silent]
    kept = [i for i in told if i == 0 or any(row[i] not in (None, "", 0) for row in rows)]
    return [header[i] for i in kept], [[row[i] for i in kept] for row in rows]


def _links(entry: Entry, folder: Path) -> list[tuple[str, str]]:
    """Of each run of a configuration that ended well what it is called, and a link to its folder."""
    told = []
    for record in sorted(entry.records, key=lambda record: (record.seed, record.folder.name)):
        fold = next((text.partition("=")[2] for text in record.overrides if text.startswith("data.fold=")), "")
        name = f"{record.seed}, fold {fold}" if fold else str(record.seed)
        told.append((name, href(record.folder, folder)))
    return told


def _boards(found: Sequence[Entry], over: Sequence[RunRecord], folder: Path) -> list[Board]:
    boards: dict[tuple[str, str], list[Entry]] = {}
    for entry in found:
        if entry.records and not math.isnan(score(entry)):
            boards.setdefault(entry.board, []).append(entry)
    unfinished = [record for record in over if record.status != "ok"]
    return [
        Board(
            " ".join(part for part in board if part) if len(boards) > 1 else "",
            [
                parallel_coordinates(ranked),
                importance(ranked),
                cost(ranked),
                learning_curves(ranked, [each for each in unfinished if _data(each) == _data(ranked[0].records[0])]),
                seeds(ranked),
            ],
            best(ranked[0], folder),
        )
        for board, ranked in boards.items()
    ]


def _data(record: RunRecord) -> Any:
    """The data set that a run names, or has without a word."""
    named = (text.partition("=")[2] for text in record.overrides if text.startswith("data="))
    return next(named, None) or value_at(record.config, "data.name")
