"""Long sentences as overlapping windows at word boundaries, each word scored in exactly one of them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Words ``start`` to ``end`` stand in the window; it answers for words ``own_start`` to ``own_end``."""

    start: int
    end: int
    own_start: int
    own_end: int


def windows(pieces: Sequence[int], capacity: int, overlap: int) -> list[Window]:
    """Cut a row into windows.

    Args:
        pieces: the number of sub-words of each word; zero for a word that the tokenizer knows nothing of.
        capacity: sub-words that fit into a window.
        overlap: sub-words that two neighbouring windows should share, so that a word at the edge has context on both
            sides in one of them.

    Returns:
        windows in order; every word is owned by exactly one. A word longer than a window has a window of its own
        and is cut to fit.
    """
    if sum(pieces) <= capacity:
        return [Window(0, len(pieces), 0, len(pieces))]
    spans: list[tuple[int, int]] = []
    start = 0
    while start < len(pieces):
        end, used = start, 0
        while end < len(pieces) and (used + pieces[end] <= capacity or end == start):
            used += pieces[end]
            end += 1
        spans.append((start, end))
        if end == len(pieces):
            break
        # The next word must fit beside what is shared, else the next window would end where this one does.
        start = _back(pieces, start, end, min(overlap, capacity - pieces[end]))
    # Neighbours share the words between them; the middle of those is where the one hands over to the other.
    handovers = [(spans[i][1] + spans[i + 1][0] + 1) // 2 for i in range(len(spans) - 1)]
    edges = [0, *handovers, len(pieces)]
    return [Window(s, e, edges[i], edges[i + 1]) for i, (s, e) in enumerate(spans)]


def _back(pieces: Sequence[int], start: int, end: int, overlap: int) -> int:
    """Where the next window begins: as many words before ``end`` as fit the overlap, but always further on."""
    next_start, shared = end, 0
    while next_start - 1 > start and shared + pieces[next_start - 1] <= overlap:
        next_start -= 1
        shared += pieces[next_start]
    return next_start
