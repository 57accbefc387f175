"""The DataModule: planned batches as tensors, and the factor that makes their losses one mean over the step."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finesweep.config.errors import UserError
from finesweep.data.batch_plan import steps_per_epoch
from finesweep.data.module import DataModule


@dataclass(frozen=True)
class Text:
    """A feature of a made-up task: so many sub-words, of which so many are scored."""

    length: int
    scored: int

    def __len__(self) -> int:
        return self.length


def collate(texts: Sequence[Text]) -> dict[str, torch.Tensor]:
    return {"input_ids": torch.zeros(len(texts), max(map(len, texts)), dtype=torch.long)}


def module(texts: Sequence[Text], *, rank: int = 0, world: int = 1, epoch: int = 0, **sizes: Any) -> DataModule:
    splits = {split: list(texts) for split in ("train", "validation", "test")}
    sizes = {
        "batch_size": 4, "eval_batch_size": 4, "max_batch_tokens": None, "mix": 1, "cut": "parts", "accumulate": 1,
        "seed": 0, **sizes,
    }  # fmt: skip
    made = DataModule(splits, splits, collate, lambda text: text.scored, **sizes)
    made.trainer = SimpleNamespace(global_rank=rank, world_size=world, current_epoch=epoch)  # type: ignore[assignment]
    return made


TEXTS = st.lists(st.builds(Text, st.integers(2, 30), st.integers(0, 9)), min_size=1, max_size=40)


def batches(made: DataModule) -> list[dict[str, Any]]:
    return list(made.train_dataloader())


def rows_of(batch: dict[str, Any]) -> list[int]:
    return [row for part in batch["parts"] for row in part["index"].tolist()]


@given(TEXTS, st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 3))
def test_the_gradient_of_a_step_is_the_mean_over_its_scored_tokens(
    texts: list[Text], size: int, accumulate: int, world: int, seed: int
) -> None:
    """Lightning divides by the accumulated batches and averages over the devices; what comes out must be a mean.

    Each row gets a loss of its own, so that any wrong weight shows.
    """
    losses = [text.scored * (1.0 + i) for i, text in enumerate(texts)]
    per_rank = [
        batches(module(texts, rank=rank, world=world, batch_size=size, accumulate=accumulate, seed=seed))
        for rank in range(world)
    ]
    count = {len(planned) for planned in per_rank}
    assert len(count) == 1  # or one device would wait for another for ever
    seen: list[int] = []
    for start in range(0, count.pop(), accumulate):
        step = [batch for planned in per_rank for batch in planned[start : start + accumulate]]
        rows = [i for batch in step for i in rows_of(batch) if batch["scale"] > 0]
        assert sum(batch["rows"] for batch in step) == len(rows)
        assert sum(batch["tokens"] for batch in step) == sum(len(texts[i]) for i in rows)
        lightnings = sum(batch["scale"] * sum(losses[i] for i in rows_of(batch)) for batch in step)
        weight = sum(texts[i].scored for i in rows)
        mean = sum(losses[i] for i in rows) / max(weight, 1)
        assert lightnings / accumulate / world == pytest.approx(mean)
        seen += rows
    assert sorted(seen) == list(range(len(texts)))


@given(TEXTS, st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
def test_the_steps_of_an_epoch_are_known_before(texts: list[Text], size: int, accumulate: int, world: int) -> None:
    made = module(texts, world=world, batch_size=size, accumulate=accumulate)
    steps = steps_per_epoch(made.lengths["train"], size, accumulate=accumulate, world_size=world)
    assert steps == -(-len(batches(made)) // accumulate)


def test_each_epoch_and_each_seed_has_its_own_order() -> None:
    texts = [Text(5, 1)] * 64

    def order(**which: int) -> list[list[int]]:
        return [rows_of(batch) for batch in batches(module(texts, **which))]

    drawn = [order(), order(epoch=1), order(seed=1), order(seed=1, epoch=1)]
    assert order() == drawn[0]
    assert len({str(o) for o in drawn}) == 4


def test_a_batch_holds_what_the_task_made_of_it_and_what_the_loop_needs() -> None:
    texts = [Text(3, 2), Text(9, 1), Text(5, 0)]
    (batch,) = batches(module(texts))
    assert sorted(rows_of(batch)) == [0, 1, 2]
    assert [part["input_ids"].shape for part in batch["parts"]] == [(2, 5), (1, 9)]
    assert (batch["rows"], batch["tokens"], batch["positions"]) == (3, 17, 19)
    assert batch["scale"] == pytest.approx(1 / 3)


def test_a_batch_that_is_to_be_unpadded_is_in_one_piece() -> None:
    (batch,) = batches(module([Text(3, 2), Text(5, 1), Text(4, 0)], cut="unpadded"))
    (part,) = batch["parts"]
    assert part["input_ids"].shape == (3, 5)
    assert len(part["layout"]["kept"]) == batch["positions"] == 15  # of 16, all that there are


def test_scoring_takes_a_batch_in_one_piece() -> None:
    (batch,) = module([Text(3, 2), Text(5, 1), Text(4, 0)]).val_dataloader()
    (part,) = batch["parts"]
    assert part["input_ids"].shape == (3, 5)
    assert batch["positions"] == 15


def test_a_step_without_a_scored_token_has_a_finite_scale() -> None:
    (batch,) = batches(module([Text(3, 0), Text(3, 0)]))
    assert batch["scale"] == 1.0


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("world", [1, 3])
def test_scoring_takes_each_row_once_whatever_the_training_batch(split: str, world: int) -> None:
    texts = [Text(2 + i % 5, 1) for i in range(23)]
    seen = []
    for rank in range(world):
        made = module(texts, rank=rank, world=world, batch_size=2, eval_batch_size=7, accumulate=3)
        loader = made.val_dataloader() if split == "validation" else made.test_dataloader()
        for batch in loader:
            assert len(rows_of(batch)) <= 7
            assert batch["scale"] == 1.0
            seen += rows_of(batch)
    assert sorted(seen) == list(range(23))


@given(TEXTS, st.integers(1, 9), st.integers(1, 4))
def test_every_device_has_something_to_score(texts: list[Text], size: int, world: int) -> None:
    """One without a batch would not come to where the others wait for its predictions."""
    loaders = [module(texts, rank=rank, world=world, eval_batch_size=size).val_dataloader for rank in range(world)]
    if len(texts) < world:
        with pytest.raises(UserError, match="too few for"):
            loaders[0]()
        return
    per_rank = [[rows_of(batch) for batch in loader()] for loader in loaders]
    assert all(per_rank)
    assert all(len(batch) <= size for planned in per_rank for batch in planned)
    assert sorted(chain(*chain(*per_rank))) == list(range(len(texts)))


def test_worker_processes_give_the_same_batches() -> None:
    texts = [Text(2 + i % 9, 1) for i in range(20)]
    alone, helped = (batches(module(texts, num_workers=workers)) for workers in (0, 1))
    assert [rows_of(batch) for batch in helped] == [rows_of(batch) for batch in alone]
    inputs = [[part["input_ids"].tolist() for batch in made for part in batch["parts"]] for made in (alone, helped)]
    assert inputs[0] == inputs[1]
