"""The batch plan: a pure function under which every row is seen once and the shape of an epoch is the same for all."""

import math
from collections import Counter
from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finesweep.data.batch_plan import evaluation_plan, steps_per_epoch, training_plan

LENGTHS = st.lists(st.integers(1, 40), max_size=120)
SIZE = st.integers(1, 9)
PARTS = st.integers(1, 3)
MIX = st.integers(1, 8)
EPOCH = st.integers(0, 5)
SEED = st.integers(0, 2**32)

Plan = list[list[list[int]]]


def rows_of(plan: Plan) -> list[int]:
    return list(chain.from_iterable(chain.from_iterable(plan)))


def padded_lengths(plan: Plan, lengths: list[int]) -> list[list[tuple[int, int]]]:
    """Rows and positions of every batch, step by step: what a model's time and memory depend on."""
    return [[(len(batch), max((lengths[i] for i in batch), default=0)) for batch in step] for step in plan]


@given(LENGTHS, SIZE, EPOCH, SEED, MIX, PARTS)
def test_every_row_comes_exactly_once_in_an_epoch(
    lengths: list[int], size: int, epoch: int, seed: int, mix: int, accumulate: int
) -> None:
    plan = training_plan(lengths, size, epoch=epoch, seed=seed, mix=mix, accumulate=accumulate)
    assert sorted(rows_of(plan)) == list(range(len(lengths)))


@given(LENGTHS, SIZE, EPOCH, SEED, MIX, PARTS)
def test_steps_are_as_large_as_each_other(
    lengths: list[int], size: int, epoch: int, seed: int, mix: int, accumulate: int
) -> None:
    plan = training_plan(lengths, size, epoch=epoch, seed=seed, mix=mix, accumulate=accumulate)
    steps = math.ceil(len(lengths) / (size * accumulate))
    assert len(plan) == steps == steps_per_epoch(lengths, size, accumulate=accumulate)
    for step in plan:
        assert len(step) == accumulate
        counts = [len(batch) for batch in step]
        assert max(counts) - min(counts) <= 1
        assert max(counts) <= size
        assert len(lengths) // steps <= sum(counts) <= math.ceil(len(lengths) / steps)


def test_a_row_that_is_left_over_makes_no_step_of_its_own() -> None:
    plan = training_plan(list(range(1, 34)), 32, epoch=0, seed=0, mix=8)
    assert sorted(len(batch) for (batch,) in plan) == [16, 17]


@given(LENGTHS, SIZE, EPOCH, SEED, SEED, MIX, PARTS)
def test_runs_of_different_seeds_keep_in_step(
    lengths: list[int], size: int, epoch: int, seed: int, other: int, mix: int, accumulate: int
) -> None:
    """The longest rows of the same step are those of one bucket, whose lengths spread by a twentieth and one."""
    plans = [training_plan(lengths, size, epoch=epoch, seed=s, mix=mix, accumulate=accumulate) for s in (seed, other)]
    for steps in zip(*plans, strict=True):
        low, high = sorted(max(lengths[i] for batch in step for i in batch) for step in steps)
        assert high <= 1.05 * low + 1


@given(LENGTHS, st.integers(1, 200), EPOCH, SEED, SEED, PARTS, PARTS)
def test_a_token_budget_holds_in_every_batch(
    lengths: list[int], budget: int, epoch: int, seed: int, other: int, accumulate: int, world: int
) -> None:
    """Each row comes once, no padded batch is larger than the budget unless a row is, and seeds keep in step."""

    def plans(seed: int) -> list[Plan]:
        shared = {"epoch": epoch, "seed": seed, "max_tokens": budget, "accumulate": accumulate, "world_size": world}
        return [training_plan(lengths, 1, rank=rank, **shared) for rank in range(world)]

    ranks = plans(seed)
    assert sorted(chain(*map(rows_of, ranks))) == list(range(len(lengths)))
    batches = [batch for plan in ranks for step in plan for batch in step if batch]
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget for batch in batches)
    steps = steps_per_epoch(lengths, 1, max_tokens=budget, accumulate=accumulate, world_size=world)
    assert {len(plan) for plan in ranks} == {steps}
    for mine, others in zip(ranks, plans(other), strict=True):
        assert [[len(batch) for batch in step] for step in mine] == [[len(b) for b in step] for step in others]


def test_a_token_budget_takes_many_short_rows_and_few_long_ones() -> None:
    lengths = [10] * 400 + [100] * 40
    sizes = [len(step[0]) for step in training_plan(lengths, 1, epoch=0, seed=0, max_tokens=1000)]
    assert sorted(sizes) == [10] * 4 + [100] * 4
    assert sizes not in (sorted(sizes), sorted(sizes, reverse=True))


def test_rows_of_all_different_lengths_meet_others_under_another_seed() -> None:
    lengths = list(range(200, 300))
    first, second = ({frozenset(step[0]) for step in training_plan(lengths, 5, epoch=0, seed=s)} for s in (0, 1))
    assert len(first & second) < 5


def test_the_seed_decides_which_rows_fill_them_and_the_epoch_draws_anew() -> None:
    lengths = [5 + i % 7 for i in range(200)]
    plans = {(seed, epoch): training_plan(lengths, 8, epoch=epoch, seed=seed) for seed in (0, 1) for epoch in (0, 1)}
    batches = [{frozenset(step[0]) for step in plan} for plan in plans.values()]
    for i, one in enumerate(batches):
        for other in batches[i + 1 :]:
            assert len(one & other) < 5
    assert padded_lengths(plans[0, 0], lengths) != padded_lengths(plans[0, 1], lengths)


def test_the_order_of_the_rows_in_the_data_set_is_not_kept() -> None:
    plan = training_plan([9] * 300, 10, epoch=0, seed=0)
    assert all(step[0] != sorted(step[0]) for step in plan)
    assert max(len({row // 10 for row in step[0]}) for step in plan) > 6


@given(LENGTHS, SIZE, EPOCH, SEED, MIX, PARTS)
def test_accumulating_sees_the_same_rows_as_the_large_batch(
    lengths: list[int], size: int, epoch: int, seed: int, mix: int, accumulate: int
) -> None:
    small = training_plan(lengths, size, epoch=epoch, seed=seed, mix=mix, accumulate=accumulate)
    large = training_plan(lengths, size * accumulate, epoch=epoch, seed=seed, mix=mix)
    assert [set(chain(*step)) for step in small] == [set(step[0]) for step in large]


@given(LENGTHS, SIZE, EPOCH, SEED, MIX, PARTS, st.integers(2, 4))
def test_devices_share_a_step_of_the_large_batch(
    lengths: list[int], size: int, epoch: int, seed: int, mix: int, accumulate: int, world: int
) -> None:
    shared = {"epoch": epoch, "seed": seed, "mix": mix}
    ranks = [
        training_plan(lengths, size, accumulate=accumulate, rank=rank, world_size=world, **shared)
        for rank in range(world)
    ]
    alone = training_plan(lengths, size * accumulate * world, **shared)
    assert sorted(chain(*(rows_of(plan) for plan in ranks))) == list(range(len(lengths)))
    for steps in zip(*ranks, alone, strict=True):
        *parts, whole = steps
        assert set(chain(*(chain(*part) for part in parts))) == set(whole[0])
        # As many batches on every device, so that none waits for another; rows differ by one at most.
        assert len({len(part) for part in parts}) == 1
        counts = [sum(map(len, part)) for part in parts]
        assert max(counts) - min(counts) <= 1


@given(LENGTHS, SIZE, EPOCH, SEED, st.data())
def test_resuming_is_skipping_what_is_done(lengths: list[int], size: int, epoch: int, seed: int, data: object) -> None:
    """No state: the plan made again is the same plan, so what was done and what is left are all rows, once each."""
    plan = training_plan(lengths, size, epoch=epoch, seed=seed)
    done = data.draw(st.integers(0, len(plan)))  # type: ignore[attr-defined]
    again = training_plan(list(lengths), size, epoch=epoch, seed=seed)
    assert again == plan
    assert sorted(rows_of(plan[:done]) + rows_of(again[done:])) == list(range(len(lengths)))


def padding(lengths: list[int], batches: list[list[int]]) -> float:
    """The share of positions in padded batches that holds no sub-word."""
    return 1 - sum(lengths) / sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)


def test_batches_of_like_length_hold_little_padding() -> None:
    lengths = [1 + (i * 7919) % 97 for i in range(2000)]
    planned = [batch for step in training_plan(lengths, 16, epoch=0, seed=0) for batch in step]
    as_they_come = [list(range(i, min(i + 16, 2000))) for i in range(0, 2000, 16)]
    assert padding(lengths, planned) < 0.05 < 0.4 < padding(lengths, as_they_come)


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_every_batch_of_a_mixed_step_has_rows_of_all_lengths(accumulate: int) -> None:
    lengths = [10 * 2**part for part in range(4) for _ in range(160)]
    plan = training_plan(lengths, 32 // accumulate, epoch=0, seed=0, mix=4, accumulate=accumulate)
    for batch in chain(*plan):
        assert Counter(lengths[row] for row in batch) == dict.fromkeys([10, 20, 40, 80], 8 // accumulate)


@pytest.mark.parametrize("size", [31, 32, 37, 5])
def test_a_step_has_as_many_lengths_as_it_has_rows_for(size: int) -> None:
    """Also one that 8 does not divide: some of its chunks have a row more."""
    lengths = list(range(1, 2001))
    for step in training_plan(lengths, size, epoch=0, seed=0, mix=8):
        own = sorted(lengths[row] for row in step[0])
        assert own[-1] - own[0] > 1000
        assert max(b - a for a, b in pairwise(own)) < 900


@pytest.mark.parametrize(("world", "size"), [(8, 4), (8, 1), (4, 2), (2, 4)])
def test_no_device_always_gets_the_long_rows(world: int, size: int) -> None:
    lengths = list(range(1, 641))
    shared = {"epoch": 0, "seed": 0, "mix": 8, "world_size": world}
    plans = [training_plan(lengths, size, rank=rank, **shared) for rank in range(world)]
    means = [sum(lengths[row] for row in rows_of(plan)) / len(rows_of(plan)) for plan in plans]
    assert max(means) < 1.15 * min(means)


def test_rows_of_nearly_one_length_are_mixed() -> None:
    """Of each length there are as many as fill a batch; sorted, every batch would be of one length."""
    lengths = [100 + i % 40 for i in range(400)]
    batches = [step[0] for step in training_plan(lengths, 10, epoch=0, seed=0)]
    several = [len({lengths[row] for row in batch}) > 2 for batch in batches]
    assert sum(several) > 0.9 * len(batches)


def test_long_batches_do_not_all_come_at_one_end() -> None:
    lengths = list(range(1, 401))
    plan = training_plan(lengths, 4, epoch=0, seed=0)
    longest = [max(lengths[i] for i in step[0]) for step in plan]
    assert max(longest[:20]) > 300
    assert min(longest[:20]) < 100


@given(LENGTHS, SIZE, PARTS)
def test_scoring_sees_each_row_once_and_the_longest_first(lengths: list[int], size: int, world: int) -> None:
    ranks = [evaluation_plan(lengths, size, rank=rank, world_size=world) for rank in range(world)]
    assert sorted(chain(*chain(*ranks))) == list(range(len(lengths)))
    alone = [lengths[i] for batch in evaluation_plan(lengths, size) for i in batch]
    assert alone == sorted(lengths, reverse=True)
    assert all(0 < len(batch) <= size for batch in chain(*ranks))
