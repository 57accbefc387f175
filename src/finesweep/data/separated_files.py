"""CSV and TSV: a row a record, named by a header or numbered."""

import csv
import io
import re

from finesweep.config.errors import UserError
from finesweep.data.table import Reading, Table

csv.field_size_limit(2**31 - 1)  # else no cell may be longer than 131,072 characters


def read_separated(text: str, path: str, how: Reading, delimiter: str) -> Table:
    """One row a record; the first may be a header, see :func:`_is_header`."""
    # A tab-separated file rarely quotes, and a lone quotation mark in a text must not swallow lines.
    stream = io.StringIO(text, newline="")
    if delimiter == "\t":
        reader = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        quoted = sum(cell[0] == cell[-1] == '"' for cell in re.split(r"[\t\n]", text) if len(cell) > 1)
    else:
        quoted = 0
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
    if quoted:
        notes.append(f"{path}: {quoted} cells stand in quotation marks, which are part of the text in a .tsv")
    if not records:
        return Table(path, [], [], [], notes)
    width = len(records[0])
    for cells, line in zip(records, lines, strict=True):
        if len(cells) != width:
            message = f"{width} columns expected as in the first row, found {len(cells)}"
            raise UserError(message, where=f"{path}:{line}")
    header = [cell.strip() for cell in records[0]]
    if _is_header(header, how):
        return Table(path, list(header), [list(r) for r in records[1:]], lines[1:], notes)
    why = (
        "is data, as data.columns names the columns" if how.columns else "holds no expected column name, so it is data"
    )
    if not how.columns or any(cell.casefold() in how.expected for cell in header):
        notes.insert(0, f"{path}: the first row ({', '.join(header)[:60]}) {why}")
    return Table(path, list(range(width)), [list(r) for r in records], lines, notes)


def _is_header(cells: list[str], how: Reading) -> bool:
    """Whether a first row names the columns: one of them is expected there, in capitals or not.

    Where ``data.columns`` says that the file does not name them, all would have to be names to overrule it: a label
    can well be called like a column.
    """
    known = {name.casefold() for name in (*how.expected, *how.columns)}
    found = [cell.casefold() in known for cell in cells]
    return all(found) if how.columns else any(found)
