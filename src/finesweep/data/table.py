"""What every reader returns, and what it can be told."""

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from finesweep.config.errors import UserError

Format = Literal["auto", "columns", "json", "csv", "tsv", "parquet", "text", "semeval"]
Column = int | str
#: What a text file is whose ending and content say nothing: tokens with their columns, a text on each line, or texts
#: of several lines that empty ones part.
Plain = Literal["columns", "text", "blocks"]


@dataclass(frozen=True)
class Wanted:
    """What a task wants to find in a table.

    Attributes:
        columns: its own name of each column -> where to look for it: names in order of preference, and numbers for
            files whose columns have no names.
        optional: those that need not be there.
        plain: what a text file is by default.
        running: whether the rows are the lines of one running text, blank ones among them, and stay in their order.
    """

    columns: Mapping[str, Sequence[Column]]
    optional: frozenset[str] = frozenset()
    plain: Plain = "columns"
    running: bool = False

    @property
    def names(self) -> frozenset[str]:
        """Column names of which one in the first row of a CSV makes it a header."""
        return frozenset(name for names in self.columns.values() for name in names if isinstance(name, str))


class Lazy(Sequence[Any]):
    """Entries made when they are asked for, by :meth:`entry`; a slice of them is as lazy."""

    def __getitem__(self, index: Any) -> Any:
        return Chosen(self, range(*index.indices(len(self)))) if isinstance(index, slice) else self.entry(index)

    @abstractmethod
    def entry(self, index: int) -> Any:
        """The entry at an index, negative ones from the end. Raises IndexError beyond them."""


class Chosen(Lazy):
    """Some of the entries of a sequence, in a given order."""

    def __init__(self, entries: Sequence[Any], indices: Sequence[int]) -> None:
        self._entries, self._indices = entries, indices

    def __len__(self) -> int:
        return len(self._indices)

    def entry(self, index: int) -> Any:
        return self._entries[self._indices[index]]


class Mapped(Lazy):
    """The entries of a sequence, each as a function makes it."""

    def __init__(self, entries: Sequence[Any], make: Callable[[Any], Any]) -> None:
        self._entries, self._make = entries, make

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Any]:
        return map(self._make, self._entries)

    def entry(self, index: int) -> Any:
        return self._make(self._entries[index])


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
        found: a task's name of a column -> how to get at its cell, see :meth:`find`.
        documents: the rows at which the file says that a document begins.
        whole, places: of some rows of a file, the table of all of them, and where in it they stand.
    """

    path: str
    columns: list[Column]
    rows: Sequence[list[Any]]
    lines: Sequence[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    found: dict[str, Callable[[list[Any]], Any]] = field(default_factory=dict)
    documents: Sequence[int] = ()
    whole: "Table | None" = None
    places: Sequence[int] | None = None
    _known: dict[str, Any] = field(default_factory=dict)

    def where(self, row: int) -> str:
        """``file:line`` of a row, where it begins."""
        if len(self.lines):
            return f"{self.path}:{self.lines[row]}"
        return f"{self.path}, row {row + 1}"

    def take(self, rows: Sequence[int], *notes: str) -> "Table":
        """A table of the given rows, in the given order, with more notes."""
        lines: Sequence[int] = Chosen(self.lines, rows) if len(self.lines) else []
        places = rows if self.places is None else Chosen(self.places, rows)
        return replace(
            self, rows=Chosen(self.rows, rows), lines=lines, notes=[*self.notes, *notes], documents=(),
            whole=self.whole or self, places=places,
        )  # fmt: skip

    def of_all(self, what: str, find_out: Callable[[Sequence[dict[str, Any]]], Any]) -> Any:
        """What is to be known of all rows of the file, whichever of them these are; found out once."""
        whole = self.whole or self
        if what not in whole._known:
            whole._known[what] = find_out(whole.by_name)
        return whole._known[what]

    def find(self, wanted: Wanted, settings: Mapping[str, Column]) -> "Table":
        """The same rows with the columns of a task found.

        Args:
            settings: what ``data.<name>_column`` says: a name, a number, or ``auto`` for the task's own candidates. A
                name with dots goes into objects (``translation.de``), one with a star takes the columns that bear a
                digit or a letter in its place (``ending*``) as one list.

        Raises:
            UserError: a column is not there, or is two things at once; the message lists those that there are.
        """
        numbered = all(isinstance(column, int) for column in self.columns)
        places: dict[str, _Place] = {}
        for name, candidates in wanted.columns.items():
            setting = settings.get(name, "auto")
            usable = [choice for choice in candidates if isinstance(choice, int) == numbered]
            place = self._place(usable if setting == "auto" else [setting])
            if place is None and setting == "auto" and name in wanted.optional:
                continue
            if place is None:
                asked = " or ".join(repr(choice) for choice in (usable if setting == "auto" else [setting]))
                have = ", ".join(str(column) for column in self.columns)
                raise UserError(
                    f"there is no column {asked or name}; the columns are: {have}",
                    where=self.path,
                    remedy=f"set data.{name}_column to the column that holds the {name}",
                )
            twin = next((other for other, taken in places.items() if taken == place), None)
            if twin in wanted.optional and twin not in settings:  # a place that another has more right to
                del places[twin]
            elif twin is not None:
                raise UserError(
                    f"{twin} and {name} would both come from column {self.columns[place[0][0]]}",
                    where=self.path,
                    remedy=f"set data.{twin}_column and data.{name}_column",
                )
            places[name] = place
        return replace(self, found={name: _getter(*place) for name, place in places.items()})

    def _place(self, choices: Sequence[Column]) -> "_Place | None":
        for choice in choices:
            if isinstance(choice, int) and -len(self.columns) <= choice < len(self.columns):
                return (choice % len(self.columns),), ()
            if isinstance(choice, str):
                found = self._called(choice)
                if found is not None:
                    return (found,), ()
                several = _numbered(choice, self.columns) if choice.endswith("*") else ()
                outer, *inner = choice.split(".")
                if len(several) > 1:
                    return several, ()
                if inner and outer in self.columns:
                    return (self.columns.index(outer),), tuple(inner)
        return None

    def _called(self, name: str) -> int | None:
        """The column of that name, or of the one that differs from it in nothing but capitals."""
        if name in self.columns:
            return self.columns.index(name)
        alike = [i for i, column in enumerate(self.columns) if str(column).casefold() == name.casefold()]
        return alike[0] if len(alike) == 1 else None

    def records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Pairs (place, cells by the task's names), row by row; see :meth:`find`."""
        for index, record in enumerate(self.by_name):
            yield self.where(index), record

    @property
    def by_name(self) -> Sequence[dict[str, Any]]:
        """The rows by the task's names of their columns."""
        return Mapped(self.rows, lambda cells: {name: get(cells) for name, get in self.found.items()})


#: Where a cell is: its column, or several whose cells make a list; and the keys to go down from there.
_Place = tuple[tuple[int, ...], tuple[str, ...]]


def _numbered(pattern: str, columns: Sequence[Column]) -> tuple[int, ...]:
    """The columns that are called like the pattern with a digit or a letter in the place of its star."""
    form = re.compile(re.escape(pattern[:-1]) + "_?([0-9]{1,2}|[A-Ja-j])")
    found = [(form.fullmatch(column), i) for i, column in enumerate(columns) if isinstance(column, str)]
    # By their number or letter, in whatever order they stand in the file.
    return tuple(i for match, i in sorted(((m[1].zfill(2), i) for m, i in found if m)))


def _getter(indices: tuple[int, ...], inner: tuple[str, ...]) -> Callable[[list[Any]], Any]:
    def get(cells: list[Any]) -> Any:
        if len(indices) > 1:
            return [cells[index] for index in indices]
        cell = cells[indices[0]]
        for key in inner:
            cell = cell.get(key) if isinstance(cell, dict) else None
        return cell

    return get


def notes_of(tables: Mapping[str, Table]) -> list[str]:
    """What the readers of all splits decided, each said once."""
    return list(dict.fromkeys(note for table in tables.values() for note in table.notes))


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
        plain: what a text file is whose ending and content say nothing.
        parted: whether several columns are wanted, so that tabs in a text file part them.
        blank: whether an empty line of a text file is a row, as it is where files stand side by side.
    """

    format: Format = "auto"
    encoding: str = "utf-8"
    columns: tuple[str, ...] = ()
    expected: frozenset[str] = frozenset()
    tag_column: int = -1
    comment: str = "auto"
    plain: Plain = "columns"
    parted: bool = False
    blank: bool = False
