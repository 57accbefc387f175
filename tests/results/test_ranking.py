"""What is said of spread and gaps: ranks, intervals and tests."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from finesweep.results.leaderboard import entries, note, table, write_leaderboard
from tests.results.scores import board, minimised, record, rows_of

_SCORES = st.dictionaries(
    st.sampled_from("abcd"),
    st.dictionaries(st.integers(1, 5), st.floats(0, 1).map(lambda x: round(x, 3)), min_size=2),
    min_size=2,
)


@pytest.mark.filterwarnings("ignore:Precision loss")
@settings(deadline=None)
@given(_SCORES)
def test_what_is_said_of_gaps_is_what_scipy_says(scores: dict[str, dict[int, float]]) -> None:
    told = rows_of(board(scores))
    best = scores[told[0]["optimizer.lr"]]
    assert np.mean([*best.values()]) == pytest.approx(max(np.mean([*each.values()]) for each in scores.values()))
    raw = []
    for row in told:
        mine = scores[row["optimizer.lr"]]
        values = list(mine.values())
        assert row["n"] == len(values)
        assert row["gap"] == pytest.approx(np.mean([*best.values()]) - np.mean(values), rel=1e-5, abs=1e-9)
        if np.ptp(values) > 0:
            low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
            assert (row["val_f1_ci_low"], row["val_f1_ci_high"]) == pytest.approx((low, high), rel=1e-5, abs=1e-9)
        if row["rank"] == 1 or row["p"] is None:
            continue
        shared = sorted(mine.keys() & best.keys())
        if len(shared) == min(len(mine), len(best)):
            p = stats.ttest_rel([best[seed] for seed in shared], [mine[seed] for seed in shared]).pvalue
        else:
            p = stats.ttest_ind([*best.values()], values, equal_var=False).pvalue
        assert row["p"] == pytest.approx(p, rel=1e-5)
        raw.append((p, row["p_holm"], row["significant"]))
    for p, adjusted, significant in raw:  # Holm by his definition
        steps = sorted(each for each, _, _ in raw)
        expected = max(min(1, (len(raw) - i) * step) for i, step in enumerate(steps) if step <= p)
        assert adjusted == pytest.approx(expected, rel=1e-5)
        assert significant == ("yes" if adjusted < 0.05 else "no")


@settings(deadline=None, max_examples=40)
@given(_SCORES, st.randoms(use_true_random=False))
def test_the_order_of_the_records_does_not_matter(scores: dict[str, dict[int, float]], order: random.Random) -> None:
    records = board(scores)
    before = table(entries(records))
    order.shuffle(records)
    assert table(entries(records)) == before


@settings(deadline=None, max_examples=40)
@given(_SCORES)
def test_what_is_maximised_or_minimised_is_the_same_the_other_way_round(scores: dict[str, dict[int, float]]) -> None:
    means = [np.mean([*each.values()]) for each in scores.values()]
    assume(min(abs(a - b) for i, a in enumerate(means) for b in means[:i]) > 1e-6)  # ties may fall either way
    told, other = rows_of(board(scores)), rows_of(minimised(board(scores)))
    for key in ("optimizer.lr", "rank", "gap", "p", "p_holm"):
        assert [row[key] for row in told] == [
            each if isinstance(each, str | int | None) else pytest.approx(each, rel=1e-4, abs=1e-8)
            for each in (row[key] for row in other)
        ]


def test_folds_of_a_seed_are_one_value(tmp_path: Path) -> None:
    first, second = np.array([0.7, 0.72, 0.77]), np.array([0.6, 0.66, 0.68])
    records = [
        record(tmp_path, [f"optimizer.lr={lr}", f"seed={seed}", f"data.fold={fold}"], float(score + off))
        for lr, scores in (("1", first), ("2", second))
        for fold, off in ((0, -0.1), (1, 0.1))
        for seed, score in enumerate(scores)
    ]
    best, other = rows_of(records)
    assert (best["n"], best["seeds"]) == (6, 3)
    assert best["val_f1_std"] == pytest.approx(np.std(first, ddof=1), rel=1e-5)
    assert other["p"] == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-5)
    # The last seed without its fold 1 is no pair of the other's, whose mean is over both.
    _, other = rows_of(records[:-1])
    welch = stats.ttest_ind(first, second - [0, 0, 0.1], equal_var=False)
    assert other["p"] == pytest.approx(welch.pvalue, rel=1e-5)


def test_a_single_seed_with_folds_has_their_spread_but_no_interval_and_no_test(tmp_path: Path) -> None:
    records = [
        record(tmp_path, [f"optimizer.lr={lr}", f"data.fold={fold}"], lr / 10 + fold / 100)
        for lr in (1, 2)
        for fold in (0, 1, 2)
    ]
    rows = rows_of(records)
    assert [(row["n"], row["seeds"]) for row in rows] == [(3, 1), (3, 1)]
    assert rows[0]["val_f1_std"] == pytest.approx(0.01)
    assert {row[key] for row in rows for key in ("val_f1_ci_low", "p", "significant")} == {None}
    assert "a single seed ± is over its folds" in note(entries(records))


def test_a_clear_gap_is_significant_and_a_small_one_is_not(tmp_path: Path) -> None:
    noise = {1: 0.001, 2: -0.002, 3: 0.003}
    at = {"1": (0.9, 1), "2": (0.899, -1), "3": (0.5, -1)}
    records = board({lr: {seed: mean + sign * n for seed, n in noise.items()} for lr, (mean, sign) in at.items()})
    assert [row["significant"] for row in rows_of(records)] == [None, "no", "yes"]
    assert "<0.001*" in write_leaderboard(records, tmp_path)
    assert "0.9007 ± 0.0025 [0.8944, 0.9069]" in (tmp_path / "leaderboard.md").read_text()


def test_scores_on_other_rows_are_warned_of(tmp_path: Path) -> None:
    records = [record(tmp_path, [f"data.split_seed={seed}"]) for seed in (1, 2)]
    for each in records:
        each.data = {"validation": {"rows": 3, "fingerprint": "same"}}
    assert "same validation rows" not in note(entries(records))
    records[1].data["validation"]["fingerprint"] = "other"
    assert "Not all were scored on the same validation rows" in note(entries(records))


def test_who_lost_a_race_is_behind_by_the_seeds_that_both_have(tmp_path: Path) -> None:
    records = board({"1": {1: 0.95, 2: 0.80, 3: 0.80}, "2": {1: 0.90}, "3": {4: 0.99}})
    records += [record(tmp_path, [f"optimizer.lr={lr}", "seed=2"], status="pruned") for lr in (2, 3)]
    for turned in (False, True):
        best, *others = rows_of(minimised(records[:5]) + records[5:] if turned else records)
        assert (best["optimizer.lr"], best["rank"]) == ("1", 1)
        assert {row["optimizer.lr"]: row["gap"] for row in others} == {"2": pytest.approx(0.05), "3": None}


def test_a_reproduction_does_not_take_the_place_of_the_run(tmp_path: Path) -> None:
    first, again = (record(tmp_path, ["seed=1"], f1) for f1 in (0.5, 0.4))
    again.started, again.reproduces = "9", {"folder": str(first.folder)}
    for records in ([first, again], [again, first]):
        assert [row["val_f1_mean"] for row in rows_of(records)] == [0.5]
    assert [row["val_f1_mean"] for row in rows_of([again])] == [0.4]
