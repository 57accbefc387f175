"""``hydra/launcher=fused``: a sweep leaves behind what it leaves behind with any launcher, whatever happens to it."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finesweep.cli import main
from finesweep.results.record import RunRecord
from finesweep.sweeps.fused.groups import OWN, apart, group_of
from tests.sweeps.fused.conftest import EXACT, SHORT, records
from tests.training import killing

Sweep = Callable[..., int]


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    def start(name: str, *overrides: str) -> int:
        return main(["train", "-m", f"hydra.sweep.dir={tmp_path}/{name}", "trainer.threads=1", *overrides])

    return start


def test_the_leaderboard_is_that_of_jobs_that_run_alone(sweep: Sweep, tmp_path: Path) -> None:
    grid = [*EXACT, "optimizer.lr=1e-3,5e-4", "finetune_strategy=full,frozen"]
    assert sweep("fused", *grid, "hydra/launcher=fused", "hydra.launcher.threads=2") == 0  # trainer.threads says 1
    assert sweep("local", *grid) == 0
    fused, local = records(tmp_path / "fused"), records(tmp_path / "local")
    assert fused.keys() == local.keys()
    assert len(fused) == 4
    for name, record in fused.items():
        assert record.config_hash == local[name].config_hash
        assert record.overrides == local[name].overrides
        assert record.objective == pytest.approx(local[name].objective)
        assert record.fused == 2
        assert record.environment["threads"] == local[name].environment["threads"] == 1
        assert local[name].fused == 0
    boards = [(tmp_path / name / "leaderboard.csv").read_text().splitlines() for name in ("fused", "local")]
    ours, theirs = ([line.split(",")[:9] for line in board] for board in boards)
    assert ours == theirs


def test_what_cannot_train_with_others_runs_alone(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        sweep("sweep", *SHORT, "hydra/launcher=fused", "finetune_strategy=full,ia3,gradual_unfreeze", "seed=1,2") == 0
    )
    told = capsys.readouterr().err
    assert told.count("trains alone: gradual_unfreeze trains other parts in other epochs") == 1
    assert told.count("trains alone: no layer for several runs is known for ParameterDict") == 1
    fused = {name: record.fused for name, record in records(tmp_path / "sweep").items()}
    assert {name: count for name, count in fused.items() if count} == {
        f"finetune_strategy=full,seed={seed}": 2 for seed in (1, 2)
    }
    assert all(record.status == "ok" for record in records(tmp_path / "sweep").values())


def test_no_more_than_asked_for_train_as_one(sweep: Sweep, tmp_path: Path) -> None:
    assert sweep("sweep", *SHORT, "hydra/launcher=fused", "hydra.launcher.most=2", "seed=1,2,3,4,5") == 0
    assert [record.status for record in records(tmp_path / "sweep").values()] == ["ok"] * 5
    assert max(record.fused for record in records(tmp_path / "sweep").values()) == 2


def test_a_job_that_fails_is_tried_again_and_the_others_are_done(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = [*SHORT, "hydra/launcher=fused", "optimizer.lr=1e-3,1e38", "scheduler=constant", "seed=1,2"]
    assert sweep("sweep", *grid, "hydra.launcher.retries=1") == 1
    told = capsys.readouterr().err
    assert told.count("once more") == 2
    assert "Traceback" not in told
    status = {name: record.status for name, record in records(tmp_path / "sweep").items()}
    assert sorted(status.values()) == ["failed", "failed", "ok", "ok"]


def test_a_killed_sweep_goes_on(tmp_path: Path) -> None:
    """By SIGKILL, of all its processes, in the midst of an epoch: what comes of it is what would have come of it."""
    longer = ["trainer.max_epochs=6", "trainer.checkpoint_minutes=0", "trainer.threads=1", "hydra/launcher=fused"]
    command = ["train", "-m", *EXACT, *longer, "optimizer.lr=1e-3,5e-4", "seed=1,2"]
    killing.finish(*command, f"hydra.sweep.dir={tmp_path}/whole")
    folder = tmp_path / "killed"

    def reached() -> bool:
        return any(path.name >= "step-00000007" for path in folder.glob("*seed=2/checkpoints/step-*"))

    process = killing.start(*command, f"hydra.sweep.dir={folder}", alone=True)
    assert killing.kill_when(reached, process, folder / "optimizer.lr=0.0005,seed=2", signal.SIGKILL, everyone=True)
    killing.finish(*command, f"hydra.sweep.dir={folder}")
    whole, killed = records(tmp_path / "whole"), records(folder)
    assert whole.keys() == killed.keys()
    for name, record in killed.items():
        assert record.status == "ok"
        assert record.resumed[-1]["step"] > 0
        for split, metrics in whole[name].metrics.items():
            assert record.metrics[split] == pytest.approx(metrics, abs=1e-9)
        assert record.timing["tokens_seen"] == whole[name].timing["tokens_seen"]


@pytest.mark.parametrize(
    ("first", "then"), [("fused", "local"), pytest.param("local", "fused", marks=pytest.mark.slow)]
)
def test_one_launcher_goes_on_with_what_another_began(tmp_path: Path, first: str, then: str) -> None:
    command = ["train", "-m", *EXACT, "trainer.max_epochs=6", "trainer.checkpoint_minutes=0", "trainer.threads=1"]
    killing.finish(*command, "seed=1,2", f"hydra.sweep.dir={tmp_path}/whole")
    folder = tmp_path / "sweep"

    def reached() -> bool:
        return any(path.name >= "step-00000007" for path in folder.glob("seed=1/checkpoints/step-*"))

    process = killing.start(*command, "seed=1,2", f"hydra.sweep.dir={folder}", f"hydra/launcher={first}", alone=True)
    assert killing.kill_when(reached, process, folder / "seed=1", signal.SIGTERM)
    killing.finish(*command, "seed=1,2", f"hydra.sweep.dir={folder}", f"hydra/launcher={then}")
    for name, record in records(folder).items():
        expected = RunRecord.read(tmp_path / "whole" / name)
        assert record.metrics["validation"] == pytest.approx(expected.metrics["validation"], abs=1e-9)


@pytest.mark.parametrize("pruner", [pytest.param("null", marks=pytest.mark.slow), "asha"])
def test_a_search_trains_its_trials_as_one(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str], pruner: str
) -> None:
    search = [
        "hydra/sweeper=optuna", "hydra.sweeper.n_trials=8", f"hydra.sweeper.pruner={pruner}",
        "hydra.sweeper.min_validations=1", "hydra.launcher.most=4", "optimizer.lr=tag(log,interval(1e-5,1e-1))",
    ]  # fmt: skip
    assert sweep("sweep", *SHORT, "trainer.max_epochs=4", "hydra/launcher=fused", *search) == 0
    found = records(tmp_path / "sweep")
    assert len(found) == 8
    status = [record.status for record in found.values()]
    assert set(status) <= {"ok", "pruned"}
    assert ("pruned" in status) == (pruner == "asha")
    assert max(record.fused for record in found.values()) == 4
    assert "8/8" in capsys.readouterr().err


def test_what_may_differ_is_there(composed: Callable[..., dict[str, Any]]) -> None:
    """Every key that runs may have of their own is one of some configuration."""
    every = [composed(*own) for own in (["finetune_strategy=lora"], ["finetune_strategy=llrd"], ["optimizer=sgd"])]
    for key in OWN:
        group, _, name = key.partition(".")
        assert any(group in values and (not name or name in values[group]) for values in every), key


@pytest.mark.parametrize(
    ("overrides", "alike"),
    [
        (["seed=2"], True),
        (["optimizer.lr=0.1"], True),
        (["scheduler=cosine"], True),
        (["model.dropout=0.3"], False),  # of a model with several, which has one now
        (["trainer.max_epochs=9"], True),
        (["name=other"], True),
        (["optimizer=sgd"], False),
        (["data.batch_size=8"], False),
        (["data.max_length=64"], False),
        (["finetune_strategy=frozen"], False),
        (["trainer.precision=64-true", "model.dtype=float64"], False),
        (["data.fold=1", "data.folds=3"], False),
    ],
)
def test_what_trains_as_one(composed: Callable[..., dict[str, Any]], overrides: list[str], alike: bool) -> None:
    assert (group_of(composed()) == group_of(composed(*overrides))) == alike


def test_dropouts_that_are_set_may_differ(composed: Callable[..., dict[str, Any]]) -> None:
    assert group_of(composed("model.dropout=0.3")) == group_of(composed("model.dropout=0"))


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (["trainer.compile=default"], "trainer.compile is set"),
        (["data.batch_size=auto"], "data.batch_size=auto is for one run"),
        (["finetune_strategy=gradual_unfreeze"], "trains other parts in other epochs"),
        (["data=demo_masked_text"], "hides another part of each batch"),
        (["logger=tensorboard"], "a mirror of curves knows one run at a time"),
        ([], ""),
    ],
)
def test_why_a_run_trains_alone(composed: Callable[..., dict[str, Any]], overrides: list[str], why: str) -> None:
    said = apart(composed(*overrides))
    assert why in said
    assert bool(why) == bool(said)
