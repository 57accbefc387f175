"""Batches that are gathered on a device are those that the task makes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from finesweep.config.paths import conf_dir
from finesweep.data.resident import resident
from finesweep.training.assemble import prepare
from finesweep.training.components import Components

#: Of which a row has several texts, or a batch something that is of no row.
OTHERS = {"demo_choices", "demo_dialogues", "demo_masked_text"}
DEMOS = sorted(path.stem for path in (conf_dir() / "data").glob("demo*.yaml"))
CPU = torch.device("cpu")


def test_all_demos_are_here() -> None:
    assert len(DEMOS) == 15


@pytest.mark.parametrize("data", DEMOS)
@pytest.mark.parametrize("split", ["train", "validation"])
def test_batches_are_those_of_the_task(composed: Callable[..., dict[str, Any]], data: str, split: str) -> None:
    rows = "data.sentences={train: 40, validation: 30, test: 12}"
    own = prepare(Components.of(composed(f"data={data}", rows)))
    features = own.features[split]
    made = resident(features, own.collate, CPU, limit=1e9)
    if data in OTHERS:
        assert made is None
        return
    assert made is not None
    rng = np.random.default_rng(0)
    for size in (1, 2, 7, len(features)):
        chosen = rng.integers(len(features), size=size)
        expected, found = own.collate([features[i] for i in chosen]), made(chosen)
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            assert found[name].dtype == value.dtype
            assert torch.equal(found[name], value)


def collate(features: Sequence[list[int]]) -> dict[str, Any]:
    width = max(map(len, features))
    return {"input_ids": torch.tensor([[*each, *[7] * (width - len(each))] for each in features])}


def mirrored(features: Sequence[list[int]]) -> dict[str, Any]:
    return {"input_ids": collate([each[::-1] for each in features])["input_ids"].flip(1)}


def rounded(features: Sequence[list[int]]) -> dict[str, Any]:
    width = -max(map(len, features)) % 4
    return {"input_ids": torch.nn.functional.pad(collate(features)["input_ids"], (0, width))}


def counted(features: Sequence[list[int]]) -> dict[str, Any]:
    return {**collate(features), "rows": len(features)}


@pytest.mark.parametrize("other", [mirrored, rounded, counted])
def test_what_does_more_than_fill_rows_up_stays_as_it_is(other: Callable[..., dict[str, Any]]) -> None:
    features = [[1, 2, 3], [4], [5, 6], [1, 2, 3, 4, 5, 6]]
    assert resident(features, collate, CPU, limit=1e9) is not None
    assert resident(features, other, CPU, limit=1e9) is None


def test_what_is_too_large_stays_where_it_is() -> None:
    features = [[1, 2, 3], [4], [5, 6]]
    assert resident(features, collate, CPU, limit=8 * 6) is not None
    assert resident(features, collate, CPU, limit=8 * 6 - 1) is None
