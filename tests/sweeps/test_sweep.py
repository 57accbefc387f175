"""Sweeps from the command line: checked before they start, kept apart, summed up, whatever happens to single jobs."""

import csv
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from finesweep.cli import main
from finesweep.results.record import RunRecord
from tests.training.killing import ended, kill_when, start

Sweep = Callable[..., int]


@pytest.fixture
def sweep(tmp_path: Path, quick: list[str]) -> Sweep:
    def start(*overrides: str) -> int:
        return main(["train", "-m", *quick, f"hydra.sweep.dir={tmp_path}/sweep", *overrides])

    return start


def leaderboard(folder: Path) -> list[dict[str, str]]:
    with (folder / "leaderboard.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_grid_gives_a_folder_for_each_job_and_a_leaderboard(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("finetune_strategy=full,frozen", "seed=1,2") == 0
    folders = sorted(path.parent.name for path in (tmp_path / "sweep").glob("*/record.json"))
    assert folders == [f"finetune_strategy={s},seed={n}" for s in ("frozen", "full") for n in (1, 2)]
    rows = leaderboard(tmp_path / "sweep")
    assert [row["n"] for row in rows] == ["2", "2"]
    assert {row["finetune_strategy"] for row in rows} == {"full", "frozen"}
    assert float(rows[0]["val_f1_mean"]) >= float(rows[1]["val_f1_mean"])
    assert all(float(row["val_f1_std"]) >= 0 for row in rows)
    assert rows[0]["test_f1_mean"]
    assert not rows[1]["test_f1_mean"]
    shown = capsys.readouterr().out
    assert "Leaderboard" in shown
    assert f"{tmp_path}/sweep/leaderboard.csv and report.html" in shown
    assert "Learning curves" in (tmp_path / "sweep" / "report.html").read_text()


def test_a_jobs_run_is_the_single_run(sweep: Sweep, tmp_path: Path, quick: list[str]) -> None:
    """A job must not see the others, whatever process it is in."""
    assert sweep("finetune_strategy=lora,full", "trainer.precision=32-true") == 0
    single = tmp_path / "single"
    assert main(["train", *quick, "finetune_strategy=full", f"hydra.run.dir={single}"]) == 0
    in_sweep = RunRecord.read(tmp_path / "sweep" / "finetune_strategy=full")
    assert in_sweep.metrics == RunRecord.read(single).metrics
    assert in_sweep.config_hash == RunRecord.read(single).config_hash


def test_a_failed_job_does_not_stop_the_others(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("optimizer.lr=1e38,1e-3", "scheduler=constant", "data.batch_size=8") == 1
    records = {path.parent.name: RunRecord.read(path.parent) for path in (tmp_path / "sweep").glob("*/record.json")}
    assert {name: record.status for name, record in records.items()} == {
        "optimizer.lr=1e+38": "failed", "optimizer.lr=0.001": "ok",
    }  # fmt: skip
    rows = leaderboard(tmp_path / "sweep")
    assert [(row["optimizer.lr"], row["n"], row["failed"]) for row in rows] == [
        ("0.001", "1", "0"),
        ("1e+38", "0", "1"),
    ]
    errors = capsys.readouterr().err
    assert "not a number" in errors
    assert "Traceback" not in errors


def test_no_job_starts_if_one_of_them_is_wrong(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("optimizer.weight_decay=0.1,heavy", "trainer.max_epochs=1,0") == 2
    errors = capsys.readouterr().err
    assert "optimizer.weight_decay: should be a valid number, not 'heavy'" in errors
    assert "trainer.max_epochs" in errors
    assert not (tmp_path / "sweep").exists()


def test_the_same_job_twice_is_refused(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("seed=1,1") == 2
    assert "are the same run" in capsys.readouterr().err


def no_room(*_: object) -> Path:
    raise OSError("no room")


def test_the_same_command_does_nothing_twice_and_a_larger_grid_adds_what_is_missing(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["train", "-m", *quick, "trainer.save_model=false"]
    assert main(command) == 0
    (folder,) = (tmp_path / "outputs" / "demo-tiny").glob("sweep-*")
    (run,) = (file.parent for file in folder.glob("*/record.json"))
    before = {path: path.stat().st_mtime_ns for path in run.glob("**/*")}
    with monkeypatch.context() as full:
        full.setattr("finesweep.results.page.write.write_page", no_room)
        assert main(command) == 0
    told = capsys.readouterr()
    assert "1 of 1 jobs are done already" in told.err
    assert f"could not be written: OSError: no room; `finesweep report {folder.relative_to(tmp_path)}`" in told.err
    assert "leaderboard.csv, and a folder" in told.out
    assert main([*command, "seed=1,2"]) == 0  # whatever a job is called, it is what it does
    assert "1 of 2 jobs are done already" in capsys.readouterr().err
    assert [row["n"] for row in leaderboard(folder)] == ["2"]
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert main([*command, "seed=1,2", "optimizer.lr=1e-3"]) == 0
    assert len(list((tmp_path / "outputs" / "demo-tiny").glob("sweep-*"))) == 2


def test_a_sweep_is_resumed_by_its_folder_with_all_that_was_asked_of_it(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["train", "-m", *quick, "trainer.save_model=false"]
    assert main([*command, "seed=1", "keep=none"]) == 0
    assert main([*command, "seed=1,2", "keep=all"]) == 0
    assert "1 of 2 jobs are done already" in capsys.readouterr().err
    (folder,) = (tmp_path / "outputs" / "demo-tiny").glob("sweep-*")
    moved = tmp_path / "elsewhere" / "it's, moved"
    moved.parent.mkdir()
    folder.rename(moved)
    (moved / "seed=2" / "record.json").unlink()
    monkeypatch.chdir(moved.parent)
    capsys.readouterr()
    assert main(["resume", "it's, moved"]) == 0
    assert capsys.readouterr().err.count(" started") == 1
    assert {path.parent.name for path in moved.glob("*/record.json")} == {"seed=1", "seed=2"}
    assert not (tmp_path / "elsewhere" / "outputs").exists()


def test_another_configuration_of_the_same_name_has_a_folder_of_its_own(sweep: Sweep, tmp_path: Path) -> None:
    for decay in ("0.1", "0.2"):  # the same in all jobs, so that no name tells
        assert sweep("seed=1,2", f"optimizer.weight_decay={decay}", "trainer.save_model=false") == 0
    found = {path.parent.name: RunRecord.read(path.parent) for path in (tmp_path / "sweep").glob("*/record.json")}
    assert len(found) == 4
    assert {name: record.config["optimizer"]["weight_decay"] for name, record in found.items()} == {
        name: 0.1 if name in ("seed=1", "seed=2") else 0.2 for name in found
    }


def test_long_or_odd_values_give_folders_named_by_hash(sweep: Sweep, tmp_path: Path) -> None:
    assert sweep("data.label_map={PER: a/b},{PER: c/d}", "trainer.save_model=false") == 0
    records = [RunRecord.read(path.parent) for path in (tmp_path / "sweep").glob("*/record.json")]
    assert len(records) == 2
    assert all(record.folder.name == record.config_hash[:16] for record in records)


def test_replicates_are_seeds(sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("replicates=2", "seed=7", "trainer.save_model=false") == 0
    assert sorted(path.parent.name for path in (tmp_path / "sweep").glob("*/record.json")) == ["seed=7", "seed=8"]
    assert sweep("replicates=2", "seed=1,2") == 2
    assert "replicates: seed has several values already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["hydra.launcher.slots=0", "seed=1,2"], "hydra.launcher.slots: should be greater than or equal to 1"),
        (["hydra.launcher.slotz=2", "seed=1,2"], "hydra.launcher.slotz"),
        (["hydra/launcher=basic", "seed=1,2"], "finesweep runs sweeps itself"),
        (["optimizer.lr=interval(0,1)"], "has no end of values: hydra/sweeper=optuna"),
        (["hydra.sweeper.zip=[[seed,optimizer.lr]]", "seed=1,2"], "'optimizer.lr' has no values to go through"),
        (
            ["hydra.sweeper.zip=[[seed,optimizer.lr]]", "seed=1,2", "optimizer.lr=1,2,3"],
            "seed has 2, optimizer.lr has 3",
        ),
    ],
)
def test_what_is_wrong_with_a_sweep_is_one_message(
    sweep: Sweep, tmp_path: Path, overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(*overrides) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()


def test_keys_that_advance_together(sweep: Sweep, tmp_path: Path) -> None:
    keys = ["optimizer.lr=1e-3,1e-4", "optimizer.weight_decay=0.1,0.2", "seed=1,2", "trainer.save_model=false"]
    assert sweep(*keys, "hydra.sweeper.zip=[[optimizer.lr,optimizer.weight_decay]]") == 0
    configs = [RunRecord.read(path.parent).config for path in (tmp_path / "sweep").glob("*/record.json")]
    assert sorted((c["optimizer"]["lr"], c["optimizer"]["weight_decay"], c["seed"]) for c in configs) == [
        (1e-4, 0.2, 1), (1e-4, 0.2, 2), (1e-3, 0.1, 1), (1e-3, 0.1, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_as_interrupted(tmp_path: Path, number: signal.Signals, status: int) -> None:
    folder = tmp_path / "run"
    process = start("train", "trainer.max_epochs=200", f"hydra.run.dir={folder}")
    assert kill_when((folder / "metrics.csv").is_file, process, folder, number)
    assert "Traceback" not in ended(process, status)
    assert RunRecord.read(folder).status == "interrupted"
