"""One training on several devices: a process for each, started here, so that it works inside a sweep too.

Lightning would start the processes by running the command again, which in a sweep is the whole sweep.
"""

import os
import socket
from collections.abc import Callable
from typing import Any

import torch.multiprocessing as mp
from torch.multiprocessing.spawn import ProcessExitedException

from finesweep.config.errors import UserError


def on_each_device(count: int, work: Callable[..., None], *arguments: Any) -> None:
    """Call ``work(rank, *arguments)`` in ``count`` processes at once and wait for all of them.

    Raises:
        UserError: the one that a process raised.
        ProcessExitedException, ProcessRaisedException: a process ended in another way.
    """
    errors: Any = mp.get_context("spawn").SimpleQueue()
    context = mp.start_processes(
        _on_device, (count, _free_port(), errors, work, arguments), nprocs=count, join=False, start_method="spawn"
    )
    try:
        while not context.join():
            pass
    except ProcessExitedException:
        if errors.empty():
            raise
        raise errors.get() from None
    finally:
        for process in context.processes:
            process.terminate()


def _on_device(rank: int, count: int, port: int, errors: Any, work: Callable[..., None], arguments: tuple) -> None:
    # With these set Lightning takes the processes for granted and starts none.
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(count), NODE_RANK="0", LOCAL_RANK=str(rank)
    )
    try:
        work(rank, *arguments)
    except UserError as error:
        errors.put(error)
        raise SystemExit(1) from error


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
