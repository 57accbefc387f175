"""What lies below a folder of results: single runs, sweeps with their runs, and how much room they take."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from finesweep.config.errors import UserError
from finesweep.results.record import FILE, RunRecord

#: Either of them tells that a folder is a sweep's.
_OF_A_SWEEP = ("sweep.json", "ledger")


@dataclass(frozen=True)
class Place:
    """A run, or a sweep with its runs.

    Attributes:
        unreadable: how many runs are there whose record cannot be read.
    """

    folder: Path
    records: list[RunRecord]
    unreadable: int
    sweep: bool


def places(root: Path) -> Iterator[Place]:
    """The runs and sweeps below a folder, or the one that it is itself.

    Raises:
        UserError: there is no such folder.
    """
    if not root.is_dir():
        raise UserError("there is no such folder", where=str(root), remedy="name the folder that runs lie in")
    yield from _places(root)


def _places(folder: Path) -> Iterator[Place]:
    below = [Path(entry.path) for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)]
    if (folder / FILE).is_file():
        yield _place(folder, [folder], sweep=False)
    elif any((folder / name).exists() for name in _OF_A_SWEEP):
        yield _place(folder, [each for each in below if (each / FILE).is_file()], sweep=True)
    else:
        for each in below:
            yield from _places(each)


def _place(folder: Path, runs: list[Path], *, sweep: bool) -> Place:
    records, unreadable = [], 0
    for run in runs:
        try:
            records.append(RunRecord.read(run))
        except UserError:
            unreadable += 1
    return Place(folder, records, unreadable, sweep)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; what others remove in the meantime counts for nothing."""
    total, waiting = 0, [path]
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size if path.exists() or path.is_symlink() else 0
    while waiting:
        for entry in _entries(waiting.pop()):
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_size
            except OSError:
                continue
    return total


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []
