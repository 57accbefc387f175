"""The groups hydra/launcher and hydra/sweeper: how the jobs of a sweep run, and which there are."""

from typing import Any

from finesweep.config.fields import NonNegativeInt, Positive, PositiveInt, component


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
class Grid:
    """All combinations; ``conf/hydra/sweeper/grid.yaml`` says what each key does."""

    params: dict[str, Any] | None
    zip: list[list[str]]
