"""Leaderboards of hand-written records: who is ranked where, and what is said of the gaps."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from finesweep.results.leaderboard import entries, table, write_leaderboard
from finesweep.results.record import RunRecord
from finesweep.results.significance import holm


def record(folder: Path, overrides: list[str], f1: float, test: float = 0.5, status: str = "ok") -> RunRecord:
    seed = int(dict(text.split("=") for text in overrides).get("seed", 1))
    done = RunRecord(folder, "demo", seed, " ".join(overrides), "", overrides)
    done.status = status  # type: ignore[assignment]
    if status == "ok":
        done.metrics = {"validation": {"f1": f1, "loss": 1 - f1}, "test": {"f1": test}}
        done.objective = {"metric": "f1", "direction": "maximize", "value": f1, "epoch": 1, "step": 1}
        done.parameters = {"total": 10, "trainable": 5}
        done.timing = {"train_seconds": 2.0}
    return done


def test_folds_are_replicates_too(tmp_path: Path) -> None:
    runs = [(lr, fold, seed) for lr in (1, 2) for fold in (0, 1, 2) for seed in (1, 2)]
    records = [
        record(tmp_path, [f"optimizer.lr={lr}", f"data.fold={fold}", f"seed={seed}"], 0.1 * lr + 0.01 * fold)
        for lr, fold, seed in runs
    ]
    header, rows = table(entries(records))
    assert "data.fold" not in header
    assert [dict(zip(header, row, strict=True))["n"] for row in rows] == [6, 6]
    assert dict(zip(header, rows[0], strict=True))["val_f1_mean"] == pytest.approx(0.21)


def test_data_sets_and_metrics_are_ranked_apart(tmp_path: Path) -> None:
    records = [
        record(tmp_path, [f"data={data}", f"optimizer.lr={lr}"], value)
        for data, lr, value in (("a", 1, 0.2), ("a", 2, 0.3), ("b", 1, 0.9), ("b", 2, 0.8))
    ]
    for each in records[2:]:
        each.objective["metric"] = "loss"
        each.objective["direction"] = "minimize"
        each.objective["value"] = each.metrics["validation"]["loss"]
        each.metrics["test"]["loss"] = 0.4
    header, rows = table(entries(records))
    told = [dict(zip(header, row, strict=True)) for row in rows]
    assert [(row["data"], row["metric"], row["rank"], row["optimizer.lr"]) for row in told] == [
        ("a", "f1", 1, "2"), ("a", "f1", 2, "1"), ("b", "loss", 1, "1"), ("b", "loss", 2, "2"),
    ]  # fmt: skip
    assert [row["test_objective_mean"] for row in told] == [0.5, None, 0.4, None]


def test_the_leaderboard_groups_seeds_and_ranks_by_validation(tmp_path: Path) -> None:
    records = [
        record(tmp_path, ["optimizer.lr=1", "seed=1", "data=demo"], 0.5, test=0.99),
        record(tmp_path, ["optimizer.lr=1", "seed=2", "data=demo"], 0.7, test=0.99),
        record(tmp_path, ["optimizer.lr=2", "seed=1", "data=demo"], 0.9, test=0.1),
        record(tmp_path, ["optimizer.lr=2", "seed=2", "data=demo"], 0.0, status="failed"),
        record(tmp_path, ["optimizer.lr=3", "seed=1", "data=demo"], 0.0, status="failed"),
    ]
    header, rows = table(entries(records))
    told = [dict(zip(header, row, strict=True)) for row in rows]
    assert [row["optimizer.lr"] for row in told] == ["2", "1", "3"]
    assert [row["rank"] for row in told] == [1, 2, None]
    assert [(row["n"], row["failed"]) for row in told] == [(1, 1), (2, 0), (0, 1)]
    assert [row["val_f1_mean"] for row in told] == [0.9, 0.6, None]
    assert [row["val_f1_std"] for row in told] == [None, pytest.approx(0.141421, abs=1e-6), None]
    assert [row["test_f1_mean"] for row in told] == [0.1, None, None]
    shown = write_leaderboard(records, tmp_path)
    assert "optimizer.lr" in (tmp_path / "leaderboard.csv").read_text()
    lines = (tmp_path / "leaderboard.md").read_text().splitlines()
    assert sum(line.startswith("| ") for line in lines) == 5  # header, rule and three configurations
    assert "0.6000" in shown


def test_a_minimised_objective_ranks_the_lowest_first(tmp_path: Path) -> None:
    records = [record(tmp_path, [f"optimizer.lr={n}"], f1) for n, f1 in ((1, 0.9), (2, 0.1))]
    for each in records:
        each.objective |= {"metric": "loss", "direction": "minimize", "value": each.metrics["validation"]["loss"]}
    assert [entry.settings["optimizer.lr"] for entry in entries(records)] == ["1", "2"]


def test_all_failed_is_still_a_leaderboard(tmp_path: Path) -> None:
    shown = write_leaderboard([record(tmp_path, ["seed=1"], 0, status="failed")], tmp_path)
    assert "failed" in shown


def test_what_is_no_number_is_ranked_behind(tmp_path: Path) -> None:
    records = [record(tmp_path, [f"optimizer.lr={lr}"], value) for lr, value in ((1, 0.5), (2, math.nan), (3, 0.9))]
    for each, value in zip(records, (0.5, math.nan, 0.9), strict=True):
        each.objective["value"] = value
    _, rows = table(entries(records))
    assert [row[1] for row in rows] == ["3", "1", "2"]


def board(scores: dict[str, dict[int, float]]) -> list[RunRecord]:
    """Records of ``{lr: {seed: f1}}``."""
    return [
        record(Path(), [f"optimizer.lr={lr}", f"seed={seed}"], f1)
        for lr, each in scores.items()
        for seed, f1 in each.items()
    ]


def rows_of(records: list[RunRecord]) -> list[dict[str, object]]:
    header, rows = table(entries(records))
    return [dict(zip(header, row, strict=True)) for row in rows]


_SCORES = st.dictionaries(
    st.sampled_from("abcd"),
    st.dictionaries(st.integers(1, 5), st.floats(0, 1).map(lambda x: round(x, 3)), min_size=2),
    min_size=2,
)


@settings(deadline=None)
@given(_SCORES, st.randoms())
def test_what_is_said_of_gaps_is_what_scipy_says(scores: dict[str, dict[int, float]], order: object) -> None:
    records = board(scores)
    order.shuffle(records)  # type: ignore[attr-defined]
    told = rows_of(records)
    best = scores[str(told[0]["optimizer.lr"])]
    assert np.mean(list(best.values())) == pytest.approx(max(np.mean(list(each.values())) for each in scores.values()))
    raw = []
    for row in told:
        mine = scores[str(row["optimizer.lr"])]
        values = list(mine.values())
        assert row["n"] == len(values)
        if np.ptp(values) > 0:
            low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
            assert (row["val_f1_ci_low"], row["val_f1_ci_high"]) == pytest.approx((low, high), abs=2e-6)
        if row["rank"] == 1 or row["p"] is None:
            continue
        if mine.keys() <= best.keys():
            p = stats.ttest_rel([best[seed] for seed in mine], values).pvalue
        else:
            p = stats.ttest_ind(list(best.values()), values, equal_var=False).pvalue
        assert row["p"] == pytest.approx(p, abs=2e-6)
        raw.append((p, row["p_holm"], row["significant"]))
    for (_, adjusted, significant), expected in zip(raw, holm([p for p, _, _ in raw]), strict=True):
        assert adjusted == pytest.approx(expected, abs=2e-6)
        assert significant == ("yes" if expected < 0.05 else "no")


def test_a_clear_gap_is_significant_and_a_small_one_is_not(tmp_path: Path) -> None:
    noise = {1: 0.001, 2: -0.002, 3: 0.003}
    records = board({lr: {seed: at + sign * n for seed, n in noise.items()} for lr, at, sign in
                     (("1", 0.9, 1), ("2", 0.899, -1), ("3", 0.5, -1))})  # fmt: skip
    assert [row["significant"] for row in rows_of(records)] == [None, "no", "yes"]
    shown = write_leaderboard(records, tmp_path)
    assert "*" in shown
    assert "0.9007 ± 0.0025 [0.8944, 0.9069]" in (tmp_path / "leaderboard.md").read_text()


def test_runs_that_did_not_end_well_are_counted_each_as_what_they_are(tmp_path: Path) -> None:
    ends = ["ok", "failed", "pruned", "pruned", "interrupted"]
    records = [record(tmp_path, [f"seed={seed}"], 0.5, status=status) for seed, status in enumerate(ends)]
    (row,) = rows_of(records)
    assert (row["n"], row["failed"], row["pruned"], row["interrupted"]) == (1, 1, 2, 1)
    write_leaderboard(records, tmp_path)
    assert "| pruned |" in (tmp_path / "leaderboard.md").read_text()
    write_leaderboard(records[:1], tmp_path)
    assert "| pruned |" not in (tmp_path / "leaderboard.md").read_text()


def test_a_job_that_was_done_twice_counts_once_and_what_was_done_is_done(tmp_path: Path) -> None:
    old, new, failed = (
        record(tmp_path, ["seed=1"], f1, status=s) for f1, s in ((0.1, "ok"), (0.2, "ok"), (0, "failed"))
    )
    old.started, new.started, failed.started = "2026-01-01", "2026-01-02", "2026-01-03"
    (row,) = rows_of([failed, new, old])
    assert (row["n"], row["failed"], row["val_f1_mean"]) == (1, 0, 0.2)


def test_one_who_says_the_default_and_one_who_does_not_are_one_configuration(tmp_path: Path) -> None:
    overrides = [["seed=1"], ["optimizer.lr=0.1", "seed=2"], ["optimizer.lr=0.2", "seed=3"]]
    records = [record(tmp_path, each, 0.5) for each in overrides]
    for each, lr in zip(records, (0.1, 0.1, 0.2), strict=True):
        each.config = {"seed": each.seed, "data": {"name": "demo"}, "optimizer": {"lr": lr}}
    assert {(row["optimizer.lr"], row["n"]) for row in rows_of(records)} == {("0.1", 2), ("0.2", 1)}


def test_a_terminal_shows_the_best_twenty(tmp_path: Path) -> None:
    shown = write_leaderboard(board({str(lr): {1: lr / 100} for lr in range(30)}), tmp_path)
    assert "The best 20 of 30" in shown
    assert len((tmp_path / "leaderboard.csv").read_text().splitlines()) == 31
