"""finesweep from Python: the same runs as from the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from finesweep.commands import run_single
from finesweep.config.compose import compose, hydra_session
from finesweep.results.record import RunRecord, find_run

if TYPE_CHECKING:
    from finesweep.deploy.predictor import Predictor


def run(overrides: Sequence[str] = (), *, config_dir: str | Path | None = None) -> RunRecord:
    """Train one run.

    Args:
        overrides: as on the command line, ``["model=tiny", "seed=1"]``.
        config_dir: a folder with groups of your own, searched first.

    Returns:
        the record of the finished run; ``record.metrics["test"]["f1"]``, ``record.folder``.

    Raises:
        ConfigError: with all problems of the configuration at once.
        UserError: data or model are not what the configuration says.
        TrainingError: the loss is not a number.
    """
    with hydra_session(config_dir) as hydra:
        return run_single(hydra, list(overrides), "", compose(hydra, list(overrides)))


def load(run: str | Path, *, int8: bool = False) -> "Predictor":
    """The model of a finished run, to predict with: ``load("outputs/…/…").predict(["some text"])``.

    Args:
        int8: let its linear layers work in 8 bits, on the CPU: faster, and a little different.

    Raises:
        UserError: there is no such run, or it has no model.
    """
    from finesweep.deploy.predictor import Predictor  # torch is only needed from here on

    return Predictor.load(find_run(str(run)), int8=int8)
