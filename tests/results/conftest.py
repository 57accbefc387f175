"""A sweep as its page is to show it."""

from pathlib import Path

import pytest

from tests.results.sweeps import grid, report, run


def score(strategy: str, lr: str) -> float:
    return {"full": 0.8, "lora": 0.7, "frozen": 0.2}[strategy] + (0.1 if lr == "0.001" else 0.0)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Six configurations with two seeds each, and three runs that did not end well."""
    folder = tmp_path / "sweep-1"
    records = grid(folder, score)
    report(records[2])  # of the best configuration the lower of two seeds
    traceback = (
        'Traceback (most recent call last):\n  File "x"\n    y\nfinesweep.errors.TrainingError: boom <b>\n  -> z'
    )
    failed = run(folder, 0.0, "finetune_strategy=dora", "optimizer.lr=1", status="failed", error=traceback)
    (failed.folder / "log.txt").write_text("")
    for lr, status, error in (("2", "pruned", "the search has stopped it\nmore"), ("3", "interrupted", "SIGTERM")):
        run(folder, 0.0, "finetune_strategy=dora", f"optimizer.lr={lr}", status=status, error=error)
    return folder
