"""Batches without their padding: where their sub-words stand, and which rows attention takes together."""

from itertools import chain, combinations

from hypothesis import given
from hypothesis import strategies as st

from finesweep.data.layout import Layout, layout, parts

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=9)


def rows_of(lengths: list[int], width: int, made: Layout) -> list[list[int]]:
    """The places of each row, and those of the padding that stays."""
    rows = [[row * width + i for i in range(length)] for row, length in enumerate(lengths)]
    spare = sorted(set(made["kept"].tolist()).difference(*rows))
    return [*rows, spare] if spare else rows


@given(LENGTHS, st.integers(0, 3))
def test_every_sub_word_is_kept_once_and_stands_in_a_row_of_a_group(lengths: list[int], wider: int) -> None:
    width = max(lengths) + wider
    made = layout(lengths, width)
    rows = rows_of(lengths, width, made)
    assert sorted(made["kept"].tolist()) == sorted(chain(*rows))
    grouped, there, seen = made["kept"][made["places"]], made["there"], []
    start = 0
    for count, longest, padded in made["groups"]:
        block = slice(start, start + count * longest)
        start = block.stop
        places, here = grouped[block].view(count, longest), there[block].view(count, longest)
        own = [row[mask].tolist() for row, mask in zip(places, here, strict=True)]
        assert here.tolist() == [[i < len(row) for i in range(longest)] for row in own]
        assert max(map(len, own)) == longest
        assert padded == (not here.all())
        seen += own
    assert sorted(seen) == sorted(rows)
    assert start == len(there)


@given(LENGTHS, st.integers(0, 3))
def test_back_leads_from_the_groups_to_the_sub_words(lengths: list[int], wider: int) -> None:
    made = layout(lengths, max(lengths) + wider)
    assert made["places"][made["back"]].tolist() == list(range(len(made["kept"])))
    assert made["there"].sum() == len(made["kept"])


@given(LENGTHS, st.integers(0, 3))
def test_positions_are_a_round_number_where_there_is_padding_for_it(lengths: list[int], wider: int) -> None:
    width = max(lengths) + wider
    missing, padding = -sum(lengths) % 16, len(lengths) * width - sum(lengths)
    assert len(layout(lengths, width)["kept"]) == sum(lengths) + min(missing, padding)


@given(LENGTHS)
def test_the_cuts_leave_as_little_work_as_so_many_groups_can(lengths: list[int]) -> None:
    made = layout(lengths, max(lengths))
    groups, rows = made["groups"], sorted(map(len, rows_of(lengths, max(lengths), made)))
    assert sum(count * longest**2 for count, longest, _ in groups) == min(
        sum((end - start) * rows[end - 1] ** 2 for start, end in zip((0, *cuts), (*cuts, len(rows)), strict=True))
        for cuts in combinations(range(1, len(rows)), len(groups) - 1)
    )


def test_a_group_that_saves_next_to_nothing_is_not_made() -> None:
    assert layout([100] * 31 + [99], 100)["groups"] == [(33, 100, True)]  # and one position to spare
    assert layout([10] * 16 + [20] * 16, 20)["groups"] == [(16, 10, False), (16, 20, False)]


@given(LENGTHS)
def test_parts_are_of_like_length_and_few(lengths: list[int]) -> None:
    made = [[lengths[row] for row in part.tolist()] for part in parts(lengths)]
    assert sorted(row for part in parts(lengths) for row in part.tolist()) == list(range(len(lengths)))
    assert [length for part in made for length in part] == sorted(lengths)
    assert 1 <= len(made) <= 3


def test_parts_hold_little_padding() -> None:
    lengths = [5, 6, 5, 30, 31, 29, 12, 12, 60, 61, 60, 13]
    made = [[lengths[row] for row in part] for part in parts(lengths)]
    assert made == [[5, 5, 6, 12, 12, 13], [29, 30, 31], [60, 60, 61]]
