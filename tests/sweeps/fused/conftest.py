"""Runs that train as one, and the same runs alone."""

import csv
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from finesweep.config.interrupt import Interrupted
from finesweep.results import figures
from finesweep.results.record import RunRecord
from finesweep.sweeps.fused.run import Run
from finesweep.sweeps.fused.together import Together
from finesweep.training import runner
from finesweep.training.components import Components
from finesweep.training.supervision import Supervisor, Unsupervised

#: So short that a dozen fit into a minute, and so long that all that can differ does.
SHORT = [
    "data.sentences={train: 24, validation: 12, test: 8}", "data.batch_size=8", "trainer.max_epochs=2",
    "trainer.progress=false", "trainer.log_every_n_steps=1",
]  # fmt: skip
#: In which rounding does not add up to anything, and nothing is random.
EXACT = [*SHORT, "trainer.precision=64-true", "model.dtype=float64", "model.dropout=0"]
Configured = Callable[..., list[dict[str, Any]]]
Trained = Callable[[Sequence[dict[str, Any]]], list[RunRecord]]


class Stopping(Unsupervised):
    """Stops a run after its first validation, as a signal does."""

    def validated(self, number: int, epoch: int, value: float) -> None:
        del number, epoch, value
        raise Interrupted(signal.SIGTERM)


@pytest.fixture(autouse=True)
def _blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take half the time of such a short run, and are drawn from what is compared anyway."""

    def blank(_: Any, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    monkeypatch.setattr(figures, "_save", blank)


@pytest.fixture
def configured(composed: Callable[..., dict[str, Any]]) -> Configured:
    """``configured(common, ["seed=1"], ["seed=2"])``: a checked configuration for each."""
    return lambda common, *each: [composed(*common, *own) for own in each]


@pytest.fixture
def alone(tmp_path: Path) -> Trained:
    """Train each by itself."""
    return lambda values: [runner.run(each, tmp_path / "alone" / str(i)) for i, each in enumerate(values)]


@pytest.fixture
def together(tmp_path: Path) -> Callable[..., list[Run]]:
    """Train all as one; what became of each."""

    def train(values: Sequence[dict[str, Any]], supervisors: Sequence[Supervisor] = ()) -> list[Run]:
        group = Together(Components.of(values[0]))
        told = [*supervisors, *[Unsupervised()] * (len(values) - len(supervisors))]
        runs = [
            Run(
                runner.steps(
                    each,
                    tmp_path / "together" / str(i),
                    command="",
                    overrides=[],
                    sweep=None,
                    like=None,
                    supervisor=supervisor,
                    threads=torch.get_num_threads(),
                    hands=group,
                )
            )
            for i, (each, supervisor) in enumerate(zip(values, told, strict=True))
        ]
        group.take(runs)
        return runs

    return train


def records(folder: Path) -> dict[str, RunRecord]:
    """Of the runs of a sweep, by the names of their folders."""
    return {file.parent.name: RunRecord.read(file.parent) for file in folder.glob("*/record.json")}


def numbers(path: Path) -> list[list[float]]:
    """The curve of a run."""
    with path.open() as stream:
        return [[float(cell or "nan") for cell in row] for row in list(csv.reader(stream))[1:]]


def assert_same(alone: RunRecord, run: Run, tolerance: float = 1e-6) -> None:
    """Nothing that a run leaves behind differs by more than that."""
    assert run.error is None, run.error
    assert run.record is not None
    assert_alike(alone, run.record, tolerance)


def assert_alike(alone: RunRecord, record: RunRecord, tolerance: float = 1e-6) -> None:
    """The same, of what it has left behind."""
    assert record.status == alone.status == "ok"
    for split, metrics in alone.metrics.items():
        assert record.metrics[split] == pytest.approx(metrics, abs=tolerance)
    assert {**record.objective, "value": 0} == {**alone.objective, "value": 0}
    assert record.parameters == alone.parameters
    assert record.labels == alone.labels
    assert record.timing["tokens_seen"] == alone.timing["tokens_seen"]
    assert record.model["fingerprint"] == alone.model["fingerprint"]
    curves = [torch.tensor(numbers(each.folder / "metrics.csv")) for each in (alone, record)]
    assert torch.allclose(*curves, atol=tolerance, equal_nan=True)
    (file,) = (each.relative_to(alone.folder) for each in alone.folder.glob("model/*.safetensors"))
    weights, others = load_file(alone.folder / file), load_file(record.folder / file)
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        assert torch.allclose(weight, others[name], atol=tolerance, rtol=0), name
    files = {path.relative_to(alone.folder) for path in alone.folder.rglob("*") if path.is_file()}
    assert files == {path.relative_to(record.folder) for path in record.folder.rglob("*") if path.is_file()}
