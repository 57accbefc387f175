"""What scoring yields: metrics by name, tables to read, a confusion matrix to draw."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ReportTable:
    """A table of the report: a title, what it means, a header and rows of text or numbers."""

    title: str
    note: str
    header: list[str]
    rows: list[list[Any]]

    def markdown(self) -> str:
        """The table under its title, as Markdown."""
        return f"### {self.title}\n\n{self.note}\n\n{markdown_table(self.header, self.rows)}\n"


@dataclass(frozen=True)
class Scores:
    """Metrics by name, tables to read, and optionally a confusion matrix ``counts[gold][predicted]`` to draw."""

    metrics: dict[str, float]
    tables: list[ReportTable] = field(default_factory=list)
    confusion_labels: list[str] = field(default_factory=list)
    confusion_counts: list[list[int]] = field(default_factory=list)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table: text to the left, numbers to the right, floats with four digits."""
    number = [numeric([row[i] for row in rows]) for i in range(len(header))]
    lines = [
        "| " + " | ".join(map(_escaped, header)) + " |",
        "|" + "|".join(" ---: " if right else " --- " for right in number) + "|",
    ]
    lines += ["| " + " | ".join(_escaped(cell_text(cell)) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def numeric(cells: Sequence[Any]) -> bool:
    """Whether a column holds numbers, and gaps at most."""
    given = [cell for cell in cells if cell is not None]
    return bool(given) and all(isinstance(cell, int | float) for cell in given)


def cell_text(cell: Any) -> str:
    """A cell as text: floats with four digits, or in powers of ten where these would all be zero; nothing for None."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.1e}" if 0 < abs(cell) < 0.00005 else f"{cell:.4f}"
    return str(cell)


def spaced_text(cell: Any) -> str:
    """The same with thousands apart."""
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else cell_text(cell)


def _escaped(text: str) -> str:
    """Text for one cell of a Markdown table, on one line and in one column."""
    return text.replace("|", "\\|").replace("\n", " ")


def aligned(rows: Sequence[Sequence[Any]]) -> str:
    """Columns of text for a terminal or a pipe, the first row over them: numbers to the right, texts to the left."""
    texts = [[spaced_text(cell) for cell in row] for row in rows]
    right = [all(cell[:1].isdigit() or cell in ("", "?") for cell in column[1:]) for column in zip(*texts, strict=True)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, right, strict=True)
        )
        for row in texts
    ]
    return "\n".join(line.rstrip() for line in lines)


def size_text(count: int) -> str:
    """Bytes as people read them: ``1.4 GiB``."""
    value, unit = float(count), 0
    while value >= 1000 and unit < 4:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} B" if unit == 0 else f"{value:.{0 if value >= 100 else 1}f} {'KMGT'[unit - 1]}iB"


def duration_text(seconds: float) -> str:
    """A stretch of time as people say it: ``2 h 5 min``."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"
