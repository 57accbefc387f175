"""Where the rows of a batch stand once its padding is taken out: in one line, those of like length together."""

from collections.abc import Sequence

import numpy as np

#: Rows that stand together: how many, how long, and whether padding is left among them.
Group = tuple[int, int, bool]
#: As a share of the sub-words, the padding that one group more must save to be worth its trouble: two cores take about
#: as long for the attention of another group as for so many positions of a batch of 32 sentences.
_WORTH = 0.025


def layout(lengths: Sequence[int], width: int, most: int) -> tuple[np.ndarray, list[Group]]:
    """A batch without most of its padding.

    Args:
        lengths: of the rows, in sub-words.
        width: positions of each row in the padded batch.
        most: groups that there may be.

    Returns:
        of each position that is kept its place in the padded batch, counted along its rows, (positions,); and the
        groups in the same order, cut where least padding is left.
    """
    order = np.argsort(lengths, kind="stable")
    rows = np.asarray(lengths)[order]
    ends = _cut(rows, most)
    groups, kept = [], []
    for start, end in zip([0, *ends], ends, strict=False):
        longest = int(rows[end - 1])
        groups.append((end - start, longest, bool(rows[start] < longest)))
        kept.append((order[start:end, None] * width + np.arange(longest)).ravel())
    return np.concatenate(kept), groups


def _cut(rows: np.ndarray, most: int) -> list[int]:
    """Where groups of these sorted lengths end."""
    count = len(rows)
    starts, ends = np.arange(count)[:, None], np.arange(1, count + 1)
    # positions[i, j]: of the rows i to j, as one group
    positions = np.where(starts < ends, (ends - starts) * rows, np.inf)
    best, cuts = positions[0], list[np.ndarray]()
    while len(cuts) + 1 < min(most, count):
        # One group more: the last begins at row i, and what is before it is cut in the best way.
        every = best[:-1, None] + positions[1:]
        if best[-1] - every[:, -1].min() < _WORTH * rows.sum():
            break
        cuts.append(every.argmin(0))
        best = every.min(0)
    ends_found = [count]
    for cut in reversed(cuts):
        ends_found.append(int(cut[ends_found[-1] - 1]) + 1)
    return ends_found[::-1]
