"""Batches without their padding: where their sub-words stand, and which rows attention takes together."""

from itertools import combinations

import torch
from hypothesis import given
from hypothesis import strategies as st

from finesweep.data.layout import layout, parts

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=9)


@given(LENGTHS, st.integers(0, 3))
def test_every_sub_word_is_kept_once_and_stands_in_a_row_of_a_group(lengths: list[int], wider: int) -> None:
    width = max(lengths) + wider
    made = layout(lengths, width)
    assert sorted(made["kept"].tolist()) == [
        row * width + i for row, length in enumerate(lengths) for i in range(length)
    ]
    grouped, there, seen = made["kept"][made["places"]], made["there"], []
    start = 0
    for rows, longest, padded in made["groups"]:
        block = slice(start, start + rows * longest)
        start = block.stop
        places, here = grouped[block].view(rows, longest), there[block].view(rows, longest)
        own = places[:, 0] // width
        counts = torch.tensor([lengths[row] for row in own.tolist()])
        assert (here == (torch.arange(longest) < counts[:, None])).all()
        assert (places == own[:, None] * width + torch.arange(longest))[here].all()
        assert counts.max() == longest
        assert padded == (not here.all())
        seen += own.tolist()
    assert sorted(seen) == list(range(len(lengths)))
    assert start == len(there)


@given(LENGTHS, st.integers(0, 3))
def test_back_leads_from_the_groups_to_the_sub_words(lengths: list[int], wider: int) -> None:
    made = layout(lengths, max(lengths) + wider)
    assert made["places"][made["back"]].tolist() == list(range(sum(lengths)))
    assert made["there"].sum() == sum(lengths)


@given(LENGTHS)
def test_the_cuts_leave_as_little_work_as_so_many_groups_can(lengths: list[int]) -> None:
    groups, rows = layout(lengths, max(lengths))["groups"], sorted(lengths)
    assert sum(count * longest**2 for count, longest, _ in groups) == min(
        sum((end - start) * rows[end - 1] ** 2 for start, end in zip((0, *cuts), (*cuts, len(rows)), strict=True))
        for cuts in combinations(range(1, len(rows)), len(groups) - 1)
    )


def test_a_group_that_saves_next_to_nothing_is_not_made() -> None:
    assert layout([100] * 31 + [99], 100)["groups"] == [(32, 100, True)]
    assert layout([10] * 16 + [20] * 16, 20)["groups"] == [(16, 10, False), (16, 20, False)]


@given(LENGTHS)
def test_parts_are_of_like_length_and_few(lengths: list[int]) -> None:
    made = [[lengths[row] for row in part.tolist()] for part in parts(lengths)]
    assert sorted(row for part in parts(lengths) for row in part.tolist()) == list(range(len(lengths)))
    assert [length for part in made for length in part] == sorted(lengths)
    assert 1 <= len(made) <= 4


def test_parts_hold_little_padding() -> None:
    lengths = [5, 6, 5, 30, 31, 29, 12, 12, 60, 61, 60, 13]
    made = [[lengths[row] for row in part] for part in parts(lengths)]
    assert made == [[5, 5, 6], [12, 12, 13], [29, 30, 31], [60, 60, 61]]
