"""Files as users have them, read into one :class:`Table`: column files, JSON, JSON lines, CSV, TSV and Parquet.

Every reader keeps the line that a row began at, so that an error can name it; nothing is dropped without a note.
"""

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from finesweep.config.errors import UserError
from finesweep.data.column_files import read_columns
from finesweep.data.table import Reading, Table


def read(path: str | Path, how: Reading) -> Table:
    """Read one file.

    Raises:
        UserError: the file is missing, empty, wrongly encoded or malformed; the message names file and line.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        what = "is a folder, not a file" if file.is_dir() else "does not exist"
        raise UserError(f"the file {what}", where=str(path), remedy="check the path in data.train/validation/test")
    raw = _unpacked(file, str(path))
    suffix = Path(file.stem).suffix.lower() if file.suffix.lower() == ".gz" else file.suffix.lower()
    if how.format == "parquet" or (how.format == "auto" and (suffix == ".parquet" or raw[:4] == b"PAR1")):
        table = _read_parquet(raw, str(path))
    else:
        table = _read_text(_decode(raw, str(path), how.encoding), suffix, str(path), how)
    if not table.rows:
        raise UserError("the file has no rows", where=str(path), remedy="give a file with at least one row")
    return _named(table, how)


def _unpacked(file: Path, path: str) -> bytes:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise UserError(f"the file cannot be read: {error.strerror}", where=path) from error
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"the gzip file is damaged ({error})", where=path) from error
    if not raw:
        raise UserError("the file is empty", where=path, remedy="give a file with at least one row")
    return raw


def _read_text(text: str, suffix: str, path: str, how: Reading) -> Table:
    if not text.strip():
        raise UserError("the file is empty", where=path, remedy="give a file with at least one row")
    kind = _kind(text, suffix, how) if how.format == "auto" else how.format
    if kind == "json":
        return _read_json(text, path)
    if kind == "columns":
        return read_columns(text, path, how)
    return _read_separated(text, path, how, "," if kind == "csv" else "\t")


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
    first = text.lstrip().split("\n", 1)[0].split(",")
    # In a CSV an empty line may stand inside a quoted cell: a text of several paragraphs.
    if suffix == ".csv" and len(first) > 1 and ('"' in text or how.expected & {cell.strip() for cell in first}):
        return "csv"
    if suffix in (".csv", ".tsv"):
        return "columns" if re.search(r"\n[ \t]*\n[ \t]*\S", text) else suffix[1:]
    if suffix in (".json", ".jsonl", ".ndjson") or text.lstrip()[:2] in ('{"', "[{"):
        return "json"
    return "columns"


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


# --- JSON -------------------------------------------------------------------------------------------------------


def _read_json(text: str, path: str) -> Table:
    """JSON lines, a JSON list of objects, ``{"data": [objects]}``, an object of equally long columns, or one row."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        # One value that ends with its line and more behind it: JSON lines.
        lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        if not _is_json(lines[0][1]):
            raise UserError(f"the file is no JSON: {error.msg}", where=f"{path}:{error.lineno}") from error
        return _from_objects(_json_lines(lines, path), path)
    if isinstance(content, dict):
        rows = _rows_of_object(content, path)
        if rows is None:
            return _from_objects([(text.count("\n", 0, text.index("{")) + 1, content)], path)
        content = rows
    if not isinstance(content, list):
        raise UserError("the JSON is neither a list of rows nor an object", where=path)
    return _from_objects(((0, row) for row in content), path)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except json.JSONDecodeError:
        return False
    return True


def _json_lines(lines: list[tuple[int, str]], path: str) -> Iterator[tuple[int, Any]]:
    for number, line in lines:
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"the line is no JSON: {error.msg}", where=f"{path}:{number}") from error


def _rows_of_object(content: dict[str, Any], path: str) -> list[Any] | None:
    """The rows under ``data``, or of columns whose entries are lists; None where the object itself is a row."""
    data = content.get("data")
    if isinstance(data, list) and all(isinstance(row, dict) for row in data):
        return data
    columns = list(content.values())
    if not columns or not all(isinstance(c, list) and c and isinstance(c[0], list | dict) for c in columns):
        return None
    lengths = {name: len(column) for name, column in content.items()}
    if len(set(lengths.values())) > 1:
        raise UserError(f"the columns of the JSON object are not equally long: {lengths}", where=path)
    return [dict(zip(content, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _from_objects(objects: Iterable[tuple[int, Any]], path: str) -> Table:
    found: list[tuple[int, dict[str, Any]]] = []
    for index, (line, row) in enumerate(objects):
        if not isinstance(row, dict):
            raise UserError(
                f"a row must be a JSON object, not {type(row).__name__}",
                where=f"{path}:{line}" if line else f"{path}, row {index + 1}",
            )
        found.append((line, row))
    columns = list(dict.fromkeys(name for _, row in found for name in row))
    lines = [line for line, _ in found] if found and found[0][0] else []
    return Table(path, [*columns], [[row.get(name) for name in columns] for _, row in found], lines)


# --- CSV, TSV, Parquet ------------------------------------------------------------------------------------------


def _read_separated(text: str, path: str, how: Reading, delimiter: str) -> Table:
    """One row a record; the first is a header only if it holds an expected column name."""
    # A tab-separated file rarely quotes, and a lone quotation mark in a text must not swallow lines.
    stream = io.StringIO(text, newline="")
    if delimiter == "\t":
        reader = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(stream, strict=True)  # else a quotation mark that never closes swallows the rest
    records, lines, begin, blank = [], [], 1, 0
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                records.append(cells)
                lines.append(begin)
            elif len(cells) > 1:
                blank += 1
            begin = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"the row cannot be read: {error}", where=f"{path}:{begin}") from error
    notes = [f"{path}: {blank} rows of empty cells passed over"] if blank else []
    if not records:
        return Table(path, [], [], [], notes)
    width = len(records[0])
    for cells, line in zip(records, lines, strict=True):
        if len(cells) != width:
            raise UserError(f"{width} columns expected as in the first row, found {len(cells)}", where=f"{path}:{line}")
    header = [cell.strip() for cell in records[0]]
    if how.expected & set(header):
        return Table(path, list(header), [list(r) for r in records[1:]], lines[1:], notes)
    note = f"{path}: the first row ({', '.join(header)[:60]}) holds no expected column name, so it is data"
    return Table(path, list(range(width)), [list(r) for r in records], lines, [note, *notes])


def _read_parquet(raw: bytes, path: str) -> Table:
    import pyarrow.parquet  # a tenth of a second that only Parquet files need
    from pyarrow import ArrowException

    try:
        content = pyarrow.parquet.read_table(io.BytesIO(raw))
    except (ArrowException, OSError) as error:
        raise UserError(f"the file is no Parquet: {error}", where=path) from error
    columns = [content.column(name).to_pylist() for name in content.column_names]
    return Table(path, list(content.column_names), [list(cells) for cells in zip(*columns, strict=True)])
