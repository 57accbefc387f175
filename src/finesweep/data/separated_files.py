"""CSV and TSV: a row a record, named by a header or numbered."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from finesweep.config.errors import UserError
from finesweep.data.spool import Kept
from finesweep.data.table import Reading, Table

csv.field_size_limit(2**31 - 1)  # else no cell may be longer than 131,072 characters


def read_separated(lines: Iterable[tuple[int, str]], path: str, how: Reading, delimiter: str, kept: Kept) -> Table:
    """One row a record; the first may be a header, see :func:`_is_header`.

    Args:
        lines: of the file with their numbers.
        kept: takes the rows.
    """
    stream = (f"{line}\n" for _, line in lines)
    # A tab-separated file rarely quotes, and a lone quotation mark in a text must not swallow lines.
    if delimiter == "\t":
        reader = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(stream, strict=True)  # else a quotation mark that never closes swallows the rest
    columns: list[Any] = []
    notes: list[str] = []
    blank = quoted = 0
    for begin, cells in _records(reader, path):
        if delimiter == "\t":
            quoted += sum(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in cells)
        if not any(cell.strip() for cell in cells):
            blank += len(cells) > 1
        elif not columns:
            header = [cell.strip() for cell in cells]
            columns = header if _is_header(header, how) else list(range(len(cells)))
            if columns is not header:
                kept.add(cells, begin)
                notes += _without_header(header, path, how)
        elif len(cells) != len(columns):
            message = f"{len(columns)} columns expected as in the first row, found {len(cells)}"
            raise UserError(message, where=f"{path}:{begin}")
        else:
            kept.add(cells, begin)
    if blank:
        notes.append(f"{path}: {blank} rows of empty cells passed over")
    if quoted:
        notes.append(f"{path}: {quoted} cells stand in quotation marks, which are part of the text in a .tsv")
    return Table(path, columns, kept.rows, kept.lines, notes)


def _records(reader: Any, path: str) -> Iterator[tuple[int, list[str]]]:
    """Records with the lines at which they begin."""
    begin = 1
    try:
        for cells in reader:
            yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"the row cannot be read: {error}", where=f"{path}:{begin}") from error


def _without_header(first: Sequence[str], path: str, how: Reading) -> list[str]:
    """What is to be said of a first row that is data."""
    why = (
        "is data, as data.columns names the columns" if how.columns else "holds no expected column name, so it is data"
    )
    if how.columns and not any(cell.casefold() in how.expected for cell in first):
        return []
    return [f"{path}: the first row ({', '.join(first)[:60]}) {why}"]


def _is_header(cells: list[str], how: Reading) -> bool:
    """Whether a first row names the columns: one of them is expected there, in capitals or not.

    Where ``data.columns`` says that the file does not name them, all would have to be names to overrule it: a label
    can well be called like a column.
    """
    known = {name.casefold() for name in (*how.expected, *how.columns)}
    found = [cell.casefold() in known for cell in cells]
    return all(found) if how.columns else any(found)
