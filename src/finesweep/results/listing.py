"""The runs and sweeps below a folder at a glance: when, how far, how good, how large."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from finesweep.results.configurations import by_configuration, mean, originals, seed_scores, standing
from finesweep.results.folders import Place, places, size_of
from finesweep.results.lock import is_locked
from finesweep.results.tables import aligned, size_text

#: Boards of a sweep whose best is told.
_BOARDS = 3
_WORDS = {"ok": "ok", "running": "running", "pruned": "pruned", "failed": "failed", "interrupted": "stopped"}


@dataclass(frozen=True)
class _Row:
    place: Place
    size: int

    def cells(self, root: Path) -> list[str]:
        folder = self.place.folder
        name = str(folder.relative_to(root)) if folder != root else str(folder)
        began = min((record.started for record in self.place.records), default="")
        date = f"{datetime.fromisoformat(began).astimezone():%Y-%m-%d %H:%M}" if began else ""
        kind = "sweep" if self.place.sweep else "run"
        return [name, kind, date, _states(self.place), _best(self.place), size_text(self.size)]


def listing(root: Path) -> str:
    """A table of the sweeps and single runs below a folder, the newest last; of a sweep's folder, of its runs.

    Raises:
        UserError: there is no such folder.
    """
    found = list(places(root))
    if len(found) == 1 and found[0].sweep and found[0].folder == root:
        found = [Place(record.folder, [record], 0, False) for record in found[0].records]
    if not found:
        return f"There are no runs below {root}/."
    found.sort(key=lambda place: max((record.started for record in place.records), default=""))
    rows = [_Row(place, size_of(place.folder)) for place in found]
    runs = sum(len(place.records) + place.unreadable for place in found)
    total = f"{runs:,} run{'s' * (runs != 1)}, {size_text(sum(row.size for row in rows))}"
    header = ["name", "what", "begun", "runs", "best on validation", "size"]
    return f"{aligned([header, *(row.cells(root) for row in rows)])}\n\n{total}"


def _states(place: Place) -> str:
    """How many runs are in which state. One that says it is running, but that no process holds, was killed."""
    states: Counter[str] = Counter(
        "interrupted" if record.status == "running" and not is_locked(record.folder) else record.status
        for record in originals(place.records)
    )
    told = [f"{states[status]:,} {word}" if place.sweep else word for status, word in _WORDS.items() if states[status]]
    if place.unreadable:
        told.append(f"{place.unreadable:,} unreadable" if place.sweep else "unreadable")
    return ", ".join(told)


def _best(place: Place) -> str:
    """The best score of a configuration, for each data set and metric, as the leaderboard has it."""
    boards: dict[tuple[str, str, str], list[tuple[bool, float]]] = {}
    for runs in by_configuration(place.records):
        good = {replicate: record for replicate, record in runs.items() if record.status == "ok"}
        if not good:
            continue
        first, *_ = good.values()
        data = str(first.known_config.get("data", {}).get("name", ""))
        board = (data, first.objective["metric"], first.objective["direction"])
        lost_race = any(record.status == "pruned" for record in runs.values())
        scores = seed_scores({replicate: record.objective["value"] for replicate, record in good.items()})
        boards.setdefault(board, []).append((lost_race, mean(list(scores.values()))))
    told = []
    for (data, metric, direction), found in list(boards.items())[:_BOARDS]:
        _, best = min(found, key=lambda each: standing(each[0], each[1], direction))
        told.append(f"{data + ' ' if len(boards) > 1 else ''}{metric} {best:.4f}")
    return ", ".join(told) + (", …" if len(boards) > _BOARDS else "")
