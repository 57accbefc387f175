"""Jobs that exit, raise, are killed and hang; drivers that are killed; two sweepers on one folder."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from finesweep.results.lock import is_locked
from finesweep.results.record import RunRecord
from tests.sweeps.conftest import Cold, Finesweep
from tests.training.killing import ended

TESTS = Path(__file__).parent
FAULTS = {
    "exits": "ended with status 3",
    "raises": "on purpose",
    "is killed": "killed by SIGKILL",
    "hangs": "longer than",
}


def records(folder: Path) -> dict[str, RunRecord]:
    return {file.parent.name: RunRecord.read(file.parent) for file in folder.glob("sweep/*/record.json")}


def done(folder: Path) -> int:
    return sum(record.status == "ok" for record in records(folder).values())


def processes(text: str) -> list[int]:
    """Processes that have a text in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if text.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("count", [6, pytest.param(40, marks=pytest.mark.slow)])
def test_single_jobs_do_not_stop_the_others(finesweep: Finesweep, tmp_path: Path, count: int) -> None:
    switch = tmp_path / "switch"
    switch.touch()
    faults = [*FAULTS, *["none"] * (count - len(FAULTS))]
    command = [
        "extension_packages=[faulty]", "+optimizer.fault=" + ",".join(f"'{fault}'" for fault in faults),
        "+optimizer.number=" + ",".join(map(str, range(count))), f"+optimizer.switch={switch}",
        "optimizer._target_=faulty.Faulty", "hydra.sweeper.zip=[[optimizer.fault,optimizer.number]]",
        "hydra.launcher.timeout_minutes=0.2",
    ]  # fmt: skip
    said = ended(finesweep(*command), 1)
    found = records(tmp_path)
    assert len(found) == count
    assert sum(record.status == "ok" for record in found.values()) == count - len(FAULTS)
    failed = {record.config["optimizer"]["fault"]: record for record in found.values() if record.status == "failed"}
    assert failed.keys() == FAULTS.keys()
    for fault, message in FAULTS.items():
        assert message in (failed[fault].error or ""), fault
        assert message in said
    assert "Traceback" in (failed["raises"].error or "")
    assert "RuntimeError: on purpose" in (failed["raises"].folder / "log.txt").read_text()

    switch.unlink()
    said = ended(finesweep(*command))
    assert f"{count - len(FAULTS)} of {count} jobs are done already" in said
    assert said.count("started") == len(FAULTS)
    again = records(tmp_path)
    assert all(record.status == "ok" for record in again.values())
    assert {name for name in again if again[name].resumed} == {record.folder.name for record in failed.values()}


@pytest.mark.slow
def test_a_failed_job_is_tried_again(finesweep: Finesweep, tmp_path: Path) -> None:
    command = [
        "extension_packages=[faulty]", "+optimizer.fault=raises", "+optimizer.number=1,2",
        f"+optimizer.switch={TESTS}", "optimizer._target_=faulty.Faulty",
    ]  # fmt: skip
    said = ended(finesweep(*command, "hydra.launcher.retries=1"), 1)
    assert said.count("on purpose; once more") == 2
    assert all(len(record.resumed) == 1 for record in records(tmp_path).values())
    said = ended(finesweep(*command, "hydra.launcher.fail_fast=true", "hydra.launcher.slots=1"), 1)
    assert said.count("started") == 1


@pytest.mark.parametrize("jobs", [4, pytest.param(16, marks=pytest.mark.slow)])
def test_a_driver_that_is_killed_twice_changes_nothing(finesweep: Finesweep, tmp_path: Path, jobs: int) -> None:
    seeds = f"seed=range({jobs})"
    undisturbed = tmp_path / "undisturbed"
    ended(finesweep(seeds, f"hydra.sweep.dir={undisturbed}/sweep"))
    rng = random.Random(jobs)
    for least in (1, jobs // 2):
        process, before = finesweep(seeds, "trainer.checkpoint_minutes=0"), done(tmp_path)
        while done(tmp_path) < max(least, before + 1):
            assert process.is_alive()
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 1))
        process.kill()
        process.join()
    ended(finesweep(seeds))
    found, whole = records(tmp_path), records(undisturbed)
    assert found.keys() == whole.keys()
    assert {name: record.metrics for name, record in found.items()} == {
        name: record.metrics for name, record in whole.items()
    }


def test_workers_end_with_their_driver(finesweep: Finesweep, tmp_path: Path) -> None:
    process = finesweep("seed=1,2", "trainer.max_epochs=1000")
    while sum(is_locked(folder) for folder in (tmp_path / "sweep").glob("seed=*")) < 2:
        assert process.is_alive()
        time.sleep(0.02)
    process.kill()
    process.join()
    time.sleep(2)
    assert not any(is_locked(folder) for folder in (tmp_path / "sweep").glob("seed=*"))
    assert {record.status for record in records(tmp_path).values()} <= {"interrupted", "running"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_a_driver_that_is_stopped(cold: Cold, tmp_path: Path, number: signal.Signals) -> None:
    process = cold("seed=range(4)", "trainer.max_epochs=200")
    while not any(is_locked(folder) for folder in (tmp_path / "sweep").glob("seed=*")):
        assert process.poll() is None
        time.sleep(0.02)
    assert len(processes(str(tmp_path))) > 2, "a driver, its fork server, workers"
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.kill()
    process.wait()
    time.sleep(2)
    assert processes(str(tmp_path)) == []


def test_ctrl_c_leaves_a_sweep_that_goes_on(finesweep: Finesweep, tmp_path: Path) -> None:
    process = finesweep("seed=range(4)", "trainer.max_epochs=3")
    while not any(record.status == "ok" for record in records(tmp_path).values()):
        time.sleep(0.02)
    assert process.pid is not None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    begun = time.monotonic()
    assert "Traceback" not in ended(process, 130)
    assert time.monotonic() - begun < 10
    assert {record.status for record in records(tmp_path).values()} <= {"ok", "interrupted"}
    assert (tmp_path / "sweep" / "leaderboard.csv").is_file()
    assert not any(is_locked(folder) for folder in (tmp_path / "sweep").glob("seed=*"))
    ended(finesweep("seed=range(4)", "trainer.max_epochs=3"))
    assert [record.status for record in records(tmp_path).values()] == ["ok"] * 4


def test_a_signal_after_the_end_undoes_nothing(finesweep: Finesweep, tmp_path: Path) -> None:
    command = ["extension_packages=[faulty]", "logger._target_=faulty.Late", "seed=1,2"]
    ended(finesweep(*command))
    assert [record.status for record in records(tmp_path).values()] == ["ok", "ok"]
    assert all(record.error is None for record in records(tmp_path).values())


def test_two_sweepers_share_the_work(finesweep: Finesweep, tmp_path: Path) -> None:
    both = [finesweep("seed=range(6)", "hydra.launcher.slots=1") for _ in range(2)]
    begun = [ended(process).count("started") for process in both]
    assert sum(begun) == 6
    assert min(begun) >= 1
    found = records(tmp_path)
    assert len(found) == 6
    assert all(record.status == "ok" and not record.resumed for record in found.values())
