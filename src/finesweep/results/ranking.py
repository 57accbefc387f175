"""Configurations ranked by their objective on validation, each with what can be said of its gap to the best.

The score of a configuration is the mean over its seeds, and of a seed the mean over its folds. Spread, interval and
tests are over seeds. A single seed with several folds has the spread over these instead, but neither interval nor
test: folds share training rows, and no estimate of their variance is unbiased (Bengio & Grandvalet 2004).

Holm's correction covers the comparisons with the best, but not that the best was picked by the same scores: of ten
configurations that are all alike, with five seeds each, some gap comes out significant in 11 % of sweeps, not in 5 %.
"""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from finesweep.config.identity import Replicate
from finesweep.results.configurations import Runs, by_configuration, mean, seed_scores, settings_of, standing
from finesweep.results.record import RunRecord
from finesweep.results.significance import holm, interval, over_replicates

#: Below it a gap is called significant.
LEVEL = 0.05


@dataclass(frozen=True)
class Entry:
    """One configuration with all its seeds and folds.

    Attributes:
        settings: what sets it apart from the others, see :func:`finesweep.results.configurations.settings_of`.
        records: of its runs that ended well, by seed and fold, see
            :func:`finesweep.results.configurations.by_job` for jobs that were done twice.
        states: how many runs ended otherwise, by status.
        rank: within its board, from 1; None where there is no score, or none that is a number.
        scores: seed -> objective on validation.
        mean: of the scores; None where no run ended well, nan where a score is no number.
        std: standard deviation of the scores, of a single seed's over its folds; None of a single run.
        ci: 95 % confidence interval of the mean, Student's t; None with fewer than two seeds.
        gap: how far its mean is behind the best of the board. Where it lost a race, both means are over the seeds
            and folds that both have, and None where these are none.
        p: of the gap, a t-test over seeds; None of the best itself, and where there is nothing to judge by.
        p_holm: the same after Holm's correction for all tests of the board.
        test_mean, test_std: on test, of the best of the board alone.
    """

    settings: dict[str, str]
    records: list[RunRecord]
    states: Counter[str] = field(default_factory=Counter)
    rank: int | None = None
    scores: dict[Any, float] = field(default_factory=dict)
    mean: float | None = None
    std: float | None = None
    ci: tuple[float, float] | None = None
    gap: float | None = None
    p: float | None = None
    p_holm: float | None = None
    test_mean: float | None = None
    test_std: float | None = None

    @property
    def failed(self) -> int:
        return self.states["failed"]

    @property
    def pruned(self) -> int:
        return self.states["pruned"]

    @property
    def interrupted(self) -> int:
        """Runs that were stopped, or have not ended yet."""
        return self.states.total() - self.failed - self.pruned

    @property
    def metric(self) -> str:
        """The objective's metric; empty where no run ended well."""
        return str(self.records[0].objective["metric"]) if self.records else ""

    @property
    def board(self) -> tuple[str, str]:
        """What it can be compared within: one data set and one metric."""
        return self.settings.get("data", ""), self.metric

    @property
    def significant(self) -> bool | None:
        """Whether the best is better, None where that cannot be told."""
        return None if self.p_holm is None else self.p_holm < LEVEL

    @property
    def trainable_parameters(self) -> int | None:
        return self.records[0].parameters.get("trainable") if self.records else None

    @property
    def train_seconds(self) -> float | None:
        """The mean over its runs, as far as known."""
        known = [record.timing["train_seconds"] for record in self.records if "train_seconds" in record.timing]
        return mean(known) if known else None

    @property
    def peak_memory_bytes(self) -> int | None:
        """The most that one of its runs took, as far as known."""
        known = (record.peak_memory_bytes for record in self.records)
        return max((each for each in known if each is not None), default=None)


def entries(records: Sequence[RunRecord]) -> list[Entry]:
    """A configuration each: data set by data set, the best first, those without a score last."""
    groups = by_configuration(records)
    found = [_entry(settings, runs) for settings, runs in zip(settings_of(groups), groups, strict=True)]
    boards: dict[tuple[str, str], list[Entry]] = {}
    for entry in found:
        boards.setdefault(entry.board, []).append(entry)
    data_sets = list(dict.fromkeys(data for data, _ in boards))
    order = sorted(boards, key=lambda board: (data_sets.index(board[0]), not board[1], board[1]))
    return [entry for board in order for entry in _ranked(boards[board])]


def same_rows(found: Sequence[Entry]) -> bool:
    """Whether those of each board were scored on the same validation rows, replicate by replicate, as far as known."""
    seen: dict[Any, set[str]] = {}
    for entry in found:
        for record in entry.records:
            if fingerprint := record.data.get("validation", {}).get("fingerprint"):
                seen.setdefault((entry.board, record.replicate), set()).add(fingerprint)
    return all(len(fingerprints) == 1 for fingerprints in seen.values())


def _entry(settings: dict[str, str], runs: Runs) -> Entry:
    good = {replicate: record for replicate, record in runs.items() if record.status == "ok"}
    states: Counter[str] = Counter(record.status for record in runs.values() if record.status != "ok")
    if not good:
        return Entry(settings, [], states)
    values = {replicate: float(record.objective["value"]) for replicate, record in good.items()}
    scores = seed_scores(values)
    center, deviation = _spread(values)
    ci = interval(list(scores.values()))
    return Entry(settings, list(good.values()), states, scores=scores, mean=center, std=deviation, ci=ci)


def _spread(values: Mapping[Replicate, float]) -> tuple[float, float | None]:
    """Mean and standard deviation over seeds; with a single seed, over its folds."""
    scores = list(seed_scores(values).values())
    center = mean(scores)
    spread = scores if len(scores) > 1 else list(values.values())
    return center, statistics.stdev(spread) if len(spread) > 1 and math.isfinite(center) else None


def _ranked(board: Sequence[Entry]) -> list[Entry]:
    """Entries of one board, best first, each tested against the best; behind them those whose score is no number."""
    scored = [(entry.mean, entry) for entry in board if entry.mean is not None and math.isfinite(entry.mean)]
    rest = [entry for entry in board if entry.mean is None or not math.isfinite(entry.mean)]
    if not scored:
        return rest
    direction = scored[0][1].records[0].objective["direction"]
    best, *others = (
        entry for _, entry in sorted(scored, key=lambda pair: standing(pair[1].pruned > 0, pair[0], direction))
    )
    pairs = [_compared(best, entry) for entry in others]
    tests = [over_replicates(*pair) for pair in pairs]
    adjusted = iter(holm([test.p for test in tests if test is not None]))
    test_mean, test_std = _on_test(best)
    made = [replace(best, rank=1, gap=0.0, test_mean=test_mean, test_std=test_std)]
    for rank, (entry, pair, test) in enumerate(zip(others, pairs, tests, strict=True), start=2):
        p, p_holm = (None, None) if test is None else (test.p, next(adjusted))
        made.append(replace(entry, rank=rank, gap=_gap(*pair, direction), p=p, p_holm=p_holm))
    return made + rest


def _compared(best: Entry, entry: Entry) -> tuple[dict[Replicate, float], dict[Replicate, float]]:
    """The scores of the best, and of another to be held against them: of one that lost a race what both have done."""
    first, second = (
        {record.replicate: float(record.objective["value"]) for record in each.records} for each in (best, entry)
    )
    if not entry.pruned:
        return first, second
    shared = [each for each in first if each in second]
    return {each: first[each] for each in shared}, {each: second[each] for each in shared}


def _gap(first: dict[Replicate, float], second: dict[Replicate, float], direction: str) -> float | None:
    if not first or not second:
        return None
    ahead = _spread(first)[0] - _spread(second)[0]
    return ahead if direction == "maximize" else -ahead


def _on_test(entry: Entry) -> tuple[float | None, float | None]:
    """Mean and standard deviation."""
    values = {
        record.replicate: record.metrics["test"][entry.metric]
        for record in entry.records
        if entry.metric in record.metrics.get("test", {})
    }
    return _spread(values) if values else (None, None)
