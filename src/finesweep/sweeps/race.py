"""Racing: a configuration that has lost need not run its last seeds.

As in Maron & Moore 1994 (Hoeffding races) and Birattari et al. 2002 (F-Race), configurations run replicate by
replicate, and whichever is significantly worse than the best so far drops out. The test is Student's, one-sided, on
the differences to the best over the replicates that both have; their spread is pooled over all configurations, so
that one replicate of its own can be enough for a bad one.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Any

from finesweep.config.identity import configuration, replicate
from finesweep.results.record import RunRecord

#: A spread below it is rounding, and there is nothing to judge by.
_NOTHING = 1e-9


class Race:
    """The scores so far.

    Args:
        level: of the test.
        before: runs that have ended well already.
    """

    def __init__(self, level: float, before: Iterable[RunRecord] = ()) -> None:
        self._level = level
        #: Those on one data set with one objective, which alone can be compared: configuration -> replicate -> score,
        #: the higher the better.
        self._heats: dict[Hashable, dict[str, dict[Hashable, float]]] = defaultdict(dict)
        for record in before:
            self.add(record)

    def add(self, record: RunRecord) -> None:
        """A run that has ended well."""
        value = record.objective["value"] * (1 if record.objective["direction"] == "maximize" else -1)
        if math.isfinite(value):
            heat = self._heats[_heat(record.config)]
            heat.setdefault(configuration(record.config), {})[replicate(record.config)] = value

    def lost(self, config: dict[str, Any]) -> str:
        """Why a configuration is out of the race; empty while it is not."""
        name, heat = configuration(config), self._heats[_heat(config)]
        mine = heat.get(name, {})
        full = {each: statistics.mean(scores.values()) for each, scores in heat.items() if len(scores) > 1}
        if not full or not mine:
            return ""
        best = max(full, key=lambda each: full[each])
        ahead = _ahead(heat, best, name)
        pooled = [(len(d) - 1, statistics.variance(d)) for each in full if len(d := _ahead(heat, best, each)) > 1]
        freedom = sum(df for df, _ in pooled)
        if best == name or not ahead or not freedom:
            return ""
        spread = math.sqrt(sum(df * variance for df, variance in pooled) / freedom)
        gap = statistics.mean(ahead)
        if gap <= 0:
            return ""
        from scipy import special

        if spread <= _NOTHING:
            return ""
        p = float(special.stdtr(freedom, -gap / (spread / math.sqrt(len(ahead)))))
        if p >= self._level:
            return ""
        return f"racing: {gap:.4f} behind the best configuration over {len(ahead)} replicate(s), p = {p:.2g}"


def _heat(config: dict[str, Any]) -> Hashable:
    data = config["data"]  # files are called alike, whichever they are
    return data["name"], str(data.get("validation") or data.get("train")), config["objective"]["metric"]


def _ahead(heat: dict[str, dict[Hashable, float]], best: str, name: str) -> list[float]:
    """By how much the best is ahead of another one, replicate by replicate."""
    if best == name:
        return []
    a, b = heat[best], heat[name]
    return [a[each] - b[each] for each in a if each in b]
