"""A process that trains jobs of a sweep as one, and asks for more of them when some are over."""

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection

import torch

from finesweep.config.errors import ApartError
from finesweep.sweeps.fused.leaves import WHERE
from finesweep.sweeps.fused.run import Run
from finesweep.sweeps.fused.together import Together
from finesweep.sweeps.log import Log
from finesweep.sweeps.worker import Assignment, Driver, further
from finesweep.training.components import Components
from finesweep.training.runner import steps


def train_together(tasks: Sequence[Assignment], most: int, talk: Connection) -> None:
    """Train jobs, and those that the driver gives with them. It is told how each of them ends.

    Args:
        tasks: at least two.
        most: as many at a time, if they fit into memory.
    """
    count = at_work = 0

    def driver_of(task: Assignment) -> Driver:
        nonlocal count
        count += 1
        return Driver(talk, count - 1, task.claim)

    def begun(task: Assignment) -> Run:
        nonlocal at_work
        at_work += 1
        driver, log = driver_of(task), Log(task.log)
        turns = steps(
            task.values, task.folder, command=task.command, overrides=task.overrides, sweep=task.sweep, like=None,
            supervisor=driver, threads=torch.get_num_threads(), hands=group,
        )  # fmt: skip
        return Run(turns, log, partial(ended, driver, log))

    def ended(driver: Driver, log: Log, error: BaseException | None) -> None:
        nonlocal at_work
        at_work -= 1
        driver.ended(error)
        log.close()

    def more() -> Iterator[Run]:
        if at_work < limit:
            yield from map(begun, further(talk, limit - at_work))

    try:
        group = Together(Components.of(tasks[0].values))
        limit = min(most, group.room(tasks[0].sharing))
        if limit < len(tasks):
            raise ApartError("two of its kind do not fit into memory", where=WHERE)
    except BaseException as error:
        for task in tasks:
            with Log(task.log):
                driver_of(task).ended(error)
        return
    try:
        group.take([*map(begun, tasks), *more()], more)
    except Exception:  # none of the runs' own; the driver finds this process gone, and fewer go on as one
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
