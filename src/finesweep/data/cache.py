"""Text as sub-words on disk: tokenised once, then read through memory, however long it is."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from finesweep.results.files import to_disk

#: Texts that are tokenised together.
_BLOCK = 1000


def tokenised(
    folder: Path, key: Mapping[str, Any], texts: Iterable[list[str]], vocabulary: int, tokenise: Any
) -> np.ndarray:
    """One array with the sub-words of all texts, from the cache or made now.

    Args:
        folder: of the cache.
        key: everything that decides what the array holds; its hash names the file.
        texts: in blocks, see :func:`blocks`.
        vocabulary: how many sub-words there are, which decides how wide a number must be.
        tokenise: a block of texts -> a list of ids for each.
    """
    kind = np.dtype(np.uint16 if vocabulary <= 2**16 else np.uint32)
    digest = hashlib.sha256(repr(sorted(key.items())).encode()).hexdigest()
    # The name tells how long the file is to be, so that one that was cut short is made anew.
    found = [path for path in folder.glob(f"{digest}-*.{kind.name}") if path.stat().st_size == _bytes(path, kind)]
    path = found[0] if found else _made(folder, digest, kind, texts, tokenise)
    return np.memmap(path, dtype=kind, mode="r") if _bytes(path, kind) else np.empty(0, dtype=kind)


def _bytes(path: Path, kind: np.dtype) -> int:
    return int(path.stem.rpartition("-")[2]) * kind.itemsize


def _made(folder: Path, digest: str, kind: np.dtype, texts: Iterable[list[str]], tokenise: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    temporary, count = folder / f"{digest}.{os.getpid()}.tmp", 0
    try:
        with temporary.open("wb") as stream:
            for block in texts:
                for ids in tokenise(block):
                    stream.write(np.asarray(ids, dtype=kind).tobytes())
                    count += len(ids)
        to_disk(temporary)
        return temporary.replace(folder / f"{digest}-{count}.{kind.name}")
    finally:
        temporary.unlink(missing_ok=True)


def blocks(rows: Sequence[Any]) -> Iterator[list[Any]]:
    """All rows, a thousand at a time."""
    for start in range(0, len(rows), _BLOCK):
        yield [rows[i] for i in range(start, min(start + _BLOCK, len(rows)))]
