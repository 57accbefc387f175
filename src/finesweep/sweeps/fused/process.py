"""A process that trains jobs of a sweep as one, and asks for more of them when some are over."""

import traceback
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection

import torch

from finesweep.config.errors import ApartError
from finesweep.sweeps.fused.leaves import WHERE
from finesweep.sweeps.fused.run import Run
from finesweep.sweeps.fused.together import Together
from finesweep.sweeps.worker import Assignment, Driver, further
from finesweep.training.components import Components
from finesweep.training.runner import steps

#: Jobs that train as one where memory would take more: beyond that they gain little, and all wait for the slowest.
_MOST = 64


def train_together(tasks: Sequence[Assignment], most: int | None, talk: Connection) -> None:
    """Train jobs, and those that the driver gives with them. It is told how each of them ends.

    Args:
        tasks: at least two.
        most: as many at a time; None is as many as fit into memory.
    """
    drivers: list[Driver] = []

    def driver_of(task: Assignment) -> Driver:
        drivers.append(Driver(talk, len(drivers), task.claim))
        return drivers[-1]

    told = [driver_of(task) for task in tasks]
    try:
        group = Together(Components.of(tasks[0].values))
        most = most or min(_MOST, group.room())
        if most < len(tasks):
            raise ApartError("two of its kind do not fit into memory", where=WHERE)
    except BaseException as error:
        for driver in told:
            driver.ended(error)
        return
    at_work = 0

    def begun(task: Assignment, driver: Driver) -> Run:
        nonlocal at_work
        at_work += 1
        turns = steps(
            task.values, task.folder, command=task.command, overrides=task.overrides, sweep=task.sweep, like=None,
            supervisor=driver, threads=torch.get_num_threads(), hands=group,
        )  # fmt: skip
        return Run(turns, task.log, partial(ended, driver))

    def ended(driver: Driver, error: BaseException | None) -> None:
        nonlocal at_work
        at_work -= 1
        driver.ended(error)

    def more() -> Iterator[Run]:
        if at_work < most:
            yield from (begun(task, driver_of(task)) for task in further(talk, most - at_work))

    try:
        group.take([*map(begun, tasks, told), *more()], more)
    except Exception:  # of none of them; the driver finds this process gone, and has fewer train at a time
        traceback.print_exc()
