"""What a sweep keeps on disk: models of its best configurations, and no checkpoints of what is over."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finesweep.cli import main
from finesweep.config.compose import hydra_session
from finesweep.results.lock import locked
from finesweep.results.record import RunRecord, Status, records_in
from finesweep.sweeps.disk import Disk, Keep
from finesweep.sweeps.plan import Job
from finesweep.sweeps.sketch import Sketch, sketch
from tests.sweeps.recorded import run

Asked = Callable[..., Sketch]


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    """``asked("seed=1,2")``: that sweep into the folder ``sweep``, of which nothing is done."""

    def ask(*overrides: str) -> Sketch:
        with hydra_session() as hydra:
            return sketch(hydra, [*overrides, f"hydra.sweep.dir={tmp_path}/sweep"])

    return ask


def done(sweep: Path, job: Job, score: float = 0.5, status: Status = "ok") -> RunRecord:
    """A job of a sweep, as its run leaves it."""
    return run(sweep / job.name, job.overrides, score, status=status, sweep=sweep.name, values=job.values)


def models(sweep: Path) -> set[str]:
    return {path.parent.name for path in sweep.glob("*/model")}


def test_models_go_while_the_sweep_runs_and_those_of_the_best_are_there_in_the_end(asked: Asked) -> None:
    sweep = asked("optimizer.lr=0.1,0.2,0.3,0.4,0.5", "seed=1,2", "keep=2")
    # After their first seeds 0.3 is behind 0.1 and 0.2; in the end it is ahead of both, and 0.5 is first.
    scores = {0.1: (0.6, 0.4), 0.2: (0.7, 0.2), 0.3: (0.3, 0.8), 0.4: (0.1, 0.1), 0.5: (0.9, 0.9)}
    said: list[str] = []
    disk, most = Disk(sweep, said.append), 0
    for job in sweep.jobs:
        done(sweep.folder, job, scores[job.values["optimizer"]["lr"]][job.values["seed"] - 1])
        disk.tidy(records_in(sweep.folder))
        most = max(most, len(models(sweep.folder)))
    assert models(sweep.folder) == {f"optimizer.lr={lr},seed={seed}" for lr in ("0.3", "0.5") for seed in (1, 2)}
    assert most == 5  # of two configurations, and of one that is at work
    assert sum("keep=2: 2 models dropped" in line for line in said) == len(said) == 3
    gone = RunRecord.read(sweep.folder / "optimizer.lr=0.1,seed=1")
    assert gone.model["dropped"] == "it was not of the sweep's 2 best configurations (keep=2)"
    assert (gone.status, gone.metrics["validation"]["f1"]) == ("ok", 0.6)


@pytest.mark.parametrize(("keep", "left"), [("best", {"3"}), ("1", {"3"}), ("all", {"1", "2", "3"}), ("none", set())])
def test_keep_in_words(asked: Asked, keep: str, left: set[str]) -> None:
    sweep = asked("data.max_length=64,65,66", f"keep={keep}")
    for number, job in enumerate(sweep.jobs, 1):
        done(sweep.folder, job, number / 10)
    Disk(sweep, print).tidy(records_in(sweep.folder))
    assert models(sweep.folder) == {f"data.max_length={63 + int(number)}" for number in left}


def test_as_many_models_as_ten_configurations_have_stay_unless_told_otherwise(asked: Asked) -> None:
    sweep = asked("optimizer.weight_decay=" + ",".join(f"0.{i:02}" for i in range(11)))
    for number, job in enumerate(sweep.jobs):
        done(sweep.folder, job, number / 100)
    Disk(sweep, print).tidy(records_in(sweep.folder))
    assert models(sweep.folder) == {job.name for job in sweep.jobs[1:]}


def test_each_data_set_has_its_own_best(asked: Asked) -> None:
    sweep = asked("data=demo,demo_mentions", "optimizer.lr=0.1,0.2", "keep=best")
    for score, job in zip((0.9, 0.8, 0.1, 0.2), sweep.jobs, strict=True):
        done(sweep.folder, job, score)
    Disk(sweep, print).tidy(records_in(sweep.folder))
    assert models(sweep.folder) == {"data=demo,optimizer.lr=0.1", "data=demo_mentions,optimizer.lr=0.2"}


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_what_is_not_over_keeps_the_models_of_its_configuration(asked: Asked, status: Status) -> None:
    sweep = asked("optimizer.lr=0.1,0.2", "seed=1,2", "keep=best")
    states: tuple[Status, ...] = ("ok", status, "ok", "ok")
    for score, state, job in zip((0.1, 0.0, 0.9, 0.9), states, sweep.jobs, strict=True):
        done(sweep.folder, job, score, state)
    disk = Disk(sweep, print)
    disk.tidy(records_in(sweep.folder))
    assert "optimizer.lr=0.1,seed=1" in models(sweep.folder)
    disk.tidy(records_in(sweep.folder), over=True)  # of what has failed nothing is to be expected any more
    assert ("optimizer.lr=0.1,seed=1" in models(sweep.folder)) == (status != "failed")


def test_checkpoints_stay_where_a_run_may_go_on(asked: Asked) -> None:
    sweep = asked("seed=1,2,3,4,5")
    states: tuple[Status, ...] = ("ok", "pruned", "failed", "interrupted", "running")
    for status, job in zip(states, sweep.jobs, strict=True):
        (done(sweep.folder, job, status=status).folder / "checkpoints").mkdir()
    Disk(sweep, print).tidy(records_in(sweep.folder))
    assert {path.parent.name for path in sweep.folder.glob("*/checkpoints")} == {"seed=3", "seed=4", "seed=5"}


def test_nothing_is_taken_from_a_run_that_another_process_works_on(asked: Asked) -> None:
    sweep = asked("optimizer.lr=0.1,0.2", "keep=none")
    for job in sweep.jobs:
        done(sweep.folder, job)
    with locked(sweep.folder / sweep.jobs[0].name):
        Disk(sweep, print).tidy(records_in(sweep.folder))
        assert models(sweep.folder) == {sweep.jobs[0].name}
    assert "dropped" not in RunRecord.read(sweep.folder / sweep.jobs[0].name).model


def test_of_several_objectives_only_those_go_that_are_behind_in_all(tmp_path: Path) -> None:
    keep = Keep("best", {"f1": "maximize", "trainable_parameters": "minimize"})
    records = []
    for name, score, size in (("small", 0.5, 10), ("large", 0.9, 99), ("worse", 0.4, 20), ("same", 0.5, 10)):
        record = run(tmp_path / name, [f"name={name}"], score, values={"name": name, "seed": 1, "data": {}, "of": name})
        record.parameters["trainable"] = size
        records.append(record)
    assert [record.name for record in keep.superfluous(records)] == ["worse"]


def test_a_search_is_kept_by_its_objectives(asked: Asked, tmp_path: Path) -> None:
    search = ["hydra/sweeper=optuna", "optimizer.lr=interval(0.1,1)", "keep=3"]
    Disk(asked(*search, "hydra.sweeper.objectives={loss: minimize}"), print)
    assert Keep.read(tmp_path / "sweep") == Keep(3, {"loss": "minimize"}, 1)
    Disk(asked(*search), print)
    assert Keep.read(tmp_path / "sweep") == Keep(3, {}, 1)


def test_the_same_command_with_another_keep_drops_more_and_what_is_dropped_is_said_where_it_is_missed(
    asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ["optimizer.lr=0.1,0.2", f"hydra.sweep.dir={tmp_path}/sweep"]
    for score, job in zip((0.8, 0.9), (sweep := asked(keys[0])).jobs, strict=True):
        done(sweep.folder, job, score)
    assert main(["train", "-m", *keys]) == 0
    assert len(models(sweep.folder)) == 2
    assert main(["train", "-m", *keys, "keep=best"]) == 0
    assert models(sweep.folder) == {"optimizer.lr=0.2"}
    assert "keep=best: 1 model dropped, 1.0 KiB" in capsys.readouterr().err
    lost: Any = sweep.folder / "optimizer.lr=0.1"
    for command in (["predict", str(lost), "--text", "Ada"], ["evaluate", str(lost)]):
        assert main(command) == 2
        told = capsys.readouterr().err
        assert "model was dropped: it was not of the sweep's best configuration (keep=best)" in told
        assert f"finesweep reproduce {lost} makes it again" in told


def test_keep_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("-1", "few", "true"):
        assert main(["check", f"keep={wrong}"]) == 2
        assert "keep: should be best, all, none or a number from 0 on, not" in capsys.readouterr().err
