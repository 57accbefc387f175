"""A frozen encoder runs once over each row: the same scores as without, for every model, and only where that is so."""

from collections.abc import Callable
from pathlib import Path

import pytest

import finesweep
from finesweep.results.record import RunRecord

Run = Callable[..., RunRecord]


@pytest.fixture
def run(tmp_path: Path, quick: list[str]) -> Run:
    def start(name: str, *overrides: str) -> RunRecord:
        return finesweep.run(
            [*quick, f"cache_dir={tmp_path / 'cache'}", f"hydra.run.dir={tmp_path / name}", *overrides]
        )

    return start


def states(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("states/*.npy"))


@pytest.mark.parametrize(
    "strategy", [["finetune_strategy=frozen"], ["finetune_strategy=top_layers", "finetune_strategy.layers=1"]]
)
def test_scores_are_those_of_a_run_that_keeps_nothing(run: Run, tmp_path: Path, strategy: list[str]) -> None:
    kept = run("kept", *strategy)
    assert len(states(tmp_path)) == 3  # of each split
    without = run("without", *strategy, "cache_gb=0")
    assert kept.config_hash == without.config_hash
    for split, scores in without.metrics.items():
        assert kept.metrics[split] == pytest.approx(scores, rel=1e-4)
    assert kept.timing["encode_seconds"] > without.timing["encode_seconds"] == 0


def test_another_run_reads_them_and_gets_the_same_to_the_last_bit(run: Run, tmp_path: Path) -> None:
    first = run("first", "finetune_strategy=frozen")
    found = {file: file.stat().st_ino for file in states(tmp_path)}
    second = run("second", "finetune_strategy=frozen")
    assert second.metrics == first.metrics
    assert second.model["weights"] == first.model["weights"]
    assert {file: file.stat().st_ino for file in states(tmp_path)} == found


def test_where_all_trains_nothing_is_kept(run: Run, tmp_path: Path) -> None:
    assert run("full").timing["encode_seconds"] == 0
    assert not states(tmp_path)
