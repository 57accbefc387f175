"""What every reader returns, and what it can be told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from finesweep.config.errors import UserError

Format = Literal["auto", "columns", "json", "csv", "tsv", "parquet"]
Column = int | str


@dataclass
class Table:
    """Rows of a file under named or numbered columns.

    Attributes:
        path: the file (or hub id) that the rows come from.
        columns: names, or numbers from 0 where the file has no names.
        rows: one list of cells per row, as long as ``columns``. In a column file a row is a sentence and each cell
            is the list of that column's entries.
        lines: the 1-based line at which each row begins; empty where the format has no lines.
        notes: what the reader decided that the user should know.
    """

    path: str
    columns: list[Column]
    rows: list[list[Any]]
    lines: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def where(self, row: int) -> str:
        """``file:line`` of a row, where it begins."""
        if self.lines:
            return f"{self.path}:{self.lines[row]}"
        return f"{self.path}, row {row + 1}"

    def take(self, rows: Sequence[int], *notes: str) -> "Table":
        """A table of the given rows, in the given order, with more notes."""
        lines = [self.lines[row] for row in rows] if self.lines else []
        return Table(self.path, self.columns, [self.rows[row] for row in rows], lines, [*self.notes, *notes])

    def column(self, wanted: Column, candidates: Sequence[Column]) -> int:
        """The index of a column: ``wanted`` by name or number, or the first candidate that there is for ``auto``.

        Raises:
            UserError: there is no such column; the message lists those that there are.
        """
        for choice in candidates if wanted == "auto" else [wanted]:
            if isinstance(choice, str) and choice in self.columns:
                return self.columns.index(choice)
            if isinstance(choice, int) and -len(self.columns) <= choice < len(self.columns):
                return choice % len(self.columns)
        names = ", ".join(str(column) for column in self.columns)
        asked = " or ".join(repr(choice) for choice in (candidates if wanted == "auto" else [wanted]))
        raise UserError(f"there is no column {asked}; the columns are: {names}", where=self.path)


@dataclass(frozen=True)
class Reading:
    """How to read a file.

    Attributes:
        format: ``auto`` decides by ending and content.
        encoding: of text files; a byte order mark is accepted and dropped.
        columns: names for the columns of a file without a header; empty where there are none.
        expected: column names of which one in the first row of a CSV or TSV makes that row a header.
        tag_column: the column that decides whether a line beginning with ``#`` is a comment (column files).
        comment: ``auto`` for that rule, else the prefix of comment lines; empty for no comments at all.
    """

    format: Format = "auto"
    encoding: str = "utf-8"
    columns: tuple[str, ...] = ()
    expected: frozenset[str] = frozenset()
    tag_column: int = -1
    comment: str = "auto"
