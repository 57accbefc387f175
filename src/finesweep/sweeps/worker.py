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

from finesweep.config.errors import LostError, PrunedError, UserError
from finesweep.config.interrupt import Interrupted, interruptible
from finesweep.results.lock import LiveError
from finesweep.results.record import LOG
from finesweep.sweeps.ledger import Claim

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
    task.folder.mkdir(parents=True, exist_ok=True)
    with (task.folder / LOG).open("a") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    if task.devices is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = task.devices
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(stream=sys.stderr, format="  note: %(message)s", level=logging.WARNING)
    how, what = _run(task, talk)
    with contextlib.suppress(OSError):
        talk.send(("ended", how, what))


def _run(task: Assignment, talk: Connection) -> tuple[str, str]:
    """How the job ended, and a line about it."""
    try:
        import torch

        from finesweep.training.runner import run

        torch.set_num_threads(task.threads or max(1, torch.get_num_threads() // task.slots))
        with interruptible():
            run(
                task.values, task.folder, command=task.command, overrides=task.overrides, sweep=task.sweep,
                supervisor=_Driver(talk, task.claim),
            )  # fmt: skip
    except Interrupted as stop:
        return "interrupted", str(stop)
    except PrunedError as error:
        return "pruned", str(error)
    except LostError as error:
        return "lost", str(error)
    except LiveError as error:
        return "live", str(error)
    except UserError as error:
        print(error, file=sys.stderr)
        return "failed", str(error)
    except BaseException as error:
        traceback.print_exc()
        return "failed", traceback.format_exception_only(error)[-1].strip()
    return "ok", ""


class _Driver:
    """The driver, as the run sees it; of several devices the first has it, in a process of its own."""

    def __init__(self, talk: Connection, claim: Claim) -> None:
        self._talk, self._claim = talk, claim

    def check(self) -> None:
        self._claim.check()

    # A driver that has died is no fault of the run: the thread that watches it stops the run with a checkpoint.

    def progress(self, step: int, steps: int, epoch: int) -> None:
        with contextlib.suppress(OSError):
            self._talk.send(("progress", step, steps, epoch))

    def validated(self, number: int, epoch: int, value: float) -> None:
        go_on = True
        with contextlib.suppress(OSError, EOFError):
            self._talk.send(("validated", number, epoch, value))
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
