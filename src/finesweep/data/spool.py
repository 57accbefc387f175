"""Rows that need not fit into memory: written to disk as they come, and read again some at a time."""

import os
import pickle
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from finesweep.data.table import Lazy

#: Rows that are written and read together.
_BLOCK = 256


class Spool(Lazy):
    """Rows in a file without a name, which is gone with the process. What they hold must be picklable."""

    def __init__(self, rows: Iterable[Any] = ()) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the rows
        weakref.finalize(self, self._file.close)
        self._starts = array("q", [0])
        self._last: list[Any] = []
        self._block = lru_cache(maxsize=2)(self._read)  # two: neighbours may stand on both sides of an edge
        self.extend(rows)

    def append(self, row: Any) -> None:
        self._last.append(row)
        if len(self._last) == _BLOCK:
            written = pickle.dumps(self._last, pickle.HIGHEST_PROTOCOL)
            self._file.write(written)
            self._starts.append(self._starts[-1] + len(written))
            self._last = []

    def extend(self, rows: Iterable[Any]) -> None:
        for row in rows:
            self.append(row)

    def __len__(self) -> int:
        return (len(self._starts) - 1) * _BLOCK + len(self._last)

    def entry(self, index: int) -> Any:
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(index)
        block, inside = divmod(place, _BLOCK)
        return (self._last if block == len(self._starts) - 1 else self._block(block))[inside]

    def __iter__(self) -> Iterator[Any]:
        for block in range(len(self._starts) - 1):
            yield from self._block(block)
        yield from self._last

    def _read(self, block: int) -> list[Any]:
        self._file.flush()
        start, end = self._starts[block : block + 2]
        # Not by moving in the file: processes that prepare batches share the place in it.
        return list(pickle.loads(os.pread(self._file.fileno(), end - start, start)))


@dataclass(frozen=True)
class Kept:
    """What a reader keeps of a file as it goes through it: rows, and the lines at which they begin."""

    rows: list[Any] | Spool
    lines: "list[int] | array[int]"

    @classmethod
    def in_memory(cls) -> "Kept":
        return cls([], [])

    @classmethod
    def on_disk(cls) -> "Kept":
        return cls(Spool(), array("q"))

    def add(self, row: Any, line: int) -> None:
        self.rows.append(row)
        self.lines.append(line)
