"""Which rows form which batch: a pure function of lengths, sizes, epoch and seed, without state.

Rows of like length share a bucket, so little of a batch is padding. The sequence of buckets over an epoch depends on
the epoch alone; the seed decides which rows of a bucket meet in a batch. Runs that differ only in seed therefore keep
in step, to within the spread of a bucket, and resuming in mid-epoch is skipping the first batches of the same plan.
"""

import math
from collections.abc import Sequence

import numpy as np

#: How much longer than its shortest row a bucket's longest may be. Wider mixes more and pads more.
_SPREAD = 1.05


def training_plan(
    lengths: Sequence[int],
    batch_size: int,
    *,
    epoch: int,
    seed: int,
    accumulate: int = 1,
    rank: int = 0,
    world_size: int = 1,
) -> list[list[list[int]]]:
    """The batches of one epoch for one device.

    Args:
        lengths: the length of each row, in sub-words.
        batch_size: rows in a batch, on each device.
        epoch, seed: draw the order.
        accumulate: batches whose gradients one optimizer step adds up.
        rank, world_size: which of how many devices the plan is for.

    Returns:
        optimizer steps, each a list of at most ``accumulate`` batches of row indices. A step takes the rows of
        ``accumulate * world_size`` batches from one bucket, so accumulating sees the same rows as the large batch.
        Only the last step can be smaller; there a device may get an empty batch if rows run out.
    """
    step_rows = batch_size * accumulate * world_size
    rows = np.asarray(lengths)
    rng = np.random.default_rng([seed, epoch])
    # Shuffling before the stable sort lets the seed decide on which side of a bucket's edge equally long rows stand.
    order = rng.permutation(len(rows))
    order = order[np.argsort(rows[order], kind="stable")]
    remainder = len(order) % step_rows
    # The step that is not full takes rows from all over: of one length only, it would always be the longest.
    spread = np.linspace(0, len(order) - 1, remainder).round().astype(int) if remainder else np.array([], dtype=int)
    rest, order = order[spread], np.delete(order, spread)
    steps = [step for bucket in _buckets(order, rows, step_rows) for step in _shuffled(bucket, step_rows, rng)]
    # The order of the steps must not depend on the seed.
    steps = [steps[i] for i in np.random.default_rng(epoch).permutation(len(steps))]
    if remainder:
        steps.append(rest)
    return [_share(step, batch_size, accumulate, rank, world_size) for step in steps]


def steps_per_epoch(rows: int, batch_size: int, accumulate: int = 1, world_size: int = 1) -> int:
    """How many optimizer steps :func:`training_plan` makes of so many rows."""
    return math.ceil(rows / (batch_size * accumulate * world_size))


def _buckets(order: np.ndarray, lengths: np.ndarray, step_rows: int) -> list[np.ndarray]:
    """Cut the sorted rows into buckets of whole steps: at most sqrt(steps) of them, and of nearly one length.

    The cuts follow from the sorted lengths alone, so they do not depend on the seed.
    """
    chunks = [order[i : i + step_rows] for i in range(0, len(order), step_rows)]
    most = math.ceil(math.sqrt(len(chunks))) if chunks else 0
    buckets: list[list[np.ndarray]] = []
    for chunk in chunks:
        fits = bool(buckets) and lengths[chunk[-1]] <= lengths[buckets[-1][0][0]] * _SPREAD + 1
        if fits and len(buckets[-1]) < most:
            buckets[-1].append(chunk)
        else:
            buckets.append([chunk])
    return [np.concatenate(bucket) for bucket in buckets]


def _shuffled(bucket: np.ndarray, step_rows: int, rng: np.random.Generator) -> list[np.ndarray]:
    mixed = bucket[rng.permutation(len(bucket))]
    return [mixed[i : i + step_rows] for i in range(0, len(mixed), step_rows)]


def _share(step: np.ndarray, batch_size: int, accumulate: int, rank: int, world_size: int) -> list[list[int]]:
    """This device's batches of a step. Every device gets equally many, so that none waits for another."""
    batches = min(accumulate, math.ceil(len(step) / (batch_size * world_size)))
    mine = step[rank::world_size]
    return [mine[i * batch_size : (i + 1) * batch_size].tolist() for i in range(batches)]


def evaluation_plan(lengths: Sequence[int], batch_size: int, *, rank: int = 0, world_size: int = 1) -> list[list[int]]:
    """Batches for scoring: longest rows first (what does not fit is found at once), each row exactly once."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    return batches[rank::world_size]
