"""Whether one configuration is better than another: paired tests over rows and over seeds.

Approximate randomisation (Noreen 1989; Yeh 2000, https://aclanthology.org/C00-2137) and the paired bootstrap (Koehn
2004, https://aclanthology.org/W04-3250) ask whether other rows could have turned the result round, the t-test over
seeds whether another seed could have. A claim about a configuration, not a single run, needs the second.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from finesweep.config.identity import Replicate
from finesweep.results.configurations import seed_scores

#: Numbers that are held at once while resampling.
_AT_ONCE = 5_000_000


@dataclass(frozen=True)
class Tally:
    """What each row adds to a score.

    Attributes:
        counts: (rows, k).
        value: sums of counts over rows (…, k) -> the score (…).
    """

    counts: np.ndarray
    value: Callable[[np.ndarray], np.ndarray]


def mean_tally(each: Sequence[float]) -> Tally:
    """Of a score that is the mean over rows."""
    values = np.asarray(each, dtype=float)
    return Tally(np.stack([values, np.ones_like(values)], axis=1), lambda sums: ratio(sums[..., 0], sums[..., 1]))


def f1_tally(counts: Sequence[Sequence[float]], measure: str = "f1") -> Tally:
    """Of ``f1``, ``precision`` or ``recall`` over everything, from (right, found, there) of each row."""

    def value(sums: np.ndarray) -> np.ndarray:
        right, found, there = (sums[..., i] for i in range(3))
        below = {"f1": (found + there) / 2, "precision": found, "recall": there}[measure]
        return ratio(right, below)

    return Tally(np.asarray(counts, dtype=float).reshape(-1, 3), value)


def class_tally(
    right: Sequence[bool],
    found: Sequence[str],
    there: Sequence[str],
    classes: Sequence[str],
    value: Callable[[np.ndarray], np.ndarray],
) -> Tally:
    """Of a score of ``right``, ``found`` and ``there`` of each class, from the class found and there in each row.

    Args:
        value: sums (…, 3 * classes) -> score (…), for example :func:`macro_f1`.
    """
    said, are = (np.array([[each == name for name in classes] for each in column]) for column in (found, there))
    counts = np.concatenate([np.asarray(right)[:, None] & said & are, said, are], axis=1)
    return Tally(counts.astype(float), value)


def macro_f1(sums: np.ndarray) -> np.ndarray:
    """The mean F1 over the classes that are there."""
    hit, said, are = np.split(sums, 3, axis=-1)
    return ratio(ratio(2 * hit, said + are).sum(axis=-1), (are > 0).sum(axis=-1).astype(float))


def macro_f1_of_all(sums: np.ndarray) -> np.ndarray:
    """The mean F1 over the classes that are there or found."""
    hit, said, are = np.split(sums, 3, axis=-1)
    return ratio(ratio(2 * hit, said + are).sum(axis=-1), (said + are > 0).sum(axis=-1).astype(float))


def matthews(sums: np.ndarray) -> np.ndarray:
    """The correlation of Matthews (1975) for several classes (Gorodkin 2004)."""
    hit, said, are = np.split(sums, 3, axis=-1)
    right, rows = hit.sum(axis=-1), are.sum(axis=-1)
    spread = (rows**2 - (said**2).sum(axis=-1)) * (rows**2 - (are**2).sum(axis=-1))
    return ratio(right * rows - (said * are).sum(axis=-1), np.sqrt(np.maximum(spread, 0)))


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """``above / below``, 0 where there is nothing to divide by."""
    return np.divide(above, below, out=np.zeros_like(above, dtype=float), where=below != 0)


@dataclass(frozen=True)
class Test:
    """The difference of two scores, its 95 % confidence interval, and how likely it is if there is none."""

    difference: float
    low: float
    high: float
    p: float


def over_rows(first: Sequence[Tally], second: Sequence[Tally], *, resamples: int = 9999, seed: int = 0) -> Test:
    """Compare two systems row by row: interval by paired bootstrap, p by approximate randomisation, two-sided.

    Args:
        first, second: one tally for each seed, in the same order and over the same rows; the score is the mean over
            seeds, and a row is drawn or exchanged for all of them at once.
    """
    from scipy import stats  # takes a second, and only a comparison needs it

    value = first[0].value
    a, b = (np.stack([tally.counts for tally in tallies]) for tallies in (first, second))  # (seeds, rows, k)
    rows = np.arange(a.shape[1])
    batch = max(1, _AT_ONCE // a.size)

    def of_sums(sums: np.ndarray) -> np.ndarray:  # (seeds, …, k) -> (…)
        return np.asarray(value(sums).mean(axis=0))

    def resampled(chosen: np.ndarray, axis: int = -1) -> np.ndarray:
        del axis  # scipy's, always the last
        return of_sums(a[:, chosen].sum(axis=-2)) - of_sums(b[:, chosen].sum(axis=-2))

    def exchanged(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        del y, axis
        # (…, rows) @ (seeds, rows, k): what is moved from one side to the other, as (seeds, …, k).
        moved = np.moveaxis(np.tensordot((x >= len(rows)).astype(float), b - a, axes=(-1, 1)), -2, 0)
        total_a, total_b = (each.sum(axis=1).reshape(len(a), *[1] * (x.ndim - 1), -1) for each in (a, b))
        return of_sums(total_a + moved) - of_sums(total_b - moved)

    observed = float(resampled(rows))
    if not np.any(a != b) or len(rows) < 2:
        return Test(observed, observed, observed, 1.0)
    rng = np.random.default_rng(seed)
    interval = stats.bootstrap(
        (rows,), resampled, n_resamples=resamples, batch=batch, vectorized=True, method="percentile", random_state=rng
    ).confidence_interval
    p = stats.permutation_test(
        (rows, rows + len(rows)), exchanged, permutation_type="samples", n_resamples=resamples, batch=batch,
        vectorized=True, random_state=rng,
    ).pvalue  # fmt: skip
    return Test(observed, float(interval.low), float(interval.high), float(p))


def over_seeds(first: Sequence[float], second: Sequence[float], *, paired: bool) -> Test | None:
    """Compare two configurations by their scores with several seeds: Student's paired or Welch's t-test, two-sided.

    Returns None where there is nothing to judge by: fewer than two seeds on a side, no spread between them, or a score
    that is no number.
    """
    if min(len(first), len(second)) < 2:
        return None
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    largest = max(np.abs(a).max(), np.abs(b).max())
    spread = np.ptp(a - b) if paired else np.ptp(a) + np.ptp(b)
    if not np.isfinite(largest) or spread <= 1e-9 * largest:
        return None
    # scipy.stats has these tests too, at a millisecond each and a second to import: too slow for a leaderboard that is
    # written again and again.
    if paired:
        variance, freedom = (a - b).var(ddof=1) / len(a), len(a) - 1.0
    else:
        parts = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
        variance = parts.sum()
        freedom = variance**2 / (parts**2 / [len(a) - 1, len(b) - 1]).sum()  # Welch 1947, Satterthwaite 1946
    return _t_test(float(a.mean() - b.mean()), float(np.sqrt(variance)), float(freedom))


def _t_test(difference: float, error: float, freedom: float) -> Test:
    """
    Args:
        error: standard error of the difference.
    """
    from scipy import special

    half = float(special.stdtrit(freedom, 0.975)) * error
    p = 2 * float(special.stdtr(freedom, -abs(difference) / error))
    return Test(difference, difference - half, difference + half, p)


def over_replicates(first: Mapping[Replicate, float], second: Mapping[Replicate, float]) -> Test | None:
    """Compare two configurations by the scores of their runs, each seed with the mean over its folds.

    Paired over the seeds that both have, with the same folds, if one of the two has no others (some drop out of a
    race early); else, or with fewer than two of these, by Welch's test.
    """
    a, b = seed_scores(first), seed_scores(second)
    unlike = {seed for seed, _ in first.keys() ^ second.keys()}
    shared = [seed for seed in a if seed not in unlike]
    if len(shared) > 1 and len(shared) == min(len(a), len(b)):
        return over_seeds([a[seed] for seed in shared], [b[seed] for seed in shared], paired=True)
    return over_seeds(list(a.values()), list(b.values()), paired=False)


def interval(scores: Sequence[float]) -> tuple[float, float] | None:
    """Student's 95 % confidence interval of the mean; None with fewer than two scores, or where one is no number."""
    from scipy import special

    values = np.asarray(scores, dtype=float)
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    half = float(special.stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def holm(p_values: Sequence[float]) -> list[float]:
    """P values that hold for all comparisons together (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, p_values[i] * (len(p_values) - rank)))
        adjusted[i] = largest
    return adjusted
