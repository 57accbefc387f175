"""finesweep compare: runs, configurations with several seeds, and what cannot be compared."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import finesweep
from finesweep.cli import main
from finesweep.results.record import RunRecord

LR = ("1e-3", "1e-5")
SEEDS = (1, 2)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep of two learning rates, one of them far too small, with two seeds each."""
    folder = tmp_path_factory.mktemp("sweeps") / "sweep"
    short = ["data.sentences={train: 320, validation: 60, test: 60}", "trainer.max_epochs=2", "trainer.progress=false"]
    keys = [f"optimizer.lr={','.join(LR)}", f"seed={','.join(map(str, SEEDS))}"]
    assert main(["train", "-m", *keys, *short, "trainer.precision=32-true", f"hydra.sweep.dir={folder}"]) == 0
    return folder


def runs_of(folder: Path) -> list[Path]:
    return sorted(file.parent for file in folder.glob("*/record.json"))


def compared(*arguments: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["compare", *arguments, "--json", "--resamples", "499"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_the_configurations_of_a_sweep(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = compared(str(sweep), capsys=capsys)
    assert (found["split"], found["metric"]) == ("validation", "f1")
    assert [group["name"] for group in found["groups"]] == [f"optimizer.lr={rate}" for rate in ("0.001", "1e-05")]
    assert [len(group["runs"]) for group in found["groups"]] == [2, 2]
    assert found["differences"] == {"optimizer.lr=1e-05": ["optimizer.lr: 0.001, here 1e-05"]}
    (one,) = found["comparisons"]
    means = [sum(group["f1"]) / 2 for group in found["groups"]]
    for test in (one["rows"], one["seeds"]):
        assert test["difference"] == pytest.approx(means[0] - means[1])
    assert one["rows"]["low"] > 0
    assert one["rows_p"] < 0.05


def test_the_same_seed_twice_is_one_replicate(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = shutil.copytree(sweep, tmp_path / "sweep")
    shutil.copytree(twice / "optimizer.lr=0.001,seed=1", twice / "again")
    assert compared(str(twice), capsys=capsys)["comparisons"] == compared(str(sweep), capsys=capsys)["comparisons"]


def test_who_lost_a_race_is_not_what_others_are_compared_with(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raced = shutil.copytree(sweep, tmp_path / "sweep")
    loser = RunRecord.read(raced / "optimizer.lr=0.001,seed=2")
    loser.status = "pruned"
    loser.write()
    found = compared(str(raced), capsys=capsys)
    assert [group["name"] for group in found["groups"]] == ["optimizer.lr=1e-05", "optimizer.lr=0.001"]


def test_two_runs(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(sweep / f"optimizer.lr={rate},seed=1") for rate in ("0.001", "1e-05")]
    found = compared(*runs, "--split", "test", "--metric", "token_accuracy", capsys=capsys)
    (one,) = found["comparisons"]
    values = [RunRecord.read(run).metrics["test"]["token_accuracy"] for run in runs]
    assert one["rows"]["difference"] == pytest.approx(values[0] - values[1])
    assert one["seeds"] is None
    assert main(["compare", *runs]) == 0
    text = capsys.readouterr().out
    assert "optimizer.lr: 0.001, here 1e-05" in text
    assert "| token_accuracy |" in text
    assert "| optimizer.lr=1e-05,seed=1 | rows | +" in text


def test_more_than_two_are_corrected(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(run) for run in runs_of(sweep)]
    found = compared(*runs, capsys=capsys)
    assert len(found["comparisons"]) == 3
    assert all(each["rows_p"] >= each["rows"]["p"] for each in found["comparisons"])
    assert sum(each["rows_p"] > each["rows"]["p"] for each in found["comparisons"]) >= 1


def test_a_metric_without_parts_is_tested_over_seeds(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = compared(str(sweep), "--metric", "loss", capsys=capsys)["comparisons"]
    assert one["rows"] is None
    assert "no row has a part of its own in loss" in one["why"]
    assert one["seeds"]["difference"] < 0


def test_other_rows_are_not_compared_row_by_row(
    sweep: Path, tmp_path: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = finesweep.run([*quick, f"hydra.run.dir={tmp_path / 'other'}"]).folder
    (one,) = compared(str(sweep / "optimizer.lr=0.001,seed=1"), str(other), capsys=capsys)["comparisons"]
    assert one["rows"] is None
    assert "different rows of validation" in one["why"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}"], "one configuration alone"),
        (["{run}", "{sweep}", "--metric", "bleu"], "there is no metric 'bleu'"),
        (["{run}", "{sweep}", "--resamples", "10"], "at least 99"),
        (["{run}", "nothing-of-this-name"], "there is no run"),
    ],
)
def test_what_cannot_be_compared_is_one_message(
    sweep: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"run": sweep / "optimizer.lr=0.001,seed=1", "sweep": sweep}
    assert main(["compare", *(text.format(**places) for text in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_another_task_is_not_compared(
    sweep: Path, tmp_path: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = finesweep.run([*quick, "data=demo_topics", f"hydra.run.dir={tmp_path / 'other'}"]).folder
    assert main(["compare", str(sweep / "optimizer.lr=0.001,seed=1"), str(other)]) == 2
    assert "different tasks" in capsys.readouterr().err


@pytest.mark.slow
def test_folds_are_one_score_of_their_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["data.sentences={train: 120, validation: 20, test: 20}", "data.folds=2", "trainer.progress=false"]
    keys = ["optimizer.lr=1e-3,1e-5", "seed=1,2", "data.fold=0,1"]
    folder = tmp_path / "sweep"
    assert main(["train", "-m", "data=demo_topics", *keys, *short, f"hydra.sweep.dir={folder}"]) == 0
    (one,) = compared(str(folder), "--metric", "matthews", capsys=capsys)["comparisons"]
    runs = {tuple(sorted(run.name.split(","))): run for run in runs_of(folder)}
    assert len(runs) == 8
    score: dict[str, float] = {}
    for run in runs.values():
        record = RunRecord.read(run)
        rate = str(record.config["optimizer"]["lr"])
        score[rate] = score.get(rate, 0.0) + record.metrics["validation"]["matthews"] / 4
    assert one["seeds"]["difference"] == pytest.approx(score["0.001"] - score["1e-05"])
    assert one["rows"]["difference"] > 0
    assert one["rows_p"] < 0.05
