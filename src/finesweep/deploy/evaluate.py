"""Score a finished run on data: its own, another domain's, a file's."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finesweep.config.errors import UserError
from finesweep.config.instantiate import build
from finesweep.data.base import DataSource
from finesweep.data.spool import Spool
from finesweep.data.table import Table
from finesweep.deploy.predictor import WINDOW, Predictor
from finesweep.deploy.progress import progress
from finesweep.results.files import write_atomically
from finesweep.results.record import prediction_lines
from finesweep.results.tables import Scores
from finesweep.tasks.base import Row, Task


@dataclass(frozen=True)
class Evaluation:
    """Rows, their predictions, and the scores."""

    rows: Sequence[Row]
    predictions: Sequence[Row]
    scores: Scores
    metrics: dict[str, float]
    notes: list[str]

    def write_predictions(self, path: Path) -> None:
        """One JSON line for each row, in the order of the source.

        Raises:
            UserError: the task predicts nothing of rows, as a language model does not.
        """
        if not self.predictions:
            raise UserError("the task has scores alone and no predictions of rows", where=f"--output {path}")
        write_atomically(path, prediction_lines(self.rows, self.predictions))


def evaluate(folder: Path, values: dict[str, Any], split: str | None, *, int8: bool = False) -> tuple[str, Evaluation]:
    """Score the model of a run.

    Args:
        folder: the run's.
        values: a checked configuration whose data is to be scored; its model and strategy do not matter.
        split: which one; None takes test, or validation where there is no test.
        int8: see :meth:`Predictor.load`.

    Returns:
        the split that was scored, and its evaluation.

    Raises:
        UserError: the run has no model, the data is for another task or has no such split.
    """
    predictor = Predictor.load(folder, int8=int8)
    # However the model was trained to see a row, so it sees it here.
    source: DataSource = build({**values["data"], "context": predictor.context}, values["extension_packages"])
    task: Task = build(values["task"], values["extension_packages"])
    if task.name != predictor.task.name:
        raise UserError(f"the run is for {predictor.task.name}, the data for {task.name}", where=str(folder))
    for choice in (split,) if split else ("test", "validation"):
        tables = source.load(task.wanted, (choice,))
        if choice in tables:
            break
    else:
        raise UserError(f"the data has no split '{split or 'test'}'", where=f"data={source.name}")
    table = tables[choice]
    parts = [table] if task.wanted.running else _windows(table)
    rows: Sequence[Row]
    said: Sequence[Row]
    kept = Spool(), Spool()
    loss = weight = 0.0
    notes: list[str] = []
    with progress(f"{choice} of {source.name}", len(table.rows)) as done:
        for part in parts:
            examples = task.read({choice: part}, source, predictor.frame.labels)
            rows = examples.splits[choice]
            found = predictor.run(rows, done)
            said = found.predictions
            loss, weight, notes = loss + found.loss, weight + found.weight, [*notes, *examples.notes]
            if len(parts) > 1:
                kept[0].extend(rows)
                kept[1].extend(said)
    if len(parts) > 1:
        rows, said = kept
    loss /= max(weight, 1.0)
    scores = task.score(rows, said, loss)
    return choice, Evaluation(rows, said, scores, {"loss": loss, **scores.metrics}, _once(notes))


def _windows(table: Table) -> list[Table]:
    """Some rows of a table after the other; no more of them are in memory at a time."""
    count = len(table.rows)
    if count <= WINDOW:
        return [table]
    return [table.take(range(start, min(start + WINDOW, count))) for start in range(0, count, WINDOW)]


def _once(notes: list[str]) -> list[str]:
    """Notes of all windows; those that differ in nothing but numbers are said once, as the first window has them."""
    same: dict[str, list[str]] = {}
    for note in dict.fromkeys(notes):
        same.setdefault(re.sub(r"\d[\d,]*", "0", note), []).append(note)
    more = "; and the like of other rows, "
    return [f"{first}{f'{more}{len(others)} times' if others else ''}" for first, *others in same.values()]
