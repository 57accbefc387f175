"""``metrics.csv``: the curves of a run, a row for each step at which something was logged."""

import csv
import io
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger

from finesweep.results.files import write_atomically


class CurveLogger(Logger):
    """A Lightning logger that keeps all rows and writes the file anew at each validation: it is always whole."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.rows: dict[int, dict[str, float]] = {}

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml holds them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.setdefault(step or 0, {}).update(metrics)
        if not all(key.startswith("train/") or key == "lr" for key in metrics):
            self.save()

    def save(self) -> None:
        columns = list(dict.fromkeys(key for row in self.rows.values() for key in row))
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["step", *columns])
        for step in sorted(self.rows):
            writer.writerow([step, *(self.rows[step].get(column, "") for column in columns)])
        write_atomically(self._path, stream.getvalue())

    def finalize(self, status: str) -> None:
        self.save()
