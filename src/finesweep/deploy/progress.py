"""A bar for what takes long: rows done, rows a second, and the time that is left."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} rows/s" if speed else "")


@contextmanager
def progress(title: str, total: int | None, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Draw a bar on standard error while something runs, if that is a terminal.

    Args:
        total: rows; None where nobody knows.

    Yields:
        what is to be told of so many more rows that are done.
    """
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn()
    off = not (shown and sys.stderr.isatty())
    # What is written to standard output stays there.
    with Progress(*columns, console=Console(stderr=True), disable=off, redirect_stdout=False) as bar:
        task = bar.add_task(title, total=total)
        yield lambda rows: bar.advance(task, rows)
