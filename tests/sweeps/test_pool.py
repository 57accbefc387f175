"""Which devices the slots of a pool get."""

from typing import Any

import pytest

from finesweep.config.errors import ConfigError
from finesweep.sweeps.pool import Pool
from finesweep.sweeps.settings import Local


def local(**given: Any) -> Local:
    values: dict[str, Any] = {
        "slots": None, "devices": None, "threads": None, "retries": 0, "fail_fast": False, "timeout_minutes": None,
    }  # fmt: skip
    return Local(**{**values, **given})


@pytest.mark.parametrize(
    ("given", "each", "expected"),
    [({}, 1, ["4", "7"]), ({"devices": [1]}, 1, ["7"]), ({}, 2, ["4,7"]), ({"devices": [0, 0, 1]}, 1, ["4", "4", "7"])],
)
def test_slots_take_the_devices_that_are_visible_here(
    given: dict[str, Any], each: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    pool = Pool(local(**given), 2, each)
    assert [pool.visible(slot) for slot in range(pool.slots)] == expected


@pytest.mark.parametrize(("devices", "each"), [([2], 1), ([], 1), ([0], 2)])
def test_devices_that_are_not_there_are_refused(devices: list[int], each: int) -> None:
    with pytest.raises(ConfigError, match=r"hydra\.launcher\.devices: there are the GPUs 0 to 1"):
        Pool(local(devices=devices), 2, each)


def test_without_gpus_nothing_is_hidden() -> None:
    assert Pool(local(slots=2), 0).visible(1) is None
