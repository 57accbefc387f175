"""The top of a configuration: which keys there are beside the groups, and what each may hold.

The groups (model, data, task, …) name their own dataclass in ``_target_``; see :mod:`finesweep.config.instantiate`.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from finesweep.config.fields import NonNegative, NonNegativeInt, PositiveInt, component

#: The groups of which exactly one component each is built.
GROUPS = ("data", "task", "model", "finetune_strategy", "optimizer", "scheduler", "trainer", "logger")


def _kept(value: Any) -> int | str:
    if value in ("best", "all", "none") or (type(value) is int and value >= 0):
        return value
    raise PydanticCustomError("keep", "should be best, all, none or a number from 0 on")


@component
class Objective:
    """The one score that early stopping, the best checkpoint, the search and the leaderboard go by."""

    metric: str
    direction: Literal["maximize", "minimize"]


@component
class RunConfig:
    """A whole configuration. Groups are plain mappings here; each is checked against its own dataclass."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[^/\\\x00]+$")]
    seed: NonNegativeInt
    replicates: PositiveInt
    objective: Objective
    keep: Annotated[int | str, BeforeValidator(_kept)]
    cache_dir: str
    cache_gb: NonNegative
    extension_packages: list[str]
    data: dict[str, Any]
    task: dict[str, Any]
    model: dict[str, Any]
    finetune_strategy: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    trainer: dict[str, Any]
    logger: dict[str, Any]
