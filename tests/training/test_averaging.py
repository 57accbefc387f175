"""A moving average of the weights: it is scored and kept, and the training does not notice."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import finesweep
from finesweep.cli import main
from finesweep.results.record import RunRecord
from finesweep.training.averaging import Averaging
from finesweep.training.module import FineTuner
from tests.conftest import curve

Run = Callable[..., RunRecord]


@pytest.fixture
def run(tmp_path: Path, quick: list[str]) -> Run:
    return lambda name, *overrides: finesweep.run([*quick, f"hydra.run.dir={tmp_path / name}", *overrides])


def test_the_training_does_not_notice(run: Run) -> None:
    plain, averaged = run("plain"), run("averaged", "trainer.ema_decay=0.9")
    assert curve(averaged, "train/loss") == curve(plain, "train/loss")
    assert averaged.metrics["before"] == plain.metrics["before"]
    assert averaged.metrics["validation"] != plain.metrics["validation"]
    assert averaged.model["weights"] != plain.model["weights"]


def test_an_average_over_one_step_is_the_weights(run: Run) -> None:
    plain, averaged = run("plain"), run("averaged", "trainer.ema_decay=1e-9")
    for split, scores in plain.metrics.items():
        assert averaged.metrics[split] == pytest.approx(scores, abs=1e-6)


def test_what_is_kept_is_what_was_scored(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    record = run("averaged", "trainer.ema_decay=0.9")
    overrides = [text for text in record.overrides if text.startswith("data.")]
    assert main(["evaluate", str(record.folder), *overrides, "--split", "validation", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["metrics"]
    assert said == pytest.approx(record.metrics["validation"], rel=1e-4)


def test_the_formula() -> None:
    """By hand: (1 + t) / (10 + t) of the old while that is less than the decay."""
    module = FineTuner.__new__(FineTuner)
    nn.Module.__init__(module)
    module.model = nn.Linear(1, 1, bias=False)
    module.trainable = lambda: {"weight": 1.0}  # type: ignore[method-assign]
    averaging, trainer = Averaging(0.25), SimpleNamespace(global_step=0, state=SimpleNamespace(fn="fit"))
    expected = None
    for step, value in enumerate([1.0, 2.0, 5.0, -3.0], 1):
        trainer.global_step = step
        with torch.no_grad():
            module.model.weight.fill_(value)
        averaging.on_train_batch_end(trainer, module, None, None, 0)  # type: ignore[arg-type]
        averaging.on_train_batch_end(trainer, module, None, None, 1)  # type: ignore[arg-type]
        share = min(0.25, (1 + step) / (10 + step))
        expected = value if expected is None else share * expected + (1 - share) * value
        assert float(averaging.tensors["weight"]) == pytest.approx(expected)
    with averaging.applied(module):
        assert float(module.model.weight) == pytest.approx(expected)
        averaging.put_back(module)
        assert float(module.model.weight) == -3.0
    assert float(module.model.weight) == -3.0
    assert float(averaging.tensors["weight"]) == pytest.approx(expected)
