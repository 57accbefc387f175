"""Runs written by hand: records and files as a training leaves them, without the training."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from finesweep.config.identity import config_hash
from finesweep.results.record import RunRecord, Status

BEGAN = datetime.fromisoformat("2026-11-26T12:00:00+00:00")


def run(
    folder: Path, overrides: list[str], score: float = 0.5, *, status: Status = "ok", sweep: str | None = None,
    values: dict[str, Any] | None = None, seconds: float = 60, model: int = 1000,
) -> RunRecord:  # fmt: skip
    """A run in a folder, in the state ``status``, with a model of so many bytes if it ended well."""
    config = values or {"name": "demo-tiny", "seed": 1, "data": {"name": "demo"}}
    record = RunRecord(folder, config["name"], config["seed"], config_hash(config), "finesweep train", overrides)
    record.config, record.sweep, record.started = config, sweep, BEGAN.isoformat()
    record.status = status
    if status != "running":
        record.finished = (BEGAN + timedelta(seconds=seconds)).isoformat()
    if status == "ok":
        record.metrics = {"validation": {"f1": score}, "test": {"f1": score / 2}}
        record.objective = {"metric": "f1", "direction": "maximize", "value": score, "epoch": 1, "step": 1}
        record.parameters, record.timing = {"total": 10, "trainable": 5}, {"train_seconds": seconds / 2}
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "config.json").write_text("{}")
        (folder / "model" / "model.safetensors").write_bytes(bytes(model - 2))
    record.write()
    return record
