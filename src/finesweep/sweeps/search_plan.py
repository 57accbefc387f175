"""What a search is: its space, its replicates and objectives, checked at its ends before anything runs."""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import Trial

from finesweep.config.errors import ConfigError, Problem
from finesweep.config.grid import Space, values_of
from finesweep.config.instantiate import TargetError, build, function
from finesweep.results.record import RunRecord
from finesweep.sweeps.axes import Axis, axes, default_of
from finesweep.sweeps.plan import Job, Planner, composed
from finesweep.sweeps.settings import Direction, Search

#: Objectives beside the metrics of validation: what a run costs.
COSTS: dict[str, Callable[[RunRecord], float]] = {
    "train_seconds": lambda record: record.timing["train_seconds"],
    "peak_memory_bytes": lambda record: float(record.peak_memory_bytes or 0),
    "trainable_parameters": lambda record: record.parameters["trainable"],
}
Hook = Callable[[Trial, Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class SearchPlan:
    """What a search is, checked before it begins.

    Attributes:
        searched: the axes.
        replicates: the overrides of each replicate.
        objectives: metric or cost -> direction.
        defaults: the value of each axis in the configuration as it is without the search, where it lies in the space.
        probes: jobs at the default and at the ends of each axis, to tell by what the runs will be like.
        hook: see ``hydra.sweeper.space``.
        grid: the combinations that a search on a grid goes through, in the order it does; else none.
    """

    settings: Search
    planner: Planner
    fixed: list[str]
    searched: list[Axis]
    replicates: list[list[str]]
    objectives: dict[str, Direction]
    defaults: dict[Axis, Any]
    probes: list[Job]
    hook: Hook | None
    grid: list[dict[Axis, Any]]

    @classmethod
    def of(cls, found: Space, settings: Search, planner: Planner) -> "SearchPlan":
        """
        Raises:
            ConfigError: with all that is wrong with the space, its ends and the settings.
        """
        searched, others = axes(found)
        if not searched:
            message = "nothing is searched: give a key a space, optimizer.lr='tag(log,interval(1e-5,1e-3))'"
            raise ConfigError([Problem("hydra.sweeper", message)])
        replicates = [list(each) for each in itertools.product(*(values_of(other) for other in others))]
        defaults = {axis: value for axis in searched if (value := default_of(found, axis)) is not None}
        base = {axis: defaults.get(axis, axis.ends[0]) for axis in searched}
        points = [base, *({**base, axis: end} for axis in searched for end in axis.ends if end != base[axis])]
        fixed = found.fixed_texts
        probes = composed(planner, [[*fixed, *overrides_of(point), *replicates[0]] for point in points])
        values = probes[0].values
        own = {values["objective"]["metric"]: values["objective"]["direction"]}
        objectives: dict[str, Direction] = settings.objectives or own
        if problems := list(_problems(settings, searched, objectives, values)):
            raise ConfigError(problems)
        hook = None
        if settings.space is not None:
            try:
                hook = function(settings.space, values["extension_packages"])
            except TargetError as error:
                raise ConfigError([Problem("hydra.sweeper.space", str(error))]) from error
        grid = _grid(searched, settings, defaults) if settings.sampler == "grid" else []
        return cls(settings, planner, fixed, searched, replicates, objectives, defaults, probes, hook, grid)

    @property
    def n_trials(self) -> int:
        return min(self.settings.n_trials, len(self.grid)) if self.grid else self.settings.n_trials

    @property
    def jobs(self) -> int:
        """How many there are at most."""
        return self.n_trials * len(self.replicates)


def overrides_of(point: Mapping[Axis, Any]) -> list[str]:
    """A point as overrides."""
    return [axis.override(value) for axis, value in point.items()]


def score_of(record: RunRecord, objective: str) -> float:
    """What a run that ended well has of an objective."""
    return COSTS[objective](record) if objective in COSTS else record.metrics["validation"][objective]


def _grid(searched: Sequence[Axis], settings: Search, defaults: Mapping[Axis, Any]) -> list[dict[Axis, Any]]:
    """All combinations in an order of their own, so that the first few of them tell something of the whole."""
    every = [axis.values or [] for axis in searched]
    points = [dict(zip(searched, point, strict=True)) for point in itertools.product(*every)]
    random.Random(settings.sampler_seed).shuffle(points)
    first = [point for point in points if point == defaults] if settings.default_first else []
    return [*first, *(point for point in points if point not in first)]


def _problems(
    settings: Search, searched: Sequence[Axis], objectives: Mapping[str, Direction], values: Mapping[str, Any]
) -> Iterator[Problem]:
    where = "hydra.sweeper"
    known = [*build(values["task"], values["extension_packages"]).metric_names, *COSTS]
    for name in objectives:
        if name not in known:
            yield Problem(f"{where}.objectives", f"there is no '{name}', only {', '.join(known)}")
    own = {values["objective"]["metric"]: values["objective"]["direction"]}
    if objectives != own:
        for key in ("pruner", "racing"):
            if getattr(settings, key) is not None:
                message = "goes by the objective of the run alone: leave it out, or set objective=… for the objectives"
                yield Problem(f"{where}.{key}", message)
    if len(objectives) > 1 and settings.sampler == "cmaes":
        yield Problem(f"{where}.sampler", "cmaes takes one objective: tpe takes several")
    if settings.sampler == "grid":
        for axis in searched:
            if axis.values is None:
                yield Problem(axis.key, "has no end of values: sampler=grid needs a choice or a range")
