"""Records, leaderboards and reports on their own, without a training."""

import math
from pathlib import Path

import pytest

from finesweep.config.errors import UserError
from finesweep.results.environment import environment, git_state, uncommitted
from finesweep.results.figures import confusion_matrix
from finesweep.results.leaderboard import entries, table, write_leaderboard
from finesweep.results.record import RunRecord, repeatable_config
from finesweep.results.tables import markdown_table
from finesweep.training.assemble import Components


def record(folder: Path, overrides: list[str], f1: float, test: float = 0.5, status: str = "ok") -> RunRecord:
    done = RunRecord(folder, "demo", 1, "hash", "", overrides)
    done.status = status  # type: ignore[assignment]
    if status == "ok":
        done.metrics = {"validation": {"f1": f1, "loss": 1 - f1}, "test": {"f1": test}}
        done.objective = {"metric": "f1", "direction": "maximize", "value": f1, "epoch": 1, "step": 1}
        done.parameters = {"total": 10, "trainable": 5}
        done.timing = {"train_seconds": 2.0}
    return done


def test_a_record_survives_writing_and_reading(tmp_path: Path) -> None:
    written = record(tmp_path, ["seed=1"], 0.9)
    written.end("ok")
    assert RunRecord.read(tmp_path) == written


def test_a_record_of_a_later_version_with_more_in_it_can_be_read(tmp_path: Path) -> None:
    written = record(tmp_path, [], 0.9)
    written.end("ok")
    file = tmp_path / "record.json"
    file.write_text(file.read_text().replace('"name"', '"unheard_of": 3,\n  "name"', 1))
    assert RunRecord.read(tmp_path).name == "demo"


@pytest.mark.parametrize("content", [None, "{", "", "{}", "[]"])
def test_no_record_or_a_broken_one_is_one_message(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "record.json").write_text(content)
    with pytest.raises(UserError, match=str(tmp_path)):
        RunRecord.read(tmp_path)


def test_the_environment_holds_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "hush-hush")
    assert "hush-hush" not in str(environment())


def test_git_state_outside_of_a_repository(tmp_path: Path) -> None:
    assert git_state(tmp_path) == {"commit": None, "dirty": None}
    assert uncommitted(tmp_path) == ""


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
    assert header == [
        "rank", "optimizer.lr", "n", "failed", "val_f1_mean", "val_f1_std", "test_f1_mean", "test_f1_std",
        "trainable_parameters", "train_seconds",
    ]  # fmt: skip
    assert rows[0][:8] == [1, "2", 1, 1, 0.9, None, 0.1, None]
    assert rows[1][:8] == [2, "1", 2, 0, 0.6, pytest.approx(0.141421, abs=1e-6), None, None]
    assert rows[2][:5] == [None, "3", 0, 1, None]
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


def test_markdown_escapes_pipes() -> None:
    assert markdown_table(["a", "b"], [["x|y", 0.5]]).splitlines()[-1] == "| x\\|y | 0.5000 |"


def test_a_confusion_matrix_with_an_empty_row_and_many_labels(tmp_path: Path) -> None:
    labels = [f"B-{i}" for i in range(40)]
    confusion_matrix(labels, [[i if i == j else 0 for j in range(40)] for i in range(40)], tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_no_number_is_ranked_behind(tmp_path: Path) -> None:
    records = [record(tmp_path, [f"optimizer.lr={lr}"], value) for lr, value in ((1, 0.5), (2, math.nan), (3, 0.9))]
    for each, value in zip(records, (0.5, math.nan, 0.9), strict=True):
        each.objective["value"] = value
    _, rows = table(entries(records))
    assert [row[1] for row in rows] == ["3", "1", "2"]


def test_a_confusion_matrix_of_very_many_labels_stays_a_picture(tmp_path: Path) -> None:
    labels = [f"label {number}" for number in range(400)]
    confusion_matrix(labels, [[int(i == j) for j in range(400)] for i in range(400)], tmp_path / "large.png")
    with (tmp_path / "large.png").open("rb") as stream:
        width = int.from_bytes(stream.read(24)[16:20], "big")
    assert width < 5000


def test_runs_of_format_1_stay_readable() -> None:
    """Written by the code of then; what came later is filled in, so that they can be run again."""
    old = RunRecord.read(Path(__file__).parent / "run_of_format_1")
    assert (old.format, old.status, old.resumed) == (1, "ok", [])
    assert old.metrics["validation"]["f1"] == pytest.approx(0.0421, abs=1e-4)
    parts = Components.of(repeatable_config(old))
    assert parts.trainer.checkpoint_minutes == 5


def test_a_record_of_a_newer_format_says_so(tmp_path: Path) -> None:
    record(tmp_path, [], 0.9).end("ok")
    file = tmp_path / "record.json"
    file.write_text(file.read_text().replace('"format": 2', '"format": 3'))
    with pytest.raises(UserError, match="update finesweep"):
        RunRecord.read(tmp_path)
