"""What may go below a folder of results without a loss that counts, how much that frees, and its removal."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from finesweep.config.errors import UserError
from finesweep.config.identity import value_at
from finesweep.results.folders import Place, places, size_of
from finesweep.results.lock import LiveError, is_locked, locked
from finesweep.results.record import RunRecord
from finesweep.results.tables import aligned, size_text
from finesweep.sweeps.disk import Keep, drop_checkpoints, drop_model
from finesweep.sweeps.ledger import at_work

Kind = Literal["checkpoints", "models", "half-written", "encoded text"]
#: Seconds since a file was written after which nobody is at it any more.
_HALF_WRITTEN = 3600
#: Seconds since encoded text was read last after which it goes. It is made again when it is needed.
_UNREAD = 30 * 24 * 3600


@dataclass(frozen=True)
class Waste:
    """Something that may go.

    Attributes:
        place: the run or sweep that it belongs to, or the cache.
        run: whose it is; None for what is no run's.
        why: the model of the run goes, for its record.
    """

    kind: Kind
    place: Path
    path: Path
    size: int
    run: RunRecord | None = None
    why: str = ""

    def remove(self) -> int:
        """Remove it; the bytes that frees, 0 where a process has begun to work on the run."""
        if self.run is None:
            self.path.unlink(missing_ok=True)
            return self.size
        if self.kind == "checkpoints":
            return drop_checkpoints(self.run)
        if self.kind == "models":
            return drop_model(self.run, self.why)
        try:
            with locked(self.run.folder):
                self.path.unlink(missing_ok=True)
        except LiveError:
            return 0
        return self.size


def clean(root: Path, *, keep: str | None = None, unfinished: bool = False, remove: bool = False) -> str:
    """What may go below a folder, as a table; removed if asked for.

    Args:
        keep: whose models stay in all sweeps; None takes what each sweep was told.
        unfinished: runs that failed or were stopped lose their checkpoints too, and would begin again.

    Raises:
        UserError: there is no such folder, or ``keep`` is nothing that can be kept.
    """
    asked = None if keep is None else _keep(keep)
    below = list(places(root))
    caches = {Path(text).expanduser() for place in below for record in place.records if (text := _cache(record))}
    found = [waste for place in below for waste in _wastes(place, asked, unfinished)]
    found += [waste for folder in sorted(caches) for waste in _unread(folder)]
    if not found:
        return f"Nothing below {root}/ may go."
    freed = [waste.remove() if remove else waste.size for waste in found]
    table, total = _table(found, freed, root), size_text(sum(freed))
    if not remove:
        return f"{table}\n\n{total} may go: the same with --yes removes it"
    left = sum(waste.path.exists() for waste in found)
    return f"{table}\n\n{total} removed" + (f"; {left:,} of them stay, since a process has them in use" if left else "")


def _keep(text: str) -> Keep:
    if text in ("best", "all", "none") or text.isdecimal():
        return Keep(int(text) if text.isdecimal() else text)
    raise UserError(f"should be best, all, none or a number from 0 on, not '{text}'", where="--keep")


def _table(found: list[Waste], freed: list[int], root: Path) -> str:
    sums: dict[tuple[Path, Kind], list[int]] = {}
    for waste, size in zip(found, freed, strict=True):
        sums.setdefault((waste.place, waste.kind), []).append(size)
    rows = []
    for (place, kind), sizes in sums.items():
        name = place.relative_to(root) if place.is_relative_to(root) else place
        rows.append([name, kind, len(sizes), size_text(sum(sizes))])
    return aligned([["where", "what", "how many", "size"], *rows])


def _wastes(place: Place, asked: Keep | None, unfinished: bool) -> Iterator[Waste]:
    claimed = at_work(place.folder / "ledger")
    idle = [each for each in place.records if each.config_hash[:16] not in claimed and not is_locked(each.folder)]
    for record in idle:
        checkpoints = record.folder / "checkpoints"
        over = unfinished or record.status in ("ok", "pruned")  # all others go on from theirs
        if over and checkpoints.is_dir():
            yield Waste("checkpoints", place.folder, checkpoints, size_of(checkpoints), record)
        for path in record.folder.rglob(".*.tmp"):
            if not (over and checkpoints in path.parents) and _older(path, _HALF_WRITTEN):
                yield Waste("half-written", place.folder, path, size_of(path), record)
    sweepers = bool(claimed) or len(idle) < len(place.records)  # who see to their models themselves
    for record, why in _models(place, [] if sweepers else idle, asked):
        if (path := record.folder / "model").is_dir():
            yield Waste("models", place.folder, path, size_of(path), record, why)
    if place.sweep:
        for path in (*place.folder.glob(".*.tmp"), *(place.folder / "ledger").glob(".*")):
            if _older(path, _HALF_WRITTEN):
                yield Waste("half-written", place.folder, path, size_of(path))


def _models(place: Place, idle: list[RunRecord], asked: Keep | None) -> Iterator[tuple[RunRecord, str]]:
    """Runs whose models may go, and why."""
    for record in idle:
        if record.status == "ok" and (why := record.model.get("dropped")):  # its removal was cut short
            yield record, why
    keep = Keep.read(place.folder) if place.sweep else None
    if place.sweep and asked is not None:
        keep = Keep(asked.keep, keep.objectives if keep is not None else {})
    if keep is not None:
        yield from ((record, keep.why) for record in keep.superfluous(idle) if "dropped" not in record.model)


def _cache(record: RunRecord) -> str:
    """Where the run keeps what it has encoded; one of an older version its task's tokenised text."""
    place = record.config.get("cache_dir") or value_at(record.config, "task.cache_dir")
    return place if isinstance(place, str) else ""


def _unread(folder: Path) -> Iterator[Waste]:
    kept, tmp = (
        ("*-*.uint16", "*-*.uint32", "features/*.arrow", "states/[!.]*"),
        ("*.tmp", "features/*.tmp", "states/.*.tmp"),
    )
    for pattern, seconds in (*((each, _UNREAD) for each in kept), *((each, _HALF_WRITTEN) for each in tmp)):
        for path in folder.glob(pattern):
            if _older(path, seconds, unread=True):
                yield Waste("encoded text", folder, path, size_of(path))


def _older(path: Path, seconds: float, *, unread: bool = False) -> bool:
    """Whether a file was not written for so long, and not read either."""
    try:
        stat = path.stat()
    except OSError:  # gone
        return False
    return time.time() - max(stat.st_mtime, stat.st_atime if unread else 0) > seconds
