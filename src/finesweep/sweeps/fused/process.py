"""A process that trains jobs of a sweep as one, and asks for more of them when some are over."""

from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection

import torch

from finesweep.sweeps.fused.together import Run, Together
from finesweep.sweeps.worker import Assignment, Driver
from finesweep.training.components import Components
from finesweep.training.runner import steps

#: Jobs that train as one where memory would take more: beyond that they gain little, and all wait for the slowest.
_MOST = 64


def train_together(first: Assignment, talk: Connection) -> None:
    """Train a job and those that the driver gives with it. It is told how each of them ends."""
    assert first.together is not None
    try:
        group = Together(Components.of(first.values))
        most = first.together.most or min(_MOST, group.room())
    except BaseException as error:
        Driver(talk, 0, first.claim).ended(error)
        return
    count = at_work = 0

    def begun(task: Assignment) -> Run:
        nonlocal count, at_work
        driver = Driver(talk, count, task.claim)
        count, at_work = count + 1, at_work + 1
        turns = steps(
            task.values, task.folder, command=task.command, overrides=task.overrides, sweep=task.sweep, like=None,
            supervisor=driver, threads=torch.get_num_threads(), hands=group,
        )  # fmt: skip
        return Run(turns, partial(ended, driver))

    def ended(driver: Driver, error: BaseException | None) -> None:
        nonlocal at_work
        at_work -= 1
        driver.ended(error)

    def more() -> Iterator[Run]:
        try:
            if at_work < most:
                talk.send(("more", 0, most - at_work))
                yield from map(begun, talk.recv())
        except (OSError, EOFError):  # the driver has died, and this process is about to be stopped
            return

    group.take([begun(first), *more()], more)
