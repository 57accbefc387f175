"""How much of the differences between configurations each key explains on its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finesweep.results.leaderboard import Entry
from finesweep.results.page.keys import numbers, varying

#: Numbers with more values than this are taken together, as many in each group.
_GROUPS = 4
#: Fewer configurations tell little.
FEW = 12


@dataclass(frozen=True)
class Importance:
    """``share``, from 0 to 1, of the variance of the scores; None where it cannot be told."""

    key: str
    share: float | None


def importances(found: Sequence[Entry], scores: Sequence[float]) -> list[Importance]:
    """The share of variance that each key explains alone, the largest first.

    Epsilon squared (Kelley 1935, https://doi.org/10.1073/pnas.21.9.554): the part of the sum of squares that lies
    between the values of a key (eta squared, of the analysis of variance), less what as many groups would take up by
    chance. What keys do together is not in it. Keys of a search that prefers good values are not independent, and
    share what they explain.

    Args:
        scores: of each configuration, the mean over its replicates.
    """
    y = np.asarray(scores, dtype=float)
    told = [Importance(key, _epsilon_squared(y, _groups([e.settings[key] for e in found]))) for key in varying(found)]
    return sorted(told, key=lambda each: -1.0 if each.share is None else -each.share)


def _epsilon_squared(y: np.ndarray, groups: np.ndarray) -> float | None:
    names, member = np.unique(groups, return_inverse=True)
    free = len(y) - len(names)
    total = float(((y - y.mean()) ** 2).sum())
    if free < 1 or total == 0:  # each value occurs once, or there is nothing to explain
        return None
    sizes = np.bincount(member)
    means = np.bincount(member, weights=y) / sizes
    between = float((sizes * (means - y.mean()) ** 2).sum())
    chance = (len(names) - 1) * (total - between) / free
    return max(0.0, (between - chance) / total)


def _groups(values: Sequence[str]) -> np.ndarray:
    found = numbers(values)
    if found is None or len(set(found)) <= _GROUPS + 1:
        return np.asarray(values if found is None else found)
    edges = np.quantile(found, [i / _GROUPS for i in range(1, _GROUPS)])
    return np.digitize(found, edges)
