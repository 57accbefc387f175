"""Paired tests: against enumeration, against scipy, and on systems whose difference is known."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from finesweep.results.significance import (
    class_tally,
    f1_tally,
    holm,
    macro_f1,
    macro_f1_of_all,
    mean_tally,
    over_rows,
    over_seeds,
)


def test_randomisation_agrees_with_all_exchanges() -> None:
    a, b = [1.0, 1, 0, 1, 1, 1, 0, 1], [0.0, 1, 0, 1, 0, 0, 1, 1]
    observed = np.mean(a) - np.mean(b)
    every = [np.mean(np.where(s, a, b)) - np.mean(np.where(s, b, a)) for s in product((True, False), repeat=len(a))]
    exact = np.mean(np.abs(every) >= abs(observed) - 1e-12)
    test = over_rows([mean_tally(a)], [mean_tally(b)])
    assert test.difference == pytest.approx(observed)
    assert test.p == pytest.approx(exact, abs=0.02)


def test_the_interval_agrees_with_theory_where_there_is_one() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(0.3, 1, 400)
    b = rng.normal(0.0, 1, 400)
    test = over_rows([mean_tally(a)], [mean_tally(b)])
    low, high = stats.t.interval(0.95, 399, loc=np.mean(a - b), scale=stats.sem(a - b))
    assert (test.low, test.high) == pytest.approx((low, high), abs=0.02)
    assert test.p == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.01)


def test_under_no_difference_one_in_twenty_is_significant() -> None:
    rng = np.random.default_rng(1)
    ps = [
        over_rows([mean_tally(rng.random(60) < 0.7)], [mean_tally(rng.random(60) < 0.7)], resamples=299).p
        for _ in range(300)
    ]
    assert 0.01 < np.mean(np.array(ps) < 0.05) < 0.1


def test_the_same_system_does_not_differ_from_itself() -> None:
    tally = f1_tally([(1, 2, 1), (0, 0, 1), (3, 3, 4)])
    assert over_rows([tally], [tally]) == over_rows([tally], [tally])
    assert over_rows([tally], [tally]).p == 1.0


def test_the_other_way_round_it_is_the_opposite() -> None:
    rng = np.random.default_rng(2)
    counts = [np.stack([rng.integers(0, 3, 50), np.full(50, 3), np.full(50, 3)], axis=1) for _ in range(2)]
    a, b = map(f1_tally, counts)
    one, other = over_rows([a], [b]), over_rows([b], [a])
    assert one.difference == -other.difference
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=0.02)
    assert one.p == pytest.approx(other.p, abs=0.03)


def test_seeds_are_exchanged_together() -> None:
    """Two seeds with the same predictions tell no more of the rows than one."""
    rng = np.random.default_rng(3)
    a, b = mean_tally(rng.random(80) < 0.8), mean_tally(rng.random(80) < 0.7)
    one, two = over_rows([a], [b]), over_rows([a, a], [b, b])
    assert two.difference == pytest.approx(one.difference)
    assert (two.low, two.high) == pytest.approx((one.low, one.high), abs=0.02)
    assert two.p == pytest.approx(one.p, abs=0.03)


def test_macro_f1_is_over_classes_that_are_there() -> None:
    there, found = ["a", "a", "none"], ["a", "b", "b"]
    for value, score in ((macro_f1, 2 / 3), (macro_f1_of_all, 1 / 3)):
        tally = class_tally([True, False, False], found, there, ["a", "b"], value)
        assert float(tally.value(tally.counts.sum(axis=0))) == pytest.approx(score)


def test_over_seeds_is_students_or_welchs() -> None:
    a, b = [0.90, 0.91, 0.93], [0.88, 0.90, 0.89]
    assert over_seeds(a, b, paired=True).p == pytest.approx(stats.ttest_rel(a, b).pvalue)  # type: ignore[union-attr]
    assert over_seeds(a, b, paired=False).p == pytest.approx(  # type: ignore[union-attr]
        stats.ttest_ind(a, b, equal_var=False).pvalue
    )
    assert over_seeds([0.9], b, paired=False) is None
    assert over_seeds([0.81, 0.82], [0.80, 0.81], paired=True) is None  # no spread, but for rounding


def test_holm_as_in_the_book() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_is_no_easier(ps: list[float]) -> None:
    adjusted = holm(ps)
    assert all(p <= q <= 1 for p, q in zip(ps, adjusted, strict=True))
    assert [adjusted[i] for i in np.argsort(ps, kind="stable")] == sorted(adjusted)
