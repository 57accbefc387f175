"""Text as sub-words on disk: tokenised once, then read through memory, however long it is."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

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
    path = folder / f"{digest}.{kind.name}"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as stream:
                for block in texts:
                    for ids in tokenise(block):
                        stream.write(np.asarray(ids, dtype=kind).tobytes())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    if path.stat().st_size == 0:
        return np.empty(0, dtype=kind)
    return np.memmap(path, dtype=kind, mode="r")


def blocks(rows: Sequence[Any]) -> Iterator[list[Any]]:
    """All rows, a thousand at a time."""
    for start in range(0, len(rows), _BLOCK):
        yield [rows[i] for i in range(start, min(start + _BLOCK, len(rows)))]
