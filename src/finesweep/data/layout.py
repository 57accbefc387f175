"""Where the rows of a batch stand once its padding is taken out, and which of them are enough alike to go together."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import torch

#: Rows of like length: how many, how many positions each of them takes, and whether there is padding among these.
Group = tuple[int, int, bool]
#: Groups that there may be for attention, whose work grows with the square of a length, and parts of a batch for a
#: whole model; and the share of the work that one more must save to be worth the further calls.
_GROUPS, _PARTS = (2, 3, 0.15), (1, 4, 0.05)


class Layout(TypedDict):
    """A batch without padding: its sub-words in one line, the shorter rows first.

    Attributes:
        kept: of each sub-word its place in the padded batch, counted along the rows, (sub-words,).
        groups: rows that attention takes together.
        places: for each position of the groups, which have padding, the sub-word that stands there, or the first of all
            where none does, (positions,).
        there: whether one does, (positions,).
        back: of each sub-word its position in the groups, (sub-words,).
    """

    kept: torch.Tensor
    groups: list[Group]
    places: torch.Tensor
    there: torch.Tensor
    back: torch.Tensor


def layout(lengths: Sequence[int], width: int) -> Layout:
    """The layout of a batch whose rows have so many sub-words, and ``width`` positions with padding."""
    order = np.argsort(lengths, kind="stable")
    rows = np.asarray(lengths)[order]
    ends = _cut(rows, *_GROUPS)
    groups = [
        (end - start, int(rows[end - 1]), bool(rows[start] < rows[end - 1]))
        for start, end in zip([0, *ends], ends, strict=False)
    ]
    places = np.arange(width)
    kept = (order[:, None] * width + places)[places < rows[:, None]]
    wide = np.repeat([longest for _, longest, _ in groups], [count for count, _, _ in groups])
    there = np.concatenate([np.arange(w) < row for w, row in zip(wide, rows, strict=True)])
    return {
        "kept": torch.from_numpy(kept),
        "groups": groups,
        "places": torch.from_numpy(np.where(there, np.cumsum(there) - 1, 0)),
        "there": torch.from_numpy(there),
        "back": torch.from_numpy(np.flatnonzero(there)),
    }


def parts(lengths: Sequence[int]) -> list[np.ndarray]:
    """The rows of a batch in parts of like length, for a model that needs the padding: indices, shorter rows first."""
    order = np.argsort(lengths, kind="stable")
    return np.split(order, _cut(np.asarray(lengths)[order], *_PARTS)[:-1])


def _cut(rows: np.ndarray, power: int, most: int, worth: float) -> list[int]:
    """Where groups of these sorted lengths end, so that there is least to do.

    Args:
        power: of the length, with which the work for a row grows.
        most: groups that there may be.
        worth: as a share of the work, what one group more must save.
    """
    lengths, counts = np.unique(rows, return_counts=True)  # between equal ones no cut is worth it
    ends = np.cumsum(counts)
    # work[i, j]: of the rows from the i-th length to the j-th, as one group
    work = (ends - (ends - counts)[:, None]) * lengths.astype(float) ** power
    work[np.tril_indices(len(lengths), -1)] = np.inf
    best, cuts = work[0], list[np.ndarray]()
    while len(cuts) + 1 < min(most, len(lengths)):
        # One group more: the last begins at length i, and what is before it is cut in the best way.
        every = best[:-1, None] + work[1:]
        if every[:, -1].min() > (1 - worth) * best[-1]:
            break
        cuts.append(every.argmin(0))
        best = every.min(0)
    found = [len(lengths) - 1]
    for cut in reversed(cuts):
        found.append(int(cut[found[-1]]))
    return [int(ends[last]) for last in reversed(found)]
