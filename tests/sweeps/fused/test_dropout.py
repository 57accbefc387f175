"""Each of several runs drops what it drops alone: as much, of the same, and nothing of what is frozen."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from finesweep.strategies.base import set_modes
from finesweep.sweeps.fused.joint import Joint
from finesweep.sweeps.fused.run import Run
from finesweep.training.supervision import Unsupervised
from tests.sweeps.fused.conftest import EXACT, SHORT, Configured, Trained, assert_same

Together = Callable[..., list[Run]]


@pytest.mark.parametrize("key", ["model.dropout", "finetune_strategy.dropout"])
def test_dropout_is_each_ones_own(configured: Configured, alone: Trained, together: Together, key: str) -> None:
    """A run without dropout is the same to the last digit beside others that drop a part."""
    common = [text for text in EXACT if not text.startswith(key)]
    if key == "finetune_strategy.dropout":  # in whose place peft has nothing where it is 0
        common += ["finetune_strategy=lora", "optimizer.lr=1e-2"]
    values = configured(common, *([f"{key}={share}"] for share in (0, 0.1, 0.5)))
    runs = together(values)
    records = alone(values)
    assert_same(records[0], runs[0])
    for record, run in zip(records[1:], runs[1:], strict=True):
        assert run.record is not None
        assert run.record.metrics["before"] == pytest.approx(record.metrics["before"])
        assert run.record.metrics["validation"]["loss"] != pytest.approx(record.metrics["validation"]["loss"], abs=1e-4)


def training_losses(folder: Path) -> torch.Tensor:
    with (folder / "metrics.csv").open() as stream:
        return torch.tensor([float(row["train/loss"]) for row in csv.DictReader(stream) if row["train/loss"]])


@pytest.mark.slow
def test_losses_under_dropout_are_distributed_as_alone(
    configured: Configured, alone: Trained, together: Together
) -> None:
    """Of weights that stay as they are, epoch by epoch."""
    still = [*SHORT, "trainer.precision=32-true", "optimizer.lr=0", "trainer.log_every_n_steps=3"]
    still.append("data.sentences={train: 24, validation: 2, test: 2}")
    epochs = 64
    dropouts = [["model.dropout=0"], ["model.dropout=0.1"], ["model.dropout=0.5"]]
    values = configured([*still, f"trainer.max_epochs={epochs}"], *dropouts)
    for record, run in zip(alone(values), together(values), strict=True):
        assert run.record is not None
        own, others = training_losses(record.folder), training_losses(run.record.folder)
        assert len(own) == len(others) == epochs
        error = ((own.var() + others.var()) / epochs).sqrt()
        assert abs(own.mean() - others.mean()) < 3 * error + 1e-5
        assert float(others.std()) == pytest.approx(float(own.std()), rel=0.25, abs=1e-5)


class Checked(Joint):
    """Looks at what drops at random, and what does not, after each batch."""

    seen = 0

    def train(self, *given: Any) -> Any:
        said = super().train(*given)
        models = [work.tuner.model for work in self._works]
        found = [{name: module.training for name, module in model.named_modules()} for model in models]
        for model in models:
            set_modes(model)
        expected = [{name: module.training for name, module in model.named_modules()} for model in models]
        assert found == expected
        template = {name: module.training for name, module in self._template.tuner.model.named_modules()}
        assert template.items() <= expected[0].items()
        Checked.seen += 1
        return said


class Failing(Unsupervised):
    """Has a run fail at its first step."""

    def progress(self, step: int, steps: int, epoch: int) -> None:
        raise RuntimeError(f"on purpose at {step}/{steps}, epoch {epoch}")


@pytest.mark.parametrize(
    "common",
    [
        ["cache_gb=0", "finetune_strategy=top_layers", "finetune_strategy.layers=1"],
        ["trainer.val_check_interval=0.34"],
        ["trainer.val_check_interval=0.34", "finetune_strategy=lora"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("shape", ["bert", "deberta-v2"])
def test_what_is_frozen_drops_nothing(
    shape: str,
    common: list[str],
    encoder_folder: Callable[[str], Path],
    configured: Configured,
    together: Together,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what trains drops: after a validation too, and after another run is gone."""
    model = ["model=hf", f"model.name_or_path={encoder_folder(shape)}"]
    monkeypatch.setattr("finesweep.sweeps.fused.together.Joint", Checked)
    Checked.seen = 0
    values = configured([*SHORT, *model, *common], ["seed=1"], ["seed=2"], ["seed=3"])
    failed, *others = together(values, [Failing()])
    assert isinstance(failed.error, RuntimeError)
    assert all(run.error is None for run in others)
    assert Checked.seen == 6
