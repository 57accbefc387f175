"""From a command line to a sweep at work, and what is said of it in the end."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.hydra import Hydra

from finesweep.config.check import checked_component
from finesweep.config.errors import UserError
from finesweep.config.grid import Space, combinations, space
from finesweep.results.leaderboard import write_leaderboard
from finesweep.results.record import RunRecord, records_in
from finesweep.sweeps.board import Board
from finesweep.sweeps.plan import Job, Planner, folder_of, planned, sweep_folder, with_replicates
from finesweep.sweeps.pool import Pool
from finesweep.sweeps.settings import Grid, Local
from finesweep.sweeps.sweep import Source, Sweep


def grid_of(hydra: Hydra, overrides: Sequence[str]) -> tuple[Space, list[Job]]:
    """The space of a grid's command line, and every job in it, composed and checked.

    Raises:
        ConfigError: the problems of all jobs, each said once.
    """
    found = with_replicates(space(hydra, overrides), hydra)
    sweeper = checked_component(found.master.hydra.sweeper, "hydra.sweeper", Grid)
    return found, planned(Planner(hydra, found.fixed_keys), combinations(found, sweeper.zip))


def run_sweep(hydra: Hydra, overrides: Sequence[str], command: str) -> int:
    """Run all jobs of a sweep that are not done, and write its leaderboard, also if some fail or it is stopped.

    Returns:
        the number of jobs that did not end well.

    Raises:
        ConfigError: something is wrong with some job; none was started.
    """
    found, jobs = grid_of(hydra, overrides)
    settings = checked_component(found.master.hydra.launcher, "hydra.launcher", Local)
    folder = sweep_folder(found, [job.values["name"] for job in jobs])
    waiting = [job for job in jobs if not _done(folder, job)]
    board = Board(len(waiting), jobs[0].values["objective"]["metric"])
    if len(waiting) < len(jobs):
        board.say(f"{len(jobs) - len(waiting)} of {len(jobs)} jobs are done already")
    pool = Pool(settings, _gpus(jobs), max(job.values["trainer"]["devices"] for job in jobs))
    sweep = Sweep(folder, Source(waiting), settings, pool, board, command, lambda: _write(folder))
    try:
        if waiting:
            with board:
                sweep.run()
    finally:
        if text := _write(folder):
            print(text)
            print(f"\nResults: {folder}/leaderboard.csv, and a folder for each run beside it")
    return sweep.failures


def _done(sweep: Path, job: Job) -> bool:
    folder = folder_of(sweep, job)
    with contextlib.suppress(UserError):
        return RunRecord.read(folder).status == "ok"
    return False


def _gpus(jobs: Sequence[Job]) -> int:
    """How many GPUs there are for jobs that use them."""
    if all(job.values["trainer"]["accelerator"] != "gpu" for job in jobs):
        return 0
    import torch

    return torch.cuda.device_count()


def _write(folder: Path) -> str:
    """Write the leaderboard of what there is; as text for a terminal."""
    over = [record for record in records_in(folder) if record.status != "running"]
    return write_leaderboard(over, folder) if over else ""
