"""The groups hydra/launcher and hydra/sweeper: how the jobs of a sweep run, and which there are."""

from typing import Annotated, Any, Literal

from pydantic import Field

from finesweep.config.fields import NonNegativeInt, Positive, PositiveInt, Probability, component

Direction = Literal["maximize", "minimize"]


@component
class Local:
    """Jobs in processes of this machine; ``conf/hydra/launcher/local.yaml`` says what each key does."""

    slots: PositiveInt | None
    devices: list[NonNegativeInt] | None
    threads: PositiveInt | None
    retries: NonNegativeInt
    fail_fast: bool
    timeout_minutes: Positive | None


@component
class Fused(Local):
    """Jobs that train as one, in a process; ``conf/hydra/launcher/fused.yaml`` says what each key does."""

    most: PositiveInt


@component
class Sweeper:
    """What all sweepers have."""

    params: dict[str, Any] | None
    racing: Probability | None


@component
class Grid(Sweeper):
    """All combinations; ``conf/hydra/sweeper/grid.yaml`` says what each key does."""

    zip: list[list[str]]


@component
class Search(Sweeper):
    """Trials that Optuna proposes; ``conf/hydra/sweeper/optuna.yaml`` says what each key does."""

    n_trials: PositiveInt
    max_minutes: Positive | None
    sampler: Literal["tpe", "random", "qmc", "cmaes", "grid"]
    sampler_seed: NonNegativeInt
    startup_trials: NonNegativeInt
    default_first: bool
    pruner: Literal["asha", "hyperband", "median"] | None
    min_validations: PositiveInt
    reduction_factor: Annotated[int, Field(ge=2)]
    objectives: dict[str, Direction] | None
    space: str | None
    storage: str | None
    study_name: str | None
