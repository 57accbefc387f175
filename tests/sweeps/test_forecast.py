"""finesweep check of a whole sweep: jobs, what is done, time, memory, and what would fail."""

import re
from pathlib import Path

import pytest

from finesweep.cli import main
from finesweep.config.compose import hydra_session
from finesweep.sweeps.sketch import sketch
from finesweep.training import estimate
from tests.sweeps.recorded import run

SWEEP = ["trainer.precision=32-true", "finetune_strategy=full,frozen", "seed=1,2,3", "optimizer.lr=1e-3,1e-4"]


@pytest.fixture
def small(tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A sweep of twelve jobs of two kinds, of which nothing is done."""
    monkeypatch.chdir(tmp_path)
    return [*quick, *SWEEP, f"hydra.sweep.dir={tmp_path}/sweep"]


def test_jobs_are_told_by_kind_and_estimated_once(
    small: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read: list[object] = []
    original = estimate.read_data
    monkeypatch.setattr(estimate, "read_data", lambda parts: read.append(parts) or original(parts))
    assert main(["check", "-m", *small]) == 0
    shown = capsys.readouterr().out
    assert len(read) == 1
    rows = re.findall(r"^finetune_strategy=(\w+) +(\d+) +(\d+) +64 +(\d+) +([\d,]+) +588,169 ", shown, re.MULTILINE)
    assert rows == [("full", "6", "0", "4", "588,169"), ("frozen", "6", "0", "4", "1,161")]
    assert "12 jobs, nothing wrong with the configuration" in shown
    assert "nothing is done yet" in shown
    assert "unknown, no job like these is done yet" in shown
    assert not Path("sweep").exists()


def test_what_is_done_tells_how_long_the_rest_takes(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with hydra_session() as hydra:
        asked = sketch(hydra, small)
    states = {"ok": [100, 600], "failed": [9], "interrupted": [9]}
    full = iter(job for job in asked.jobs if "finetune_strategy=full" in job.overrides)
    for status, times in states.items():
        for seconds in times:
            job = next(full)
            done = run(asked.folder / job.name, job.overrides, values=job.values, status=status, seconds=seconds)  # type: ignore[arg-type]
            if seconds == 600:  # with another one, that took 300 of them
                done.fused = 2
                done.write()
    assert main(["check", "-m", *small, "hydra.launcher.slots=2"]) == 0
    shown = capsys.readouterr().out
    assert "2 done, 1 failed, 1 stopped" in shown
    # Four of full are left, of 200 seconds each, two at a time; of frozen nothing is known.
    assert "about 7 min for 4 more, 2 side by side, as 2 done have taken" in shown
    assert "6 beside them of which none like them is done yet" in shown


def test_a_job_that_went_on_after_a_stop_tells_nothing_of_time(
    small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with hydra_session() as hydra:
        asked = sketch(hydra, small)
    job = asked.jobs[0]
    record = run(asked.folder / job.name, job.overrides, values=job.values)
    record.resumed = [{"at": "later"}]
    record.write()
    assert main(["check", "-m", *small]) == 0
    shown = capsys.readouterr().out
    assert "1 done" in shown
    assert "time:   unknown" in shown


def test_too_many_jobs_for_the_memory_are_warned_of(
    small: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("finesweep.sweeps.forecast.machine_memory", lambda: 2**31)
    assert main(["check", "-m", *small, "hydra.launcher.slots=3", "trainer.accelerator=cpu"]) == 0
    assert "WARNING" not in capsys.readouterr().out
    assert main(["check", "-m", *small, "hydra.launcher.slots=8", "trainer.accelerator=cpu"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"8 side by side 4\.\d GiB; this machine has 2\.0 GiB", shown)
    assert "WARNING: this will hardly fit into memory; hydra.launcher.slots=3 would" in shown
    monkeypatch.setattr("finesweep.sweeps.forecast.machine_memory", lambda: 2**28)
    assert main(["check", "trainer.accelerator=cpu"]) == 0
    assert "WARNING: this will hardly fit into memory; a smaller data.batch_size" in capsys.readouterr().out


def test_what_would_fail_is_said_once_with_how_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.txt").write_text("a O\n")
    files = ["data=files", f"data.train={tmp_path}/one.txt"]
    assert main(["check", "-m", *files, "seed=1,2", "optimizer.lr=1e-3,1e-4"]) == 2
    shown = capsys.readouterr().out
    assert "4 jobs, which would fail here" in shown
    assert shown.count("cannot be split") == 1
    models = f"model.name_or_path=embedded:tiny,{tmp_path}"
    assert main(["check", "-m", "model=hf", models, "data.sentences={train: 64, validation: 24, test: 24}"]) == 2
    assert "2 jobs, 1 of which would fail here\n  1 job: model.name_or_path=" in capsys.readouterr().out


def test_problems_of_a_thousand_jobs_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    seeds = ",".join(map(str, range(25)))
    assert main(["check", "-m", "optimizer.lr=1,heavy", "trainer.max_epochs=1,0", f"seed={seeds}"]) == 2
    told = capsys.readouterr().err
    assert "2 problems in the configuration" in told
    assert told.count("optimizer.lr: should be a valid number") == 1


def test_a_search_is_told_by_the_ends_of_its_space(
    quick: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=7", "seed=1,2", "finetune_strategy=full,frozen"]
    folder = tmp_path / "sweep"
    for seed, status in ((1, "ok"), (2, "pruned"), (3, "failed")):
        run(folder / f"seed={seed}", [f"seed={seed}"], status=status)  # type: ignore[arg-type]
    assert main(["check", "-m", *quick, *keys, "optimizer.lr=interval(0.1,1)", f"hydra.sweep.dir={folder}"]) == 0
    shown = capsys.readouterr().out
    assert "14 jobs at most" in shown
    assert "1 done, 1 pruned, 1 failed" in shown
