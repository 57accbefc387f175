"""One process at a time works on a run. The operating system holds the lock, so a killed process leaves none behind."""

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from finesweep.config.errors import UserError
from finesweep.results.record import RunRecord

_FILE = ".lock"


class LiveError(UserError):
    """Another process works on the run."""


def this_process() -> dict[str, Any]:
    """``{"pid", "host"}`` of this process."""
    return {"pid": os.getpid(), "host": socket.gethostname()}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Inside, the run in the folder, which is made if need be, is this process's alone.

    Raises:
        LiveError: it is another's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        who = "another process"
        with contextlib.suppress(UserError, KeyError):  # it has only just begun
            process = RunRecord.read(folder).process
            who = f"process {process['pid']} on {process['host']}"
        raise LiveError(
            f"{who} works on this run", where=str(folder), remedy="wait until it has ended, or stop it"
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a process works on the run in the folder right now; nothing is made there to find out."""
    if not (folder / _FILE).is_file():
        return False
    lock = FileLock(folder / _FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # not ours to lock: nor could we change anything
        return False
    lock.release()
    return False
