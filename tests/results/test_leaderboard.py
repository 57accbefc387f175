"""The leaderboard: which runs are one configuration, what is said of it, and how it is shown; without a training."""

import csv
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from finesweep.config.identity import config_hash
from finesweep.results.leaderboard import compact, entries, table, write_leaderboard
from finesweep.results.record import RunRecord, recorded_config, records_in
from tests.results.scores import board, minimised, record, rows_of

OLD = Path(__file__).parent / "run_of_format_1"


# Which runs are one configuration.


def test_folds_are_replicates_too(tmp_path: Path) -> None:
    runs = [(lr, fold, seed) for lr in (1, 2) for fold in (0, 1, 2) for seed in (1, 2)]
    rows = rows_of([
        record(tmp_path, [f"optimizer.lr={lr}", f"data.fold={fold}", f"seed={seed}"], 0.1 * lr + 0.01 * fold)
        for lr, fold, seed in runs
    ])  # fmt: skip
    assert "data.fold" not in rows[0]
    assert [(row["n"], row["seeds"]) for row in rows] == [(6, 2), (6, 2)]
    assert rows[0]["val_f1_mean"] == pytest.approx(0.21)


def test_one_who_says_the_default_and_one_who_does_not_are_one_configuration(tmp_path: Path) -> None:
    optimizer = {"_target_": "finesweep.training.optimizers.AdamW", "lr": 0.001, "momentum": None, "nesterov": True}
    said = [
        ["seed=1"], ["optimizer=adamw", "seed=2"], ["optimizer.lr=1e-3", "optimizer.momentum=null", "seed=3"],
        ["optimizer.nesterov=true", "seed=4"],
    ]  # fmt: skip
    records = [record(tmp_path, each, optimizer=optimizer) for each in said]
    records.append(record(tmp_path, ["optimizer.lr=0.2", "seed=1"], optimizer={**optimizer, "lr": 0.2}))
    rows = rows_of(records)
    assert {(row["optimizer.lr"], row["n"]) for row in rows} == {("0.001", 4), ("0.2", 1)}
    assert not {"optimizer.momentum", "optimizer.nesterov"} & rows[0].keys()


def test_an_option_that_was_not_chosen_is_named(tmp_path: Path) -> None:
    strategy = {"_target_": "finesweep.strategies.full.Full", "name": "full"}
    lora = {"_target_": "finesweep.strategies.peft_method.Lora", "name": "lora"}
    rows = rows_of([
        record(tmp_path, ["seed=1"], finetune_strategy=strategy, optimizer={"_target_": "a.b.AdamW", "lr": 1}),
        record(tmp_path, ["finetune_strategy=lora", "optimizer=sgd"], finetune_strategy=lora,
               optimizer={"_target_": "a.b.SGD", "lr": 2}),
    ])  # fmt: skip
    assert {(row["finetune_strategy"], row["optimizer"]) for row in rows} == {("full", "AdamW"), ("lora", "sgd")}


def test_keys_that_change_no_result_are_no_columns(tmp_path: Path) -> None:
    overrides = ["hydra.run.dir=a", "hydra/launcher=local", "name=x", "logger.project=p", "trainer.progress=false"]
    (row,) = rows_of([record(tmp_path, ["seed=1"], x=1), record(tmp_path, [*overrides, "seed=2"], x=1)])
    assert row["n"] == 2
    assert not {text.partition("=")[0] for text in overrides} & row.keys()


def test_configurations_that_no_command_line_tells_apart_are_told_apart(tmp_path: Path) -> None:
    """As when a file of configuration was edited between two runs."""
    rows = rows_of([record(tmp_path / str(r), ["seed=1"], finetune_strategy={"name": "lora", "r": r}) for r in (4, 8)])
    assert {row["finetune_strategy.r"] for row in rows} == {"4", "8"}


def test_data_sets_that_experiments_brought_are_ranked_apart(tmp_path: Path) -> None:
    rows = rows_of([
        record(tmp_path, [f"experiment={name}", "seed=1"], data={"name": name, "fold": 0}) for name in ("a", "b")
    ])  # fmt: skip
    assert [(row["data"], row["rank"]) for row in rows] == [("a", 1), ("b", 1)]


def test_a_run_of_format_1_is_grouped_by_its_config_yaml(tmp_path: Path) -> None:
    shutil.copytree(OLD, tmp_path / "old")
    old = RunRecord.read(tmp_path / "old")
    values = {**recorded_config(old), "seed": 2}
    new = RunRecord(tmp_path / "new", old.name, 2, config_hash(values), "", ["seed=2"], "ok", config=values)
    new.metrics, new.objective = old.metrics, old.objective  # and nothing of what it costs
    (row,) = rows_of([old, new])
    assert (row["n"], row["train_seconds"], row["trainable_parameters"]) == (2, 1, 588169)
    (tmp_path / "old" / "config.yaml").unlink()
    assert [row["n"] for row in rows_of([RunRecord.read(tmp_path / "old")])] == [1]


def test_a_job_that_was_done_twice_counts_once_and_what_was_done_is_done(tmp_path: Path) -> None:
    old, new, failed = (
        record(tmp_path, ["seed=1"], f1, status=s) for f1, s in ((0.1, "ok"), (0.2, "ok"), (0, "failed"))
    )
    old.started, new.started, failed.started = "2026-01-01", "2026-01-02", "2026-01-03"
    (row,) = rows_of([failed, new, old])
    assert (row["n"], row["failed"], row["val_f1_mean"]) == (1, 0, 0.2)


# How they are ranked.


def test_the_leaderboard_groups_seeds_and_ranks_by_validation(tmp_path: Path) -> None:
    records = [
        record(tmp_path, ["optimizer.lr=1", "seed=1", "data=demo"], 0.5, test=0.99),
        record(tmp_path, ["optimizer.lr=1", "seed=2", "data=demo"], 0.7, test=0.99),
        record(tmp_path, ["optimizer.lr=2", "seed=1", "data=demo"], 0.9, test=0.1),
        record(tmp_path, ["optimizer.lr=2", "seed=2", "data=demo"], status="failed"),
        record(tmp_path, ["optimizer.lr=3", "seed=1", "data=demo"], status="failed"),
    ]
    header, _ = table(entries(records))
    assert header == [
        "rank", "optimizer.lr", "metric", "n", "seeds", "failed", "pruned", "interrupted", "val_f1_mean", "val_f1_std",
        "val_f1_ci_low", "val_f1_ci_high", "gap", "p", "p_holm", "significant", "test_f1_mean", "test_f1_std",
        "trainable_parameters", "train_seconds", "peak_memory_bytes",
    ]  # fmt: skip
    told = rows_of(records)
    assert [row["optimizer.lr"] for row in told] == ["2", "1", "3"]
    assert [row["rank"] for row in told] == [1, 2, None]
    assert [(row["n"], row["failed"]) for row in told] == [(1, 1), (2, 0), (0, 1)]
    assert [row["val_f1_mean"] for row in told] == [0.9, 0.6, None]
    assert [row["val_f1_std"] for row in told] == [None, pytest.approx(0.141421, abs=1e-6), None]
    assert [row["gap"] for row in told] == [0, 0.3, None]
    assert [row["p"] for row in told] == [None, None, None]
    assert [row["test_f1_mean"] for row in told] == [0.1, None, None]
    assert [row["peak_memory_bytes"] for row in told] == [3_000_000_000, 3_000_000_000, None]
    shown = write_leaderboard(records, tmp_path)
    with (tmp_path / "leaderboard.csv").open(newline="") as stream:
        assert next(csv.reader(stream)) == header
    lines = (tmp_path / "leaderboard.md").read_text().splitlines()
    assert sum(line.startswith("| ") for line in lines) == 5  # header, rule and three configurations
    assert "0.6000" in shown


def test_data_sets_and_metrics_are_ranked_apart(tmp_path: Path) -> None:
    records = [
        record(tmp_path, [f"data={data}", f"optimizer.lr={lr}"], value)
        for data, lr, value in (("a", 1, 0.2), ("a", 2, 0.3), ("b", 1, 0.9), ("b", 2, 0.8))
    ]
    minimised(records[2:])
    told = rows_of(records)
    assert [(row["data"], row["metric"], row["rank"], row["optimizer.lr"]) for row in told] == [
        ("a", "f1", 1, "2"), ("a", "f1", 2, "1"), ("b", "loss", 1, "1"), ("b", "loss", 2, "2"),
    ]  # fmt: skip
    assert [row["test_objective_mean"] for row in told] == [0.5, None, 0.4, None]
    assert "metric" in compact(entries(records))[0]


def test_a_minimised_objective_ranks_the_lowest_first(tmp_path: Path) -> None:
    rows = rows_of(minimised([record(tmp_path, [f"optimizer.lr={n}"], f1) for n, f1 in ((1, 0.9), (2, 0.1))]))
    assert [(row["optimizer.lr"], row["gap"]) for row in rows] == [("1", 0), ("2", pytest.approx(0.8))]


def test_all_failed_is_still_a_leaderboard(tmp_path: Path) -> None:
    shown = write_leaderboard([record(tmp_path, ["seed=1"], status="failed")], tmp_path)
    assert "failed" in shown


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_what_is_no_number_has_no_rank_and_leaves_the_others_alone(tmp_path: Path, odd: float) -> None:
    scores = {"1": {1: 0.9, 2: 0.91}, "2": {1: 0.95, 2: odd}, "3": {1: 0.1, 2: 0.12}}
    without = rows_of(board({lr: scores[lr] for lr in ("1", "3")}))
    rows = rows_of(board(scores))
    assert [(row["optimizer.lr"], row["rank"]) for row in rows] == [("1", 1), ("3", 2), ("2", None)]
    assert rows[:2] == without
    assert rows[2]["p"] is None
    write_leaderboard(board(scores), tmp_path)


def test_runs_that_did_not_end_well_are_counted_each_as_what_they_are(tmp_path: Path) -> None:
    ends = ["ok", "failed", "pruned", "pruned", "interrupted"]
    records = [record(tmp_path, [f"seed={seed}"], status=status) for seed, status in enumerate(ends)]
    (row,) = rows_of(records)
    assert (row["n"], row["failed"], row["pruned"], row["interrupted"]) == (1, 1, 2, 1)
    write_leaderboard(records, tmp_path)
    assert "| pruned |" in (tmp_path / "leaderboard.md").read_text()
    write_leaderboard(records[:1], tmp_path)
    assert "| pruned |" not in (tmp_path / "leaderboard.md").read_text()


# How it is shown.


def test_a_terminal_shows_the_best_twenty(tmp_path: Path) -> None:
    records = board({str(lr): {1: lr / 100} for lr in range(30)})
    failed = record(tmp_path, ["optimizer.lr=0", "seed=2"], status="failed")
    shown = write_leaderboard([*records, failed], tmp_path)
    assert "The best 20 of 30; 10 more are in leaderboard.csv" in shown
    assert sum(line.startswith("│") for line in shown.splitlines()) == 20
    assert "failed" in shown  # though it is further down
    assert len((tmp_path / "leaderboard.csv").read_text().splitlines()) == 31


def test_of_each_data_set_a_terminal_shows_the_best(tmp_path: Path) -> None:
    runs = [(data, lr) for data in ("first", "second") for lr in range(25)]
    shown = write_leaderboard(
        [record(tmp_path, [f"data={d}", f"optimizer.lr={lr}"], lr / 100) for d, lr in runs], tmp_path
    )
    assert [sum(f"│ {data} " in line for line in shown.splitlines()) for data in ("first", "second")] == [10, 10]


def test_brackets_and_pipes_are_shown_as_they_are(tmp_path: Path) -> None:
    shown = write_leaderboard([record(tmp_path, [f"model.layers={each}"]) for each in ("[head]", "a|b")], tmp_path)
    assert "[head]" in shown
    assert "a|b" in shown
    assert "a\\|b" in (tmp_path / "leaderboard.md").read_text()


def test_records_are_read_again_where_they_have_changed(tmp_path: Path) -> None:
    for seed in (1, 2):
        record(tmp_path, [f"seed={seed}"]).end("ok")
    known: dict[Path, Any] = {}
    first, second = records_in(tmp_path, known)
    second.folder.joinpath("record.json").unlink()
    RunRecord.read(first.folder).end("failed", "it was mended")
    (again,) = records_in(tmp_path, known)
    assert again.error == "it was mended"
    assert records_in(tmp_path, known)[0] is again
