"""Records with scores and nothing else, for what is ranked, and the rows that the leaderboard makes of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesweep.config.identity import config_hash
from finesweep.results.leaderboard import entries, table
from finesweep.results.record import RunRecord


def record(
    folder: Path, overrides: list[str], f1: float = 0.5, test: float = 0.5, status: str = "ok", **config: Any
) -> RunRecord:
    """Of a job with these overrides; with a configuration that holds ``config`` if that is given."""
    seed = int(dict(text.split("=") for text in overrides).get("seed", 1))
    done = RunRecord(folder / " ".join(overrides), "demo", seed, " ".join(overrides), "", overrides)
    if config:
        done.config = {"seed": seed, "data": {"name": "demo", "fold": 0}, **config}
        done.config_hash = config_hash(done.config)
    done.status = status  # type: ignore[assignment]
    if status == "ok":
        done.metrics = {"validation": {"f1": f1, "loss": 1 - f1}, "test": {"f1": test}}
        done.objective = {"metric": "f1", "direction": "maximize", "value": f1, "epoch": 1, "step": 1}
        done.parameters = {"total": 10, "trainable": 5}
        done.timing = {"train_seconds": 2.0}
        done.peak_memory_bytes = 3_000_000_000
    return done


def minimised(records: list[RunRecord]) -> list[RunRecord]:
    """The same with the loss for an objective."""
    for each in records:
        each.objective |= {"metric": "loss", "direction": "minimize", "value": each.metrics["validation"]["loss"]}
        each.metrics["test"]["loss"] = 0.4
    return records


def board(scores: Mapping[str, Mapping[int, float]]) -> list[RunRecord]:
    """Records of ``{lr: {seed: f1}}``."""
    runs = [(lr, seed, f1) for lr, each in scores.items() for seed, f1 in each.items()]
    return [record(Path(), [f"optimizer.lr={lr}", f"seed={seed}"], f1) for lr, seed, f1 in runs]


def rows_of(records: list[RunRecord]) -> list[dict[str, Any]]:
    header, rows = table(entries(records))
    return [dict(zip(header, row, strict=True)) for row in rows]
