"""Lines of text with their numbers: of a text in memory, or of a file that need not fit there."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from finesweep.config.errors import UserError

BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"


def numbered(text: str) -> list[tuple[int, str]]:
    """The lines of a text, from 1."""
    return list(enumerate(text.removesuffix("\n").split("\n"), 1))


@dataclass(frozen=True)
class Lines:
    """The lines of a file in UTF-8, packed by gzip or not. Each time they are gone through, they are read anew.

    Attributes:
        path: as the user calls the file.
    """

    file: Path
    path: str

    def __iter__(self) -> Iterator[tuple[int, str]]:
        try:
            with opened(self.file) as stream:
                for number, line in enumerate(stream, 1):
                    raw = line.removeprefix(BOM) if number == 1 else line
                    yield number, utf8(raw, f"{self.path}:{number}").removesuffix("\n").removesuffix("\r")
        except (OSError, EOFError, zlib.error) as error:
            raise damaged(error, self.path) from error


def is_packed(file: Path) -> bool:
    """Whether a file is one of gzip's, whatever its name."""
    with file.open("rb") as stream:
        return stream.read(len(_GZIP)) == _GZIP


def opened(file: Path) -> IO[bytes]:
    """A file's bytes, unpacked."""
    return cast("IO[bytes]", gzip.open(file, "rb")) if is_packed(file) else file.open("rb")


def damaged(error: Exception, path: str) -> UserError:
    """What to say of a file that cannot be read or unpacked."""
    if isinstance(error, OSError) and error.strerror:
        return UserError(f"the file cannot be read: {error.strerror}", where=path)
    return UserError(f"the gzip file is damaged ({error})", where=path)


def utf8(raw: bytes, where: str) -> str:
    """A line of a file. Raises UserError."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise UserError(
            f"the file is not utf-8: byte 0x{error.object[error.start]:02x} cannot be read",
            where=where,
            remedy="convert the file to UTF-8, or name its encoding with data.encoding (latin-1, say)",
        ) from error
