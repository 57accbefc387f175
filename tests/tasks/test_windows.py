"""Windows: every word is answered for once, and no window is longer than a model takes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finesweep.tasks.windows import Window, windows

PIECES = st.lists(st.integers(0, 12), max_size=60)
CAPACITY = st.integers(2, 30)
OVERLAP = st.integers(0, 20)


@given(PIECES, CAPACITY, OVERLAP)
def test_every_word_is_owned_exactly_once_in_order(pieces: list[int], capacity: int, overlap: int) -> None:
    cut = windows(pieces, capacity, min(overlap, capacity // 2))
    assert [word for w in cut for word in range(w.own_start, w.own_end)] == list(range(len(pieces)))


@given(PIECES, CAPACITY, OVERLAP)
def test_a_window_holds_what_it_owns_and_fits(pieces: list[int], capacity: int, overlap: int) -> None:
    for window in windows(pieces, capacity, min(overlap, capacity // 2)):
        assert window.start <= window.own_start <= window.own_end <= window.end
        # Only a single word may be longer than a window.
        assert sum(pieces[window.start : window.end]) <= capacity or window.end == window.start + 1


@given(PIECES, CAPACITY, OVERLAP)
def test_every_window_goes_further_and_answers_for_something(pieces: list[int], capacity: int, overlap: int) -> None:
    cut = windows(pieces, capacity, min(overlap, capacity // 2))
    for before, after in pairwise(cut):
        assert before.start < after.start <= before.end < after.end
    assert all(window.own_start < window.own_end for window in cut if pieces)


@given(PIECES, CAPACITY, OVERLAP)
def test_neighbours_share_at_most_the_overlap(pieces: list[int], capacity: int, overlap: int) -> None:
    overlap = min(overlap, capacity // 2)
    for before, after in pairwise(windows(pieces, capacity, overlap)):
        assert sum(pieces[after.start : before.end]) <= overlap


@given(st.lists(st.integers(0, 3), max_size=20), st.integers(0, 10))
def test_what_fits_is_one_window(pieces: list[int], room: int) -> None:
    assert windows(pieces, sum(pieces) + room, 5) == [Window(0, len(pieces), 0, len(pieces))]


@given(st.integers(11, 80), st.integers(6, 10), st.integers(2, 3))
def test_a_word_at_an_edge_has_context_on_both_sides(count: int, capacity: int, overlap: int) -> None:
    """With words of one sub-word each, the nearest edge of the window that answers is half the overlap away."""
    for window in windows([1] * count, capacity, overlap):
        if window.start > 0:
            assert window.own_start - window.start >= overlap // 2
        if window.end < count:
            assert window.end - window.own_end >= overlap // 2


@pytest.mark.parametrize(
    ("pieces", "capacity", "overlap", "expected"),
    [
        ([], 4, 2, [(0, 0, 0, 0)]),
        ([1, 1, 1, 1, 1, 1], 4, 2, [(0, 4, 0, 3), (2, 6, 3, 6)]),
        ([1, 1, 1, 1, 1], 4, 0, [(0, 4, 0, 4), (4, 5, 4, 5)]),
        ([9, 1], 4, 2, [(0, 1, 0, 1), (1, 2, 1, 2)]),
        ([1, 9, 1], 4, 2, [(0, 1, 0, 1), (1, 2, 1, 2), (2, 3, 2, 3)]),
        ([1, 1, 1, 1, 4, 1], 4, 2, [(0, 4, 0, 4), (4, 5, 4, 5), (5, 6, 5, 6)]),
        ([3, 0, 0, 3], 4, 2, [(0, 3, 0, 2), (1, 4, 2, 4)]),
    ],
)
def test_small_cases(pieces: list[int], capacity: int, overlap: int, expected: list[tuple[int, ...]]) -> None:
    assert windows(pieces, capacity, overlap) == [Window(*window) for window in expected]
