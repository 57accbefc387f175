"""Text files: a text on each line, however many lines there are; and the format of SemEval-2010 task 8."""

import mmap
import re
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

from finesweep.config.errors import UserError
from finesweep.data.lines import BOM, utf8
from finesweep.data.spool import Kept
from finesweep.data.table import Lazy, Reading, Table


class _Lines(Lazy):
    """Lines of a UTF-8 file as rows of one cell, read from disk when they are asked for."""

    def __init__(self, file: Path, starts: Sequence[int]) -> None:
        self._starts = starts
        with file.open("rb") as stream:
            self._bytes = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self._starts)

    def entry(self, index: int) -> list[str]:
        start = self._starts[index]
        end = self._bytes.find(b"\n", start)
        return [self._bytes[start : end if end >= 0 else len(self._bytes)].decode().rstrip("\r")]


def read_lines(file: Path, path: str, how: Reading) -> Table:
    """A row for each line of a UTF-8 file that need not fit into memory; empty lines count only if they are wanted."""
    starts, numbers, blank, start = array("q"), array("q"), 0, 0
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            begin = start + (len(BOM) if number == 1 and line.startswith(BOM) else 0)
            if utf8(line[begin - start :], f"{path}:{number}").strip() or how.blank:
                starts.append(begin)
                numbers.append(number)
            else:
                blank += 1
            start += len(line)
    return Table(path, [0], _Lines(file, starts) if starts else [], numbers, _blank_note(path, blank))


def split_lines(lines: Iterable[tuple[int, str]], path: str, how: Reading, kept: Kept) -> Table:
    """The same of lines that are not those of a plain file of UTF-8: in memory, or unpacked."""
    blank = 0
    for number, line in lines:
        if line.strip() or how.blank:
            kept.add([line], number)
        else:
            blank += 1
    return Table(path, [0], kept.rows, kept.lines, _blank_note(path, blank))


def split_blocks(text: str, path: str) -> Table:
    """A row for each run of lines that no empty line parts."""
    blocks: list[tuple[int, list[str]]] = []
    previous = ""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and previous.strip():
            blocks[-1][1].append(line)
        elif line.strip():
            blocks.append((number, [line]))
        previous = line
    return Table(path, [0], [["\n".join(lines)] for _, lines in blocks], [number for number, _ in blocks])


def _blank_note(path: str, blank: int) -> list[str]:
    lines = "1 empty line" if blank == 1 else f"{blank} empty lines"
    return [f"{path}: {lines} passed over"] if blank else []


#: A sentence of SemEval-2010 task 8: its number, a tab, and the text in quotation marks.
_SENTENCE = re.compile(r'(\d+)\t"?(.*?)"?')


def is_semeval(text: str) -> bool:
    """Whether a text begins like a file of SemEval-2010 task 8."""
    first = text.lstrip().split("\n", 1)[0]
    return _SENTENCE.fullmatch(first) is not None and "<e1>" in first and "<e2>" in first


def read_semeval(text: str, path: str) -> Table:
    """Blocks of a numbered sentence, its relation, and perhaps a comment, parted by empty lines."""
    table = Table(path, ["id", "text", "label"], rows := [], lines := [])
    pending: tuple[int, str, str] | None = None
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        sentence = _SENTENCE.fullmatch(line)
        if sentence:
            _end(pending, path)
            pending = number, sentence[1], sentence[2]
        elif pending and line and not line.startswith("Comment:"):
            rows.append([pending[1], pending[2], line])
            lines.append(pending[0])
            pending = None
        elif line and not line.startswith("Comment:"):
            message = 'a sentence should be a number, a tab, and a text in quotation marks: 1<TAB>"…"'
            raise UserError(f"{message}, not {line[:60]!r}", where=f"{path}:{number}")
    _end(pending, path)
    return table


def _end(pending: tuple[int, str, str] | None, path: str) -> None:
    if pending is not None:
        raise UserError("the sentence has no relation below it", where=f"{path}:{pending[0]}")
