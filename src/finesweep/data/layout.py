"""Where the rows of a batch stand once its padding is taken out, and which of them are enough alike to go together.

A batch may be for several models, *slices*, whose rows stand one behind the other, equally many of each.
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import torch

#: Rows of like length: how many, how many positions each of them takes, and whether there is padding among these.
Group = tuple[int, int, bool]
#: Groups of rows that there may be, and the share of the work that one more must save to be worth the further calls;
#: and where they are for several slices, with more work in each. Eight slices of 32 sentences of CoNLL-2003 get 6 % of
#: padding in 5.4 parts, and 23 % in 2.5 parts by the former.
_ONE, _SEVERAL = (3, 0.15), (8, 0.03)
#: What the number of positions of a layout is a multiple of, if the batch has the padding for it. For each new shape of
#: a product in bfloat16 a CPU makes a program, in 0.4 ms, and keeps it, in 0.6 MB; were no two steps alike, the layers
#: would have nine a step. 32 sentences of CoNLL-2003 get 1 % more positions by it.
_MULTIPLE = 16


class Layout(TypedDict):
    """A batch without padding: its sub-words in one line, the shorter rows first.

    Up to 15 positions of padding stay, as one row more, so that their number is a multiple of 16; of several slices
    more, so that all have as many. They count as sub-words here.

    Attributes:
        kept: of each sub-word its place in the padded batch, counted along the rows, (sub-words,).
        groups: rows that attention takes together.
        places: for each position of the groups, which have padding, the sub-word that stands there, or the first of the
            row where none does, (positions,).
        there: whether one does, (positions,).
        back: of each sub-word its position in the groups, (sub-words,).
        of: the slice that each row of the groups belongs to, (rows,).
    """

    kept: torch.Tensor
    groups: list[Group]
    places: torch.Tensor
    there: torch.Tensor
    back: torch.Tensor
    of: torch.Tensor


def layout(lengths: Sequence[int], width: int, slices: int = 1) -> Layout:
    """The layout of a batch whose rows have so many sub-words, and ``width`` positions with padding."""
    real = (np.arange(width) < np.asarray(lengths)[:, None]).reshape(slices, -1)
    counts = real.sum(1)
    size = min(-(-counts.max() // _MULTIPLE) * _MULTIPLE, real.shape[1])
    own: list[np.ndarray] = []
    of: list[int] = []
    for index in range(slices):
        first, each = index * real.shape[1], len(lengths) // slices
        mine = lengths[index * each : (index + 1) * each]
        places = [first + row * width + np.arange(length) for row, length in enumerate(mine)]
        if spare := size - counts[index]:
            places.append(first + np.flatnonzero(~real[index])[:spare])
        own += sorted(places, key=len)
        of += [index] * len(places)
    sizes = np.array([len(row) for row in own])
    order = np.argsort(sizes, kind="stable")
    starts, rows = (np.cumsum(sizes) - sizes)[order], sizes[order]
    ends = _cut(rows, 2, *_ONE)
    groups = [
        (end - start, int(rows[end - 1]), bool(rows[start] < rows[end - 1]))
        for start, end in zip([0, *ends], ends, strict=False)
    ]
    wide = np.repeat([longest for _, longest, _ in groups], [count for count, _, _ in groups])
    there = np.concatenate([np.arange(w) < row for w, row in zip(wide, rows, strict=True)])
    standing = np.concatenate([start + np.arange(row) for start, row in zip(starts, rows, strict=True)])
    back, padded = np.empty_like(standing), np.repeat(starts, wide)
    back[standing], padded[there] = np.flatnonzero(there), standing
    return {
        "kept": torch.from_numpy(np.concatenate(own)),
        "groups": groups,
        "places": torch.from_numpy(padded),
        "there": torch.from_numpy(there),
        "back": torch.from_numpy(back),
        "of": torch.tensor(of)[order],
    }


def parts(lengths: Sequence[int], slices: int = 1) -> list[np.ndarray]:
    """The rows of a batch in parts of like length, for a model that needs the padding: indices, shorter rows first.

    Of each slice a part has equally many, one slice behind the other.
    """
    each = np.asarray(lengths).reshape(slices, -1)
    order = np.argsort(each, axis=1, kind="stable")
    longest = np.take_along_axis(each, order, axis=1).max(0)
    places = order + np.arange(slices)[:, None] * each.shape[1]
    return [
        part.ravel() for part in np.split(places, _cut(longest, 1, *(_ONE if slices == 1 else _SEVERAL))[:-1], axis=1)
    ]


def _cut(rows: np.ndarray, power: int, most: int, worth: float) -> list[int]:
    """Where groups of these sorted lengths end, so that there is least to do.

    Args:
        power: of the length, with which the work for a row grows: 2 for attention, 1 for a whole model.
        most, worth: groups that there may be, and what share one more must save.
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
