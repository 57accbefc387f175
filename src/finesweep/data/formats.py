"""Files as users have them, read into one :class:`Table`: column files, JSON, CSV, TSV, Parquet, text, SemEval's.

Every reader keeps the line that a row began at, so that an error can name it; nothing is dropped without a note.
"""

import codecs
import io
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from finesweep.config.errors import UserError
from finesweep.data.column_files import read_columns
from finesweep.data.json_files import is_json_lines, read_json, read_json_lines
from finesweep.data.lines import Lines, damaged, is_packed, numbered, opened
from finesweep.data.separated_files import read_separated
from finesweep.data.spool import Kept
from finesweep.data.table import Lazy, Reading, Table
from finesweep.data.text_files import is_semeval, read_lines, read_semeval, split_blocks, split_lines

#: Bytes of a file by which its format is told; a first line should fit.
_HEAD = 2**16
#: Bytes from which on the rows of a file are kept on disk; as objects in memory they take ten times as much.
_LARGE, _LARGE_PACKED = 2**22, 2**20


def read(path: str | Path, how: Reading) -> Table:
    """Read one file.

    Raises:
        UserError: the file is missing, empty, wrongly encoded or malformed; the message names file and line.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        what = "is a folder, not a file" if file.is_dir() else "does not exist"
        raise UserError(f"the file {what}", where=str(path), remedy="check the path in data.train/validation/test")
    suffix = Path(file.stem).suffix.lower() if file.suffix.lower() == ".gz" else file.suffix.lower()
    if table := _streamed(file, suffix, str(path), how):
        return _named(_with_rows(table), how)
    raw = _unpacked(file, str(path))
    if how.format == "parquet" or (how.format == "auto" and (suffix == ".parquet" or raw[:4] == b"PAR1")):
        table = _read_parquet(raw, str(path))
    else:
        table = _read_text(_decode(raw, str(path), how.encoding), suffix, str(path), how)
    return _named(_with_rows(table), how)


def read_side_by_side(paths: Sequence[str], how: Reading) -> Table:
    """Files whose n-th rows belong together (the sentences of two languages, say) as one table.

    Raises:
        UserError: as in :func:`read`, or the files are not equally long.
    """
    every = replace(how, columns=(), blank=True, plain="text", format="text" if how.format == "auto" else how.format)
    tables = [read(path, every) for path in paths]
    first = tables[0]
    for table in tables[1:]:
        if len(table.rows) != len(first.rows):
            short = min(table, first, key=lambda each: len(each.rows))
            raise UserError(
                f"the files are not equally long: {first.path} has {len(first.rows):,} rows, "
                f"{table.path} has {len(table.rows):,}",
                where=short.where(len(short.rows) - 1),
                remedy="give files whose n-th lines belong together",
            )
    rows = _Together([table.rows for table in tables])
    notes = [note for table in tables for note in table.notes]
    together = " + ".join(table.path for table in tables)
    return _named(Table(together, list(range(len(rows[0]))), rows, first.lines, notes), how)


class _Together(Lazy):
    """Rows side by side."""

    def __init__(self, parts: Sequence[Sequence[list[Any]]]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return len(self._parts[0])

    def entry(self, index: int) -> list[Any]:
        return [cell for rows in self._parts for cell in rows[index]]


def _streamed(file: Path, suffix: str, path: str, how: Reading) -> Table | None:
    """The rows of a file that need not be read into memory for them; None if it is none of those."""
    if how.encoding.lower().replace("_", "-") not in ("utf-8", "utf8", "utf-8-sig"):
        return None
    try:
        packed = is_packed(file)
        with opened(file) as stream:
            head = stream.read(_HEAD)
    except (OSError, EOFError, zlib.error):  # whoever reads the whole of it will say why
        return None
    if b"\n" not in head or head[:4] == b"PAR1" or how.format == "parquet":
        return None
    kind = _kind(head.decode("utf-8-sig", errors="replace"), suffix, how) if how.format == "auto" else how.format
    if kind == "text" and not packed:
        return read_lines(file, path, how)
    lines = Lines(file, path)
    if file.stat().st_size < (_LARGE_PACKED if packed else _LARGE):
        return None
    if kind == "json":
        lined = is_json_lines(line for _, line in lines)
        return read_json_lines(lines, path, Kept.on_disk()) if lined else None
    return _of_lines(kind, lines, path, how, Kept.on_disk())


def _of_lines(kind: str, lines: Iterable[tuple[int, str]], path: str, how: Reading, kept: Kept) -> Table | None:
    """The rows of a format that is read line by line; None if it is another."""
    if kind == "columns":
        return read_columns(lines, path, how, kept)
    if kind == "text":
        return split_lines(lines, path, how, kept)
    if kind in ("csv", "tsv"):
        return read_separated(lines, path, how, "," if kind == "csv" else "\t", kept)
    return None


def _with_rows(table: Table) -> Table:
    if not len(table.rows):
        raise UserError("the file has no rows", where=table.path, remedy="give a file with at least one row")
    return table


def _unpacked(file: Path, path: str) -> bytes:
    try:
        with opened(file) as stream:
            raw = stream.read()
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(error, path) from error
    if not raw:
        raise UserError("the file is empty", where=path, remedy="give a file with at least one row")
    return raw


def _read_text(text: str, suffix: str, path: str, how: Reading) -> Table:
    if not text.strip():
        raise UserError("the file is empty", where=path, remedy="give a file with at least one row")
    kind = _kind(text, suffix, how) if how.format == "auto" else how.format
    if kind == "json":
        return read_json(text, path, of_words=how.plain == "columns")
    if kind == "blocks":
        return split_blocks(text, path)
    if kind == "semeval":
        return read_semeval(text, path)
    table = _of_lines(kind, numbered(text), path, how, Kept.in_memory())
    assert table is not None  # there is no other format
    return table


def _decode(raw: bytes, path: str, encoding: str) -> str:
    try:
        # Whatever spelling of UTF-8 is asked for, a byte order mark is no part of the text.
        text = raw.decode("utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        # Not of `raw`: utf-8-sig counts from behind the byte order mark.
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"the file is not {encoding}: byte 0x{error.object[error.start]:02x} cannot be read",
            where=f"{path}:{line}",
            remedy="convert the file to UTF-8, or name its encoding with data.encoding (latin-1, say)",
        ) from error
    except LookupError as error:
        raise UserError(f"there is no encoding '{encoding}'", where="data.encoding") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _kind(text: str, suffix: str, how: Reading) -> str:
    """The format by ending and content. A .tsv or .csv whose rows stand in blocks is a column file."""
    first = [cell.strip().casefold() for cell in text.lstrip().split("\n", 1)[0].split(",")]
    # In a CSV an empty line may stand inside a quoted cell: a text of several paragraphs.
    if suffix == ".csv" and len(first) > 1 and ('"' in text or how.expected & set(first)):
        return "csv"
    if suffix in (".csv", ".tsv"):
        blocks = how.plain == "columns" and re.search(r"\n[ \t]*\n[ \t]*\S", text)
        return "columns" if blocks else suffix[1:]
    if suffix in (".json", ".jsonl", ".ndjson") or text.lstrip()[:2] in ('{"', "[{"):
        return "json"
    if is_semeval(text):
        return "semeval"
    # Where a task wants several columns, lines of one text each would not do.
    return "tsv" if how.plain == "text" and how.parted and "\t" in text.lstrip("\n").split("\n", 1)[0] else how.plain


def _named(table: Table, how: Reading) -> Table:
    """Give the columns the names of ``data.columns`` where the file brought none."""
    if not how.columns:
        return table
    if all(isinstance(column, int) for column in table.columns):
        if len(how.columns) != len(table.columns):
            raise UserError(
                f"data.columns names {len(how.columns)} columns, the file has {len(table.columns)}", where=table.path
            )
        table.columns = list(how.columns)
    else:
        table.notes.append(f"{table.path}: data.columns is not used, the file names its columns itself")
    return table


def _read_parquet(raw: bytes, path: str) -> Table:
    import pyarrow.parquet  # a tenth of a second that only Parquet files need
    from pyarrow import ArrowException

    try:
        content = pyarrow.parquet.read_table(io.BytesIO(raw))
    except (ArrowException, OSError) as error:
        raise UserError(f"the file is no Parquet: {error}", where=path) from error
    columns = [content.column(name).to_pylist() for name in content.column_names]
    return Table(path, list(content.column_names), [list(cells) for cells in zip(*columns, strict=True)])
