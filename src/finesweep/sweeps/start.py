"""From a command line to a sweep at work, and what is said of it in the end."""

import logging
import traceback
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.hydra import Hydra

from finesweep.config.check import checked_component
from finesweep.config.grid import Space, combinations, space
from finesweep.results.configurations import by_job
from finesweep.results.leaderboard import write_leaderboard
from finesweep.results.record import RunRecord, records_in
from finesweep.sweeps.board import Board
from finesweep.sweeps.calls import note_call
from finesweep.sweeps.disk import Disk
from finesweep.sweeps.plan import Job, Planner, by_replicate, planned, sweep_folder, with_replicates
from finesweep.sweeps.pool import Pool
from finesweep.sweeps.race import Race
from finesweep.sweeps.settings import Grid, Local, Search, Sweeper
from finesweep.sweeps.source import Source
from finesweep.sweeps.sweep import Sweep

if TYPE_CHECKING:
    from finesweep.sweeps.search_plan import SearchPlan  # Optuna takes half a second, and a grid does without


@dataclass(frozen=True)
class Sketch:
    """A sweep before it begins.

    Attributes:
        jobs: all of a grid, or some by which those of a search can be told.
        search: what a search is; None for a grid.
    """

    space: Space
    sweeper: Sweeper
    launcher: Local
    folder: Path
    jobs: list[Job]
    search: "SearchPlan | None"


def sketch(hydra: Hydra, overrides: Sequence[str]) -> Sketch:
    """What a command line asks for, composed and checked.

    Raises:
        ConfigError: the problems of all jobs, each said once.
    """
    found = with_replicates(space(hydra, overrides), hydra)
    sweeper = checked_component(found.master.hydra.sweeper, "hydra.sweeper", Sweeper)
    launcher = checked_component(found.master.hydra.launcher, "hydra.launcher", Local)
    planner = Planner(hydra, found.fixed_keys)
    search = None
    if isinstance(sweeper, Search):
        from finesweep.sweeps.search_plan import SearchPlan

        search = SearchPlan.of(found, sweeper, planner)
        jobs = search.probes
    else:
        assert isinstance(sweeper, Grid)
        jobs = planned(planner, combinations(found, sweeper.zip))
        if sweeper.racing is not None:
            jobs = by_replicate(jobs)
    folder = sweep_folder(found, [job.values["name"] for job in jobs])
    return Sketch(found, sweeper, launcher, folder, jobs, search)


def run_sweep(hydra: Hydra, overrides: Sequence[str], command: str, config_dir: str | None) -> int:
    """Run all jobs of a sweep that are not done, and write its leaderboard, also if some fail or it is stopped.

    Returns:
        the number of jobs that did not end well.

    Raises:
        ConfigError: something is wrong with some job; none was started.
    """
    asked = sketch(hydra, overrides)
    folder, objective = asked.folder, asked.jobs[0].values["objective"]
    board = Board(0, objective["metric"])
    known: dict[Path, tuple[Any, RunRecord]] = {}
    done = {name: record for name, record in by_job(records_in(folder, known)).items() if record.status == "ok"}
    race = Race(asked.sweeper.racing, done.values()) if asked.sweeper.racing is not None else None
    source = _source(asked, board, race, done)
    note_call(folder, overrides, config_dir, command)
    pool = Pool(asked.launcher, gpus_for(asked.jobs), max(job.values["trainer"]["devices"] for job in asked.jobs))
    disk = Disk(asked, board.say)

    def records() -> list[RunRecord]:
        return records_in(folder, known)

    def changed() -> None:
        found = records()
        board.stands(_write(found, folder))
        disk.tidy(found)

    sweep = Sweep(folder, source, asked.launcher, pool, board, command, records, changed)
    try:
        if not source.exhausted:
            with board:
                sweep.run()
        disk.tidy(records(), over=source.exhausted)
    finally:
        found = records()
        if text := _write(found, folder):
            print(text)
            page = " and report.html" if _write_page(found, folder) else ""
            print(f"\nResults: {folder}/leaderboard.csv{page}, and a folder for each run beside it")
    return sweep.failures


def _source(asked: Sketch, board: Board, race: Race | None, done: Container[str]) -> Source:
    if asked.search is not None:
        from finesweep.sweeps.search import Search as Searching

        return Searching(asked.search, asked.folder, board, race)
    waiting = [job for job in asked.jobs if job.hash not in done]
    if len(waiting) < len(asked.jobs):
        board.say(f"{len(asked.jobs) - len(waiting)} of {len(asked.jobs)} jobs are done already")
    board.total = len(waiting)
    return Source(waiting, race)


def gpus_for(jobs: Sequence[Job]) -> int:
    """How many GPUs there are for jobs that use them."""
    if all(job.values["trainer"]["accelerator"] != "gpu" for job in jobs):
        return 0
    import torch

    return torch.cuda.device_count()


def _write(records: Sequence[RunRecord], folder: Path) -> str:
    """Write the leaderboard of what there is; as text for a terminal."""
    over = [record for record in records if record.status != "running"]
    return write_leaderboard(over, folder) if over else ""


def _write_page(records: Sequence[RunRecord], folder: Path) -> bool:
    """Write the page of the sweep. The sweep is done, whatever becomes of its page: what goes wrong is only said."""
    try:
        from finesweep.results.page.write import write_page  # only the end of a sweep needs it

        write_page(records, folder)
    except Exception as error:
        what = "".join(traceback.format_exception_only(error)).strip()
        message = f"the page of the sweep could not be written: {what}; `finesweep report {folder}` tries again"
        logging.getLogger("finesweep").warning(message)
        return False
    return True
