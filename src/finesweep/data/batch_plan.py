"""Which rows form which batch: a pure function of lengths, sizes, epoch and seed, without state.

An optimizer step is made of a few chunks, each of rows of like length: one, and there is next to no padding whatever
the model does; several, from the short rows to the long ones, and a step learns from all kinds of rows, as one of
random rows does. The sequence of lengths over an epoch depends on the epoch alone; the seed decides which rows of like
length meet in a chunk. Runs that differ only in seed therefore keep in step, to within the spread of a bucket of like
chunks, and resuming in mid-epoch is skipping the first batches of the same plan.
"""

import math
from collections.abc import Iterator, Sequence, Sized

import numpy as np

#: Of each row, in sub-words.
Lengths = Sequence[int] | np.ndarray
#: How much longer than its shortest row a bucket's longest may be. Wider mixes more and pads more.
_SPREAD = 1.05


def training_plan(
    lengths: Lengths,
    batch_size: int,
    *,
    epoch: int,
    seed: int,
    mix: int = 1,
    max_tokens: int | None = None,
    accumulate: int = 1,
    rank: int = 0,
    world_size: int = 1,
) -> list[list[list[int]]]:
    """The batches of one epoch for one device.

    Args:
        lengths: the length of each row, in sub-words.
        batch_size: rows in a batch, on each device.
        mix: chunks of like length in an optimizer step, as far as it has rows for them.
        max_tokens: positions of a padded batch, in place of ``batch_size``: the shorter its rows, the more of them. A
            row that is longer stands alone. A step is then of one length.
        epoch, seed: draw the order.
        accumulate: batches whose gradients one optimizer step adds up.
        rank, world_size: which of how many devices the plan is for.

    Returns:
        optimizer steps, each a list of ``accumulate`` batches of row indices. The rows of a step are dealt out to its
        ``accumulate * world_size`` batches, so accumulating sees the same rows as the large batch. Steps are as large
        as each other, to within a row, lest a few rows that are left over decide a step alone; those by ``max_tokens``
        have a last one for the shortest rows, which may be small. Where there are fewer rows than batches, some are
        empty.
    """
    rows, parts = np.asarray(lengths), accumulate * world_size
    rng = np.random.default_rng([seed, epoch])
    # Shuffling before the stable sort lets the seed decide on which side of a bucket's edge equally long rows stand.
    order = rng.permutation(len(rows))
    order = order[np.argsort(rows[order], kind="stable")]
    mix = 1 if max_tokens is not None else min(mix, batch_size * parts)
    chunks = _chunks(order, rows, batch_size, mix, max_tokens, parts)
    chunks = [chunk for bucket in _buckets(chunks, rows) for chunk in _shuffled(bucket, rng)]
    return [_share(step, accumulate, rank, world_size) for step in _mixed(chunks, mix, epoch)]


def steps_per_epoch(
    lengths: Lengths, batch_size: int, *, max_tokens: int | None = None, accumulate: int = 1, world_size: int = 1
) -> int:
    """How many optimizer steps :func:`training_plan` makes, whatever epoch and seed."""
    rows = np.asarray(lengths)
    return len(_chunks(np.argsort(rows, kind="stable"), rows, batch_size, 1, max_tokens, accumulate * world_size))


def _chunks(
    order: np.ndarray, lengths: np.ndarray, batch_size: int, mix: int, max_tokens: int | None, parts: int
) -> list[np.ndarray]:
    """Sorted rows as chunks: ``mix`` of each of the steps, one behind the other, or one that fits."""
    if max_tokens is not None:
        return list(_of_tokens(order[::-1], lengths, max_tokens, parts))
    full = batch_size * parts
    steps = math.ceil(len(order) / full)
    # Where a step that is full has a row more from one part of the sorted rows than from another, that part is larger.
    shares = np.cumsum([len(share) for share in np.array_split(np.arange(full), mix)])
    pieces = np.split(order, len(order) * shares[:-1] // full)
    return [chunk for piece in pieces for chunk in np.array_split(piece, steps)] if steps else []


def _of_tokens(order: np.ndarray, lengths: np.ndarray, max_tokens: int, parts: int) -> Iterator[np.ndarray]:
    """Rows with the longest first as steps of ``parts`` batches that fit."""
    while len(order):
        size = _rows_within(max_tokens, lengths[order[0]]) * parts
        yield order[:size]
        order = order[size:]


def _rows_within(max_tokens: int, longest: int) -> int:
    return max(1, max_tokens // max(1, int(longest)))


def _buckets(chunks: Sequence[np.ndarray], lengths: np.ndarray) -> list[list[np.ndarray]]:
    """Neighbouring chunks of equally many rows, of nearly one length: at most sqrt(chunks) of them in a bucket.

    That follows from the sorted lengths alone, so it does not depend on the seed.
    """
    most = math.ceil(math.sqrt(len(chunks)))
    buckets: list[list[np.ndarray]] = []
    for chunk in chunks:
        if buckets and len(buckets[-1]) < most and len(buckets[-1][0]) == len(chunk) > 0:
            shortest, longest = sorted((lengths[buckets[-1][0][0]], lengths[chunk[-1]]))
            if longest <= shortest * _SPREAD + 1:
                buckets[-1].append(chunk)
                continue
        buckets.append([chunk])
    return buckets


def _shuffled(bucket: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    rows = np.concatenate(bucket)
    return np.split(rows[rng.permutation(len(rows))], len(bucket))


def _mixed(chunks: Sequence[np.ndarray], mix: int, epoch: int) -> Iterator[np.ndarray]:
    """Steps with a chunk from each of ``mix`` equal parts of the sorted ones, in turn another of them in front.

    How they meet must not depend on the seed. Of two sizes of chunks in a part, the larger ones go to the steps after
    those that got larger ones before.
    """
    rng, count = np.random.default_rng(epoch), len(chunks) // mix
    places, given = [], 0
    for first in range(0, len(chunks), count or 1):
        own = [len(chunk) for chunk in chunks[first : first + count]]
        larger = sum(size > own[-1] for size in own)
        drawn = np.concatenate([rng.permutation(larger), larger + rng.permutation(count - larger)])
        places.append(first + np.roll(drawn, given))
        given += larger
    for number, step in enumerate(rng.permutation(count)):
        yield np.concatenate([chunks[place[step]] for place in np.roll(places, number, axis=0)])


def _share(step: np.ndarray, accumulate: int, rank: int, world_size: int) -> list[list[int]]:
    """This device's batches of a step, dealt out. Every device gets equally many, so that none waits for another."""
    mine = _dealt(step, world_size, rank)
    return [_dealt(mine, accumulate, i).tolist() for i in range(accumulate)]


def _dealt(rows: np.ndarray, hands: int, mine: int) -> np.ndarray:
    """What one of so many gets. Dealt to and fro, lest the last always get the longest of a few."""
    turn, hand = np.divmod(np.arange(len(rows)), hands)
    return rows[np.where(turn % 2, hands - 1 - hand, hand) == mine]


def lengths_of(features: Sequence[Sized]) -> np.ndarray:
    """Sub-words of each feature (features,), as they keep them or counted one by one."""
    kept = getattr(features, "lengths", None)
    return np.fromiter(map(len, features), int, len(features)) if kept is None else np.asarray(kept)


def evaluation_plan(lengths: Lengths, batch_size: int, *, rank: int = 0, world_size: int = 1) -> list[list[int]]:
    """Batches for scoring: longest rows first (what does not fit is found at once), each row exactly once."""
    order = np.argsort(-np.asarray(lengths), kind="stable").tolist()
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    return batches[rank::world_size]
