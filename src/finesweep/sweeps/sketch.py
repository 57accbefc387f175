"""What a sweep is before it begins: its jobs, composed and checked, its folder, and the processes it may have."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydra._internal.hydra import Hydra

from finesweep.config.check import checked_component
from finesweep.config.grid import Space, combinations, space
from finesweep.sweeps.plan import Job, Planner, by_replicate, planned, sweep_folder, with_replicates
from finesweep.sweeps.pool import Pool
from finesweep.sweeps.settings import Grid, Local, Search, Sweeper

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

    def pool(self) -> Pool:
        """The processes that its jobs run in; nothing is started yet."""
        devices = max(job.values["trainer"]["devices"] for job in self.jobs)
        return Pool(self.launcher, _gpus_for(self.jobs), devices)


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


def _gpus_for(jobs: Sequence[Job]) -> int:
    """How many GPUs there are for jobs that use them."""
    if all(job.values["trainer"]["accelerator"] != "gpu" for job in jobs):
        return 0
    import torch

    return torch.cuda.device_count()
