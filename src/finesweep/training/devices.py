"""One training on several devices: a process for each, started here, so that it works inside a sweep too.

Lightning would start the processes by running the command again, which in a sweep is the whole sweep.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import torch.multiprocessing as mp
from torch.multiprocessing.spawn import ProcessExitedException

from finesweep.config.errors import UserError
from finesweep.config.interrupt import Interrupted

#: Seconds for a checkpoint to be written when the work is to stop.
_PATIENCE = 60


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
    first = context.processes[0]
    try:
        while not context.join():
            pass
    except ProcessExitedException:
        if errors.empty():
            raise
        raise errors.get() from None
    except (Interrupted, KeyboardInterrupt):
        first.terminate()
        first.join(_PATIENCE)
        raise
    finally:
        for process in context.processes:
            process.kill()


def _on_device(rank: int, count: int, port: int, errors: Any, work: Callable[..., None], arguments: tuple) -> None:
    # With these set Lightning takes the processes for granted and starts none.
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(count), NODE_RANK="0", LOCAL_RANK=str(rank)
    )
    # Ctrl-C reaches every process of a terminal at once; what is to be done then, the one that started these says.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if rank != 0:  # the first one stops, writes a checkpoint, for which the others must still be there, and ends them
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(rank, *arguments)
    except UserError as error:
        errors.put(error)
        raise SystemExit(1) from error
    except Interrupted as stop:
        raise SystemExit(stop.exit_status) from stop


def _end_with_parent() -> None:
    """However the process ends that started this one, nobody is left to train for."""
    parent = mp.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
