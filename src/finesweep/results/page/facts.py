"""What the page tells of a sweep in words: what it ran on, how long, and how its runs ended."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from finesweep.results.page.links import href, relative
from finesweep.results.record import FILE, LOG, RunRecord

#: What a reader looks for first among the packages.
_FIRST = ("finesweep", "torch", "transformers", "pytorch-lightning", "peft", "datasets", "hydra-core", "numpy")
#: A status, as the page calls it.
_STATUS = {"ok": "done", "running": "without an end"}
_COMMANDS = 5
_TRACEBACK = "Traceback (most recent call last):"


def facts(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """What it was and when, name by name."""
    counts = Counter(str(record.status) for record in records)
    known = ("ok", "failed", "pruned", "interrupted", "running")
    ends = [record.finished for record in records if record.finished]
    told = [
        ("runs", ", ".join(f"{counts[s]:,} {_STATUS.get(s, s)}" for s in known if counts[s] or s in known[:2])),
        ("when", f"{_minute(min(r.started for r in records))} to {_minute(max(ends)) if ends else '…'} UTC"),
        ("time", f"{duration(sum(_seconds(record) for record in records))}, from start to end of each run, summed"),
        ("of it training", duration(sum(record.timing.get("train_seconds", 0.0) for record in records))),
    ]
    return [*told, *_rows(records), *_code(records)]


def commands(records: Sequence[RunRecord]) -> list[str]:
    """How the runs were asked for, the newest first; of a sweep that was stopped and went on there may be several."""
    newest = sorted(records, key=lambda record: record.started, reverse=True)
    return list(dict.fromkeys(record.command for record in newest if record.command))[:_COMMANDS]


def machines(records: Sequence[RunRecord]) -> list[tuple[str, int]]:
    """Each kind of machine, in words, and how many runs were done there."""
    found = Counter(_machine(record.environment) for record in records if record.environment)
    return found.most_common()


def packages(records: Sequence[RunRecord]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Name and version, or versions where runs had different ones: those to look at first, and all others."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        for name, version in record.environment.get("packages", {}).items():
            found.setdefault(name, {})[version] = None
    versions = {name: " / ".join(each) for name, each in found.items()}
    return (
        [(name, versions[name]) for name in _FIRST if name in versions],
        [(name, version) for name, version in versions.items() if name not in _FIRST],
    )


def endings(records: Sequence[RunRecord], folder: Path) -> list[dict[str, str]]:
    """The runs that did not end well: ``run``, ``href``, ``status``, ``reason`` and ``log``, a link."""
    told = []
    for record in records:
        if record.status != "ok":
            log = record.folder / LOG
            told.append({
                "run": relative(record.folder, folder), "href": href(record.folder, folder),
                "status": _STATUS.get(record.status, record.status), "reason": reason(record),
                "log": href(log if log.is_file() else record.folder / FILE, folder),
                "log_name": LOG if log.is_file() else FILE,
            })  # fmt: skip
    return told


def reason(record: RunRecord) -> str:
    """Why a run did not end well, in a line: what its record begins with, of a traceback the error itself."""
    if record.status == "running":
        return "it is at work, or was killed with all that watched over it"
    text = record.error or ""
    if text.startswith(_TRACEBACK):
        after = text.rpartition(_TRACEBACK)[2].strip("\n").splitlines()
        text = next((line for line in after if line and not line.startswith(" ")), after[-1] if after else "")
        text = re.sub(r"^(?:\w+\.)+(?=\w+(?::|$))", "", text)
    return text.strip().partition("\n")[0]


def duration(seconds: float) -> str:
    """``2 h 05 min``, ``3 min 20 s``, ``41 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _seconds(record: RunRecord) -> float:
    if record.finished is None:
        return 0.0
    return (datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)).total_seconds()


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _machine(environment: dict[str, Any]) -> str:
    gpus = Counter(environment.get("gpus") or [])
    parts = [
        *(f"{count} × {name}" if count > 1 else name for name, count in gpus.items()),
        f"{environment.get('cpu')}, {environment.get('cores')} cores, threads used: {environment.get('threads')}",
        str(environment.get("platform")),
        f"Python {environment.get('python')}",
        *([f"CUDA {environment['cuda']}"] if gpus and environment.get("cuda") else []),
    ]
    return "; ".join(parts)


def _rows(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """The rows of each split, where all runs had the same data."""
    found = {tuple((split, data["rows"]) for split, data in record.data.items()) for record in records if record.data}
    if len(found) != 1:
        return []
    return [("rows", ", ".join(f"{split} {rows:,}" for split, rows in next(iter(found))))]


def _code(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    commits = Counter((r.git["commit"][:12], bool(r.git.get("dirty"))) for r in records if r.git.get("commit"))
    if not commits:
        return []
    texts = [f"{commit}{' with uncommitted changes' if dirty else ''}" for commit, dirty in commits]
    return [("commit", ", ".join(texts))]
