"""Files that are whole or not there, whenever the process ends."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import uuid4


def write_atomically(path: Path, text: str | Iterable[str]) -> None:
    """Write a text, or its parts, so that whoever looks sees the old content of the file or the new, never a part."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.writelines([text] if isinstance(text, str) else text)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to be written, which takes the place of ``path`` once it is whole and on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        yield temporary
        to_disk(temporary)
        temporary.replace(path)
        to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
