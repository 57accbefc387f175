"""Score a finished run on data: its own, another domain's, a file's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finesweep.config.errors import UserError
from finesweep.config.instantiate import build
from finesweep.data.base import DataSource
from finesweep.deploy.predictor import Predictor
from finesweep.results.files import write_atomically
from finesweep.results.record import prediction_lines
from finesweep.results.tables import Scores
from finesweep.tasks.base import Row, Task


@dataclass(frozen=True)
class Evaluation:
    """Rows, their predictions, and the scores."""

    rows: Sequence[Row]
    predictions: list[Row]
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


def evaluate(folder: Path, values: dict[str, Any], split: str | None) -> tuple[str, Evaluation]:
    """Score the model of a run.

    Args:
        folder: the run's.
        values: a checked configuration whose data is to be scored; its model and strategy do not matter.
        split: which one; None takes test, or validation where there is no test.

    Returns:
        the split that was scored, and its evaluation.

    Raises:
        UserError: the run has no model, the data is for another task or has no such split.
    """
    predictor = Predictor.load(folder)
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
    examples = task.read(tables, source, predictor.frame.labels)
    rows = examples.splits[choice]
    predictions, loss = predictor.run(rows)
    scores = task.score(rows, predictions, loss)
    return choice, Evaluation(rows, predictions, scores, {"loss": loss, **scores.metrics}, examples.notes)
