"""What a sweep shows while it runs: one live table on a terminal, plain lines in a log."""

import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

#: Seconds between two drawings.
_EVERY = 0.5


@dataclass
class _Row:
    """A job at work."""

    name: str
    began: float = field(default_factory=time.monotonic)
    step: int = 0
    first_step: int = 0
    steps: int = 0
    epoch: int = 0
    score: float | None = None

    @property
    def left(self) -> str:
        """Time that is left of the training, by the steps done here."""
        done = self.step - self.first_step
        if not done:
            return ""
        seconds = (time.monotonic() - self.began) / done * (self.steps - self.step)
        return _clock(seconds)


class Board:
    """The state of a sweep.

    Args:
        total: how many jobs there are to do; a search lowers it when it leaves some out.
        metric: the objective's.
    """

    def __init__(self, total: int, metric: str) -> None:
        self.total, self._metric = total, metric
        self._console = Console(stderr=True)
        self._rows: dict[str, _Row] = {}
        self._counts = {"ok": 0, "failed": 0, "pruned": 0, "interrupted": 0}
        self._began = self._drawn = time.monotonic()
        self._live: Live | None = None
        self._standing = ""

    def __enter__(self) -> "Board":
        if self._console.is_terminal:
            self._live = Live(self._table(), console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def started(self, job: str, attempt: int) -> None:
        """A job begins or goes on."""
        self._rows[job] = _Row(job)
        if self._live is None:
            again = f" (attempt {attempt})" if attempt > 1 else ""
            self.say(f"{self._place()} {job} started{again}")

    def progress(self, job: str, step: int, steps: int, epoch: int) -> None:
        """Steps done, of how many."""
        row = self._rows[job]
        if not row.steps:
            row.began, row.first_step = time.monotonic(), step
        row.step, row.steps, row.epoch = step, steps, epoch

    def validated(self, job: str, epoch: int, value: float) -> None:
        """A validation is done."""
        self._rows[job].score = value
        if self._live is None:
            self.say(f"{self._place()} {job} epoch {epoch} {self._metric} {value:.4f}")

    def ended(self, job: str, status: str, what: str) -> None:
        """A job is over: ``what`` is its score or what went wrong."""
        row = self._rows.pop(job, None)
        if status != "taken over":  # it is told of again when it is over
            self._counts[status] = self._counts.get(status, 0) + 1
        took = f" in {_clock(time.monotonic() - row.began)}" if row is not None else ""
        self.say(f"{self._place()} {job} {status}{took}{': ' + what if what else ''}")

    def left(self, job: str) -> None:
        """A job is no longer at work, and not over."""
        self._rows.pop(job, None)

    def stands(self, leaderboard: str) -> None:
        """The leaderboard so far, which a terminal shows below the jobs at work."""
        self._standing = leaderboard

    def refresh(self) -> None:
        """Draw anew, if it is time."""
        if self._live is not None and time.monotonic() - self._drawn > _EVERY:
            self._drawn = time.monotonic()
            self._live.update(self._table(), refresh=True)

    @property
    def open(self) -> int:
        """Jobs that are not over."""
        return self.total - sum(self._counts.values())

    def _place(self) -> str:
        return f"[{self.total - self.open}/{self.total}]"

    def _table(self) -> Group:
        table = Table("job", "epoch", "step", self._metric, "left", box=None, pad_edge=False)
        for row in self._rows.values():
            cells: list[Any] = [
                row.name, row.epoch or "", f"{row.step}/{row.steps}" if row.steps else "starting",
                f"{row.score:.4f}" if row.score is not None else "", row.left,
            ]  # fmt: skip
            table.add_row(*(str(cell) for cell in cells))
        counts = ", ".join(f"{number} {status}" for status, number in self._counts.items() if number)
        done = self.total - self.open
        head = f"{done} of {self.total} jobs done"
        left = ""
        if done and self.total:
            left = f", about {_clock((time.monotonic() - self._began) / done * self.open)} left"
        return Group(Text(f"{head}{f' ({counts})' if counts else ''}{left}"), table, Text.from_ansi(self._standing))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
