"""Isolated processes for the jobs of a sweep, from a fork server that has imported what takes seconds to import."""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from finesweep.config.errors import ConfigError, Problem
from finesweep.sweeps.settings import Local
from finesweep.sweeps.worker import Assignment, work

#: Seconds between SIGTERM, which writes a checkpoint, and SIGKILL.
PATIENCE = 60.0


@dataclass
class Worker:
    """A process at work in a slot."""

    slot: int
    process: Any
    talk: Connection
    alive: Connection
    #: That it had at a time, at most.
    jobs: int = 1
    #: Whether they were too many, so that the next ones are for another process.
    crowded: bool = False
    #: What its end is to be called and why, if it was told to stop; and when it is killed if it does not.
    stopped: tuple[str, str] | None = None
    deadline: float = 0.0

    def answer(self, reply: Any) -> None:
        """Reply to ``validated``, whether to go on, or to ``more``, with assignments."""
        with contextlib.suppress(OSError):
            self.talk.send(reply)

    def stop(self, how: str, why: str, patience: float) -> None:
        """Ask it to write a checkpoint and end, for which it has ``patience`` seconds for each job."""
        if self.stopped is None:
            self.stopped, self.deadline = (how, why), time.monotonic() + patience * self.jobs
            self.process.terminate()

    def kill(self) -> None:
        """End it, and what it has started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.process.is_alive():  # so young that it has no group yet
            self.process.kill()

    def verdict(self, ended: tuple[str, str] | None) -> tuple[str, str]:
        """How a job of it ended, and a line about it.

        Args:
            ended: by its own account: ``ok``, ``failed``, ``interrupted``, ``pruned``, ``lost``, ``live``, or why it
                cannot train as one with others; None if it gave none, and its process is gone.
        """
        if self.stopped is not None and (ended is None or ended[0] == "interrupted"):
            return self.stopped
        if ended is not None:
            return ended
        code = self.process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = ", which the system does when memory runs out" if -code == signal.SIGKILL else ""
            why = f"killed by {name}{hint}"
        else:
            why = f"the process ended with status {code}"
        return ("failed" if self.jobs == 1 else "crowded"), why  # whoever of them it was, alone it fails alone


class Pool:
    """Slots with a device and a share of the processor each.

    Args:
        gpus: how many GPUs there are.
        each: GPUs that one job needs.
    """

    def __init__(self, settings: Local, gpus: int, each: int = 1) -> None:
        methods = multiprocessing.get_all_start_methods()
        self._context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if "forkserver" in methods:
            self._context.set_forkserver_preload(["finesweep.sweeps.warm"])
        devices = list(range(gpus)) if settings.devices is None else settings.devices
        if gpus and (len(devices) < each or max(devices) >= gpus):
            message = f"there are the GPUs 0 to {gpus - 1}, and a job takes {each} of those that are named here"
            raise ConfigError([Problem("hydra.launcher.devices", message)])
        self.slots = settings.slots or max(1, len(devices) // each)
        self._devices = [devices[i : i + each] for i in range(0, len(devices) - each + 1, each)]
        self.workers: list[Worker] = []

    @property
    def free(self) -> list[int]:
        """The numbers of the slots in which nothing runs."""
        taken = {worker.slot for worker in self.workers}
        return [slot for slot in range(self.slots) if slot not in taken]

    @property
    def sharing(self) -> int:
        """How many slots may share the memory of a device, or of the machine where there is none."""
        return -(-self.slots // max(1, len({*map(tuple, self._devices)})))

    def devices(self, slot: int) -> str | None:
        """What a job in a slot may see of the GPUs; None where there are none."""
        return ",".join(map(str, self._devices[slot % len(self._devices)])) if self._devices else None

    def visible(self, slot: int) -> str | None:
        """The same, as ``CUDA_VISIBLE_DEVICES`` has it: of those that are visible here, which may bear other names."""
        mine, ours = self.devices(slot), os.environ.get("CUDA_VISIBLE_DEVICES")
        if mine is None or not ours:
            return mine
        names = ours.split(",")
        return ",".join(names[int(each)] if int(each) < len(names) else each for each in mine.split(","))

    def start(self, slot: int, task: Assignment) -> Worker:
        """Start a job in a free slot."""
        ours, theirs = self._context.Pipe()
        alive, watched = self._context.Pipe()
        process = self._context.Process(target=work, args=(task, theirs, watched))
        process.start()
        theirs.close()
        watched.close()
        worker = Worker(slot, process, ours, alive)
        self.workers.append(worker)
        return worker

    def events(self, timeout: float) -> Iterator[tuple[Worker, tuple[Any, ...]]]:
        """What workers say within ``timeout`` seconds, each time with the number of the job: ``progress``,
        ``validated``, ``more``, ``ended``; and ``gone`` when one has ended."""
        things: list[Any] = [thing for w in self.workers for thing in (w.talk, w.process.sentinel)]
        if not things:
            time.sleep(timeout)
        ready = wait(things, timeout)
        for worker in list(self.workers):
            if worker.talk in ready or worker.process.sentinel in ready:
                yield from ((worker, message) for message in _said(worker))
            if worker.process.sentinel in ready:
                worker.process.join()
                worker.kill()  # what it has started and left behind
                worker.talk.close()
                worker.alive.close()
                self.workers.remove(worker)
                yield worker, ("gone", 0)

    def stop(self, why: str) -> None:
        """Ask all to write a checkpoint and end as interrupted."""
        for worker in self.workers:
            worker.stop("interrupted", why, PATIENCE)

    def kill(self, *, overdue: bool = False) -> None:
        """End all at once, or those that had their time."""
        for worker in self.workers:
            if not overdue or (worker.stopped is not None and time.monotonic() > worker.deadline):
                worker.kill()


def _said(worker: Worker) -> Iterator[tuple[Any, ...]]:
    """The messages that have come from a worker."""
    with contextlib.suppress(EOFError, OSError):
        while worker.talk.poll():
            yield worker.talk.recv()
