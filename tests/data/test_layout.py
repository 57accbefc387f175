"""Batches without their padding: which positions are kept, and in what groups."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from finesweep.data.layout import layout

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=9)


@given(LENGTHS, st.integers(1, 9), st.integers(0, 3))
def test_every_sub_word_is_kept_once_and_rows_stand_in_one_piece(lengths: list[int], most: int, wider: int) -> None:
    width = max(lengths) + wider
    kept, groups = layout(lengths, width, most)
    assert len(set(kept.tolist())) == len(kept) == sum(rows * longest for rows, longest, _ in groups)
    assert 1 <= len(groups) <= most
    seen, start = [], 0
    for rows, longest, padded in groups:
        block = kept[start : start + rows * longest].reshape(rows, longest)
        start += rows * longest
        own = block[:, 0] // width
        assert (block == own[:, None] * width + np.arange(longest)).all()
        here = [lengths[row] for row in own]
        assert max(here) == longest
        assert padded == (min(here) < longest)
        seen += own.tolist()
    assert sorted(seen) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 4))
def test_the_cuts_leave_as_little_as_so_many_groups_can(lengths: list[int], most: int) -> None:
    kept, groups = layout(lengths, max(lengths), most)
    rows = sorted(lengths)
    best = min(
        sum((end - start) * rows[end - 1] for start, end in zip((0, *cuts), (*cuts, len(rows)), strict=True))
        for cuts in combinations(range(1, len(rows)), len(groups) - 1)
    )
    assert len(kept) == best


def test_a_group_that_saves_next_to_nothing_is_not_made() -> None:
    assert layout([100] * 31 + [99], 100, 4)[1] == [(32, 100, True)]
    assert layout([10] * 16 + [20] * 16, 20, 4)[1] == [(16, 10, False), (16, 20, False)]
