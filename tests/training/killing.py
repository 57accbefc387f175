"""Real training processes that can be killed: started from a warm server, so that a test need not wait for imports."""

import csv
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

from finesweep.results.record import RunRecord

#: A training of 36 steps with a checkpoint at each: seconds long, and as full of places to die as a long one.
SHORT = [
    "data.sentences={train: 96, validation: 96, test: 24}",
    "data.batch_size=8",
    "trainer.max_epochs=3",
    "trainer.progress=false",
    "trainer.precision=32-true",
    "trainer.log_every_n_steps=5",
    "trainer.checkpoint_minutes=0",
    "trainer.threads=1",
]
#: Everything that a run leaves behind and that a stop must not change.
FILES = ("metrics.csv", "predictions/validation.jsonl", "predictions/test.jsonl", "model/model.safetensors")

#: Where each process writes what it says: the output of the server that starts them belongs to another test.
_logs: dict[BaseProcess, Path] = {}

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["finesweep.sweeps.sweep", "finesweep.sweeps.warm"])


def start(
    *arguments: str, folder: Path | None = None, largest_file: int | None = None, alone: bool = False
) -> BaseProcess:
    """A process that runs ``finesweep`` with these arguments.

    Args:
        folder: to work in.
        largest_file: bytes that a file may have, which is what a full disk looks like.
        alone: as the first of a process group of its own.
    """
    handle, log = tempfile.mkstemp(prefix="finesweep-said-")
    os.close(handle)
    process = _context.Process(target=_main, args=(arguments, log, folder, largest_file, alone))
    _logs[process] = Path(log)
    process.start()
    return process


def _main(arguments: Sequence[str], log: str, folder: Path | None, largest_file: int | None, alone: bool) -> None:
    from finesweep.cli import main

    # What this process starts is to be its own child, as in a process from a shell, and not the server's.
    multiprocessing.set_start_method("fork", force=True)
    # But a sweep may take its jobs from this server, which has imported everything: Python would start another.
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[attr-defined]
    with Path(log).open("w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    if alone:
        os.setpgid(0, 0)
    if folder is not None:
        os.chdir(folder)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.exit(main(list(arguments)))


def said(process: BaseProcess) -> str:
    """What a process that has ended had to say."""
    process.join()
    return _logs[process].read_text()


def finish(*arguments: str, status: int = 0, folder: Path | None = None) -> str:
    """Run a command to its end, which must have this exit status; what it said."""
    return ended(start(*arguments, folder=folder), status)


def ended(process: BaseProcess, status: int = 0) -> str:
    """Wait for the end of a process, which must have this exit status; what it said."""
    text = said(process)
    assert process.exitcode == status, text
    return text


def kill_after_step(
    process: BaseProcess, folder: Path, step: int, number: int, moment: float = 0.0, *, everyone: bool = False
) -> bool:
    """Send a signal ``moment`` seconds after the checkpoint of a step; whether the run is unfinished then."""
    name = f"step-{step:08d}.safetensors"

    def reached() -> bool:  # two are kept at a time, so that the one that is waited for may be gone already
        return any(path.name >= name for path in (folder / "checkpoints").glob("step-*"))

    return kill_when(reached, process, folder, number, moment, everyone=everyone)


def kill_when(
    reached: Callable[[], bool],
    process: BaseProcess,
    folder: Path,
    number: int,
    moment: float = 0.0,
    *,
    everyone: bool = False,
) -> bool:
    """Send a signal, or to ``everyone`` of the process group, once something is true; whether the run is unfinished."""
    while process.is_alive() and not reached():
        time.sleep(0.0005)
    time.sleep(moment)
    if process.is_alive():
        assert process.pid is not None
        (os.killpg if everyone else os.kill)(process.pid, number)
    process.join()
    return RunRecord.read(folder).status != "ok"


def outcome(folder: Path) -> dict[str, object]:
    """What a run that ended well has left behind."""
    record = RunRecord.read(folder)
    assert record.status == "ok", record.error
    files = {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}
    assert "metrics.csv" in files
    return {"metrics": record.metrics, "objective": record.objective, "seen": record.timing["tokens_seen"], **files}


def steps(folder: Path) -> int:
    """Optimizer steps of a finished run."""
    with (folder / "metrics.csv").open() as stream:
        return max(int(row["step"]) for row in csv.DictReader(stream))


def kill_and_resume(overrides: Sequence[str], whole: Path, folder: Path, kills: int, rng: random.Random) -> list[int]:
    """Run what ran whole in another folder, killed at random points and resumed until it ends; the steps of the kills.

    It goes on by the same command or by ``finesweep resume``, whichever the dice say.
    """
    command = ["train", *overrides, f"hydra.run.dir={folder}"]
    stopped = []
    for step in sorted(rng.sample(range(1, steps(whole)), kills)):
        number = rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
        if not kill_after_step(start(*command), folder, step, number, rng.uniform(0, 0.03)):
            break  # it was faster
        stopped.append(step)
        if rng.random() < 0.5:
            command = ["resume", str(folder)]
    if RunRecord.read(folder).status != "ok":
        finish(*command)
    return stopped
