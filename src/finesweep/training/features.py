"""Encoded rows on disk: encoded once, and read through memory by every job that trains on the same.

A file holds the features of one split as an Arrow table, a column each for the sub-words, the row, what was cut off,
and whatever else the task adds. Its name is the hash of all that decides what is in it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from finesweep.data.table import Lazy
from finesweep.results.files import replacing
from finesweep.tasks.base import Feature

#: Of the layout of the files; another one reads no file of this.
_VERSION = 1
_OWN = ("row", "input_ids", "cut")


class Stored(Lazy):
    """The features of a table; each is made when it is asked for.

    Attributes:
        lengths: the sub-words of each, (features,).
        sub_words: the ids of all of them, one after the other.
        key: stands for all that decides what they are.
    """

    def __init__(self, table: pa.Table, key: str) -> None:
        columns = {name: _whole(table.column(name)) for name in table.column_names}
        self.key = key
        self.sub_words = columns["input_ids"].flatten().to_numpy()
        self.lengths = np.diff(columns["input_ids"].offsets.to_numpy()) if len(table) else np.zeros(0, dtype=int)
        self._count = len(table)
        self._row, self._input_ids, self._cut = (_reader(columns.pop(name)) for name in _OWN)
        self._extra = [(name, _reader(column)) for name, column in columns.items()]

    def __len__(self) -> int:
        return self._count

    def entry(self, index: int) -> Feature:
        place = index + self._count if index < 0 else index
        if not 0 <= place < self._count:
            raise IndexError(index)
        # What only other features have is null here.
        extra = {name: value for name, read in self._extra if (value := read(place)) is not None}
        return Feature(self._row(place), self._input_ids(place), extra, self._cut(place))


def sub_words(features: Sequence[Feature]) -> np.ndarray:
    """The ids that features have, ascending; none at all of those that are made as they are asked for."""
    if isinstance(features, Stored):
        return np.unique(features.sub_words)
    return np.unique([i for each in features for i in each.input_ids] if isinstance(features, list) else [])


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _reader(column: pa.Array) -> Callable[[int], Any]:
    """Cells of a column as plain Python values. Numbers and lists of them, nearly all there are, go without Arrow."""
    if column.null_count == 0 and _is_number(column.type):
        numbers = column.to_numpy()
        return lambda i: numbers[i].item()
    if column.null_count == 0 and pa.types.is_list(column.type) and _is_number(column.type.value_type):
        offsets, values = column.offsets.to_numpy(), column.values.to_numpy()
        return lambda i: values[offsets[i] : offsets[i + 1]].tolist()
    return lambda i: column[i].as_py()


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def stored(folder: Path, key: Mapping[str, Any], encode: Callable[[], Sequence[Feature]]) -> Sequence[Feature]:
    """The features that a key stands for, from the cache or made now.

    Args:
        folder: of the cache.
        key: everything that decides what the features are.
        encode: makes them. What is no list looks after itself, and is handed on as it is.
    """
    text = json.dumps({**key, "layout": _VERSION}, sort_keys=True, default=str)
    path = folder / "features" / f"{hashlib.sha256(text.encode()).hexdigest()}.arrow"
    try:
        return _opened(path)
    except (OSError, pa.ArrowInvalid):  # there is none, or it was cut short
        features = encode()
    if not isinstance(features, list) or not features:
        return features
    _write(path, features)
    return _opened(path)


def _opened(path: Path) -> Stored:
    with pa.memory_map(str(path)) as source:
        return Stored(pa.ipc.open_file(source).read_all(), path.stem)


def _write(path: Path, features: Sequence[Feature]) -> None:
    names = dict.fromkeys(name for feature in features for name in feature.extra)
    columns = {
        "row": [feature.row for feature in features],
        "input_ids": [feature.input_ids for feature in features],
        "cut": [feature.cut for feature in features],
        **{name: [feature.extra.get(name) for feature in features] for name in names},
    }
    table = pa.table(columns)
    with (
        replacing(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)
