"""Column files: one token a line with its columns, a blank line between sentences (CoNLL-2003, WNUT, GermEval, …)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from finesweep.config.errors import UserError
from finesweep.data.spool import Kept
from finesweep.data.table import Reading, Table

#: Tags of the schemes IOB, IOBES, BILOU and BMES. Anything else beside a leading '#' makes the line a comment.
_TAG = re.compile(r"O|[BIESLUM]-\S+")


def read_columns(lines: Iterable[tuple[int, str]], path: str, how: Reading, kept: Kept) -> Table:
    """One token a line, a blank line between rows. Tabs part the columns if they do in the first line, else blanks.

    Args:
        lines: of the file with their numbers; they are gone through more than once.
        kept: takes the rows.
    """
    shape = _shape(lines, how)
    tags = _tags(lines, shape, how)
    documents: list[int] = []
    table = Table(path, list(range(shape.width)), kept.rows, kept.lines, documents=documents)
    block: list[list[str]] = []
    comments = before = begin = 0

    def close() -> None:
        if block:
            kept.add([list(column) for column in zip(*block, strict=True)], begin)
            block.clear()

    for number, line in _filled(lines):
        if number > before + 1:
            close()
        before = number
        cells = _cells(line, shape.tabbed)
        if _is_document(line):
            close()
            documents.append(len(kept.rows))
        elif _is_comment(line, cells, shape.width, tags, how):
            comments += 1
        elif shape.width > 1 and not line.strip():
            close()  # a no-break space may be a token, but no line of several columns
        elif len(cells) != shape.width:
            raise UserError(
                f"{shape.width} columns expected as in line {shape.line}, found {len(cells)}: {line.strip()[:60]!r}",
                where=f"{path}:{number}",
                remedy="separate the columns by tabs, or by blanks alone; if it is a comment, set data.comment",
            )
        else:
            begin = begin if block else number
            block.append(cells)
    close()
    if comments:
        table.notes.append(f"{path}: {comments} comment lines passed over")
    if documents:
        table.notes.append(f"{path}: {len(documents)} -DOCSTART- lines passed over")
    return table


def _filled(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in lines if line.strip(" \t"))


@dataclass(frozen=True)
class _Shape:
    """How the file is laid out, by its first token's line."""

    tabbed: bool = False
    width: int = 0
    line: int = 0


def _shape(lines: Iterable[tuple[int, str]], how: Reading) -> _Shape:
    prefix = "#" if how.comment == "auto" else how.comment
    first: tuple[int, str] | None = None
    for number, line in _filled(lines):
        if not line.strip() or _is_document(line):
            continue
        first = first or (number, line)
        if not (prefix and line.startswith(prefix)):
            first = number, line
            break
    if first is None:
        return _Shape()
    # Where every line begins with '#', they may still be tokens.
    number, line = first
    tabbed = "\t" in line.strip(" \t")
    return _Shape(tabbed, len(_cells(line, tabbed)), number)


def _is_document(line: str) -> bool:
    return line.split(maxsplit=1)[:1] == ["-DOCSTART-"]


def _cells(line: str, tabbed: bool) -> list[str]:
    """The columns of a line. Only blank and tab separate: a no-break space may be a token, and a token empty."""
    if tabbed:
        return [cell.strip(" ") for cell in line.rstrip(" \t").split("\t")]
    return re.split(r"[ \t]+", line.strip(" \t"))


def _tags(lines: Iterable[tuple[int, str]], shape: _Shape, how: Reading) -> set[str]:
    """The tags of lines that are no comments, whatever the rule; empty where no line needs them to be told from one."""
    width, column = shape.width, how.tag_column
    if how.comment != "auto" or not -width <= column < width or not any(line[:1] == "#" for _, line in lines):
        return set()
    rows = (_cells(line, shape.tabbed) for _, line in _filled(lines) if not line.startswith("#"))
    return {cells[column] for cells in rows if len(cells) == width}


def _is_comment(line: str, cells: list[str], width: int, tags: set[str], how: Reading) -> bool:
    """By the prefix that the user named, else a leading '#' beside what is no tag. ``tags``: those of other lines."""
    if how.comment != "auto":
        return how.comment != "" and line.startswith(how.comment)
    if not line.startswith("#"):
        return False
    if len(cells) != width or not -width <= how.tag_column < width:
        return True
    if width == 1:  # no tags at all: a lone "#word" among other words is one of them
        return not tags
    # With prefixed tags about, an unprefixed cell beside '#' is text; without any, only a tag seen elsewhere is one.
    return not (_TAG.fullmatch(cells[how.tag_column]) or cells[how.tag_column] in tags)
