"""One job in a process of its own: what it does there, what it tells its driver, and that it does not outlive it."""

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from finesweep.config.errors import ApartError, LostError, PrunedError, UserError
from finesweep.config.interrupt import Interrupted, interruptible
from finesweep.results.lock import LiveError
from finesweep.results.record import LOG
from finesweep.sweeps.ledger import Claim
from finesweep.sweeps.log import Log
from finesweep.sweeps.settings import Fused

#: Seconds that a worker has for a checkpoint once its driver is dead.
_GRACE = 1.5


@dataclass(frozen=True)
class Assignment:
    """What a worker is to do.

    Attributes:
        claim: on the job; its record counts as long as there is no later one.
        devices: the GPUs that it may see, as ``CUDA_VISIBLE_DEVICES`` has them; None leaves that as it is.
        threads: of the CPU; None takes an equal share of what one job alone would have, so that in a sweep with one
            slot a job is the single run, digit for digit.
        slots: jobs that may run side by side.
        sharing: processes that may share the memory of its device.
        together: if more jobs are to train with it, which are asked for.
    """

    values: dict[str, Any]
    folder: Path
    command: str
    overrides: list[str]
    sweep: str
    claim: Claim
    devices: str | None
    threads: int | None
    slots: int
    sharing: int = 1
    together: Fused | None = None

    @property
    def log(self) -> Path:
        """Where the job says things."""
        return self.folder / LOG


def work(task: Assignment, talk: Connection, alive: Connection) -> None:
    """The main function of a worker's process.

    Args:
        talk: to the driver, which answers ``validated``.
        alive: closed when the driver ends, however it ends.
    """
    os.setpgid(0, 0)  # Ctrl-C is for the driver; and with the group go the processes that a job starts itself
    # What this process starts is to be its own child, as of a process from a shell, and not the fork server's.
    multiprocessing.set_start_method("fork", force=True)
    threading.Thread(target=_end_with_driver, args=(alive,), daemon=True).start()
    if task.devices is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = task.devices
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Log(task.log):
        logging.basicConfig(stream=sys.stderr, format="  note: %(message)s", level=logging.WARNING)
        _work(task, talk)


def _work(task: Assignment, talk: Connection) -> None:
    driver = Driver(talk, 0, task.claim)
    try:
        import torch

        torch.set_num_threads(task.threads or max(1, torch.get_num_threads() // task.slots))
        with interruptible():
            if task.together is not None and (others := further(talk, 1)):
                from finesweep.sweeps.fused.process import train_together

                train_together([task, *others], task.together.most, talk)
                return
            from finesweep.training.runner import run

            run(
                task.values, task.folder, command=task.command, overrides=task.overrides, sweep=task.sweep,
                supervisor=driver,
            )  # fmt: skip
    except BaseException as error:
        driver.ended(error)
    else:
        driver.ended(None)


def further(talk: Connection, wanted: int) -> list[Assignment]:
    """Ask the driver for jobs that can train with those that are at work here."""
    try:
        talk.send(("more", 0, wanted))
        found: list[Assignment] = talk.recv()
    except (OSError, EOFError):  # it has died, and this process is about to be stopped
        return []
    return found


def _account(error: BaseException | None) -> tuple[str, str]:
    """How a job ended, and a line about it."""
    kinds = {
        PrunedError: "pruned",
        LostError: "lost",
        LiveError: "live",
        Interrupted: "interrupted",
    }
    if error is None:
        return "ok", ""
    if how := next((how for kind, how in kinds.items() if isinstance(error, kind)), ""):
        return how, str(error)
    if isinstance(error, ApartError):
        return error.how, error.what
    if isinstance(error, UserError):
        print(error, file=sys.stderr)
        return "failed", str(error)
    traceback.print_exception(error)
    return "failed", traceback.format_exception_only(error)[-1].strip()


class Driver:
    """The driver, as a run sees it; of several devices the first has it, in a process of its own.

    Args:
        index: of the job among those of the process.
    """

    def __init__(self, talk: Connection, index: int, claim: Claim) -> None:
        self._talk, self._index, self._claim = talk, index, claim

    def ended(self, error: BaseException | None) -> None:
        """Tell how the job has ended."""
        with contextlib.suppress(OSError):
            self._talk.send(("ended", self._index, *_account(error)))

    def check(self) -> None:
        self._claim.check()

    # A driver that has died is no fault of the run: the thread that watches it stops the run with a checkpoint.

    def progress(self, step: int, steps: int, epoch: int) -> None:
        with contextlib.suppress(OSError):
            self._talk.send(("progress", self._index, step, steps, epoch))

    def validated(self, number: int, epoch: int, value: float) -> None:
        go_on = True
        with contextlib.suppress(OSError, EOFError):
            self._talk.send(("validated", self._index, number, epoch, value))
            go_on = self._talk.recv()
        if not go_on:
            raise PrunedError.after(number)


def _end_with_driver(alive: Connection) -> None:
    try:
        alive.recv()  # nothing is ever sent
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)  # a checkpoint, if there is time for it
        time.sleep(_GRACE)
        os.killpg(0, signal.SIGKILL)
