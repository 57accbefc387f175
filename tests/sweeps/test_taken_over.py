"""Jobs that somebody else has: whose folder a process holds, and that another sweeper takes over meanwhile."""

import json
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from finesweep.config.errors import LostError
from finesweep.results.lock import is_locked, locked
from finesweep.results.record import RunRecord
from finesweep.sweeps.ledger import Claim
from finesweep.training.runner import run
from tests.sweeps.conftest import Finesweep
from tests.training import killing


def wait_until(reached: Callable[[], bool], process: BaseProcess) -> None:
    while not reached():
        assert process.is_alive(), killing.said(process)
        time.sleep(0.02)


def attempts(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "ledger").glob("[!.]*") if path.suffix != ".end")


def test_a_run_that_another_process_holds_is_waited_for(finesweep: Finesweep, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    with locked(folder / "seed=1"):
        process = finesweep("seed=1,2")
        wait_until(lambda: any(file.is_file() for file in folder.glob("seed=2/report.md")), process)
        time.sleep(2)
        assert len(attempts(folder)) == 1
    assert killing.ended(process).count("started") == 2
    assert len(attempts(folder)) == 2


@pytest.mark.parametrize("killed", [False, True])
def test_who_is_late_changes_nothing(finesweep: Finesweep, tmp_path: Path, killed: bool) -> None:
    """Another sweeper takes a job over, and it fails there: so it has failed, and is not tried again here."""
    folder = tmp_path / "sweep"
    process = finesweep("seed=1", "trainer.max_epochs=100")
    wait_until(lambda: bool(list(folder.glob("*/metrics.csv"))), process)
    run_folder = next(folder.glob("*/metrics.csv")).parent
    (mine,) = attempts(folder)
    other = Claim(folder / "ledger", mine.rpartition(".")[0], 2)
    owner = json.loads((folder / "ledger" / mine).read_text())
    other.path.write_text(json.dumps({**owner, "host": "another machine"}))
    if killed:
        os.kill(RunRecord.read(run_folder).process["pid"], signal.SIGKILL)
    wait_until(lambda: not is_locked(run_folder), process)
    late = RunRecord.read(run_folder)
    assert late.status == "running"
    late.status, late.finished, late.error = "failed", "2026-01-01T00:00:00+00:00", "there"
    late.write()
    other.end("failed")
    said = killing.ended(process, 1)
    assert said.count("started") == 1
    assert "on another has taken this job over" in said
    assert RunRecord.read(run_folder).error == "there"


class Late:
    """A supervisor of a run that is another's from its first validation on, and that goes wrong there."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lost = folder, False
        self.record = ""

    def check(self) -> None:
        if self._lost:
            raise LostError("another sweeper has taken this job over", where="here")

    def progress(self, *_: object) -> None: ...

    def validated(self, *_: object) -> None:
        self._lost = True
        self.record = (self._folder / "record.json").read_text()
        raise OSError("a stale file handle")


def test_a_late_run_that_fails_writes_no_record(
    tmp_path: Path, quick: list[str], composed: Callable[..., dict]
) -> None:
    late = Late(tmp_path / "run")
    with pytest.raises(LostError):
        run(composed(*quick), tmp_path / "run", supervisor=late)
    assert (tmp_path / "run" / "record.json").read_text() == late.record
