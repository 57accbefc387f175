"""Sweeps written by hand: records, curves and what a report says, without a training."""

import json
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from finesweep.results.record import RunRecord

#: What a label or a text of data may be.
EVIL = "<script>alert('x')</script>"


def run(
    folder: Path, f1: float, *overrides: str, status: str = "ok", error: str | None = None, metric: str = "f1",
    seconds: float = 10.0, trainable: int = 100, steps: int = 3, **more: Any,
) -> RunRecord:  # fmt: skip
    """A run that was done, with its curves, below ``folder``."""
    seed = next((int(text.removeprefix("seed=")) for text in overrides if text.startswith("seed=")), 1)
    name = ",".join(overrides).replace("/", "_") or "run"
    record = RunRecord(folder / name, "demo-tiny", seed, f"hash of {name}", "finesweep train -m …", list(overrides))
    record.started, record.finished = "2026-01-02T03:04:05+00:00", "2026-01-02T03:05:10+00:00"
    record.status, record.error = status, error  # type: ignore[assignment]
    record.environment = {
        "python": "3.12.1", "platform": "Linux", "cpu": "a processor", "cores": 2, "threads": 1, "gpus": [],
        "packages": {"torch": "2.13.0", "zlib": "1"},
    }  # fmt: skip
    record.data = {"train": {"rows": 1000}, "validation": {"rows": 100}}
    if status == "ok":
        record.objective = {
            "metric": metric, "direction": "minimize" if metric == "loss" else "maximize", "value": f1, "epoch": 1,
            "step": 2,
        }  # fmt: skip
        record.metrics = {"validation": {metric: f1}, "test": {metric: f1}}
        record.parameters = {"total": 1000, "trainable": trainable}
        record.timing, record.peak_memory_bytes = {"train_seconds": seconds}, 10**6
    for key, value in more.items():
        setattr(record, key, value)
    record.write()
    rows = "".join(f"{10 * i},{1 / (i + 1)},{f1 * i / steps}\n" for i in range(steps))
    (record.folder / "metrics.csv").write_text(f"step,train/loss,val/{metric}\n{rows}")
    return record


def grid(folder: Path, score: Callable[[str, str], float], seeds: Sequence[int] = (1, 2)) -> list[RunRecord]:
    """Strategies by learning rates by seeds; later seeds are better, by 0.01 or a little less."""
    return [
        run(
            folder, score(strategy, lr) + (0.01 if strategy == "full" else 0.009) * seed,
            f"finetune_strategy={strategy}", f"optimizer.lr={lr}", f"seed={seed}",
        )
        for strategy, lr, seed in product(("full", "lora", "frozen"), ("0.00001", "0.001"), seeds)
    ]  # fmt: skip


def report(record: RunRecord, **validation: Any) -> None:
    """What the run's report says of validation: a table, a confusion and an error, with HTML in all of them."""
    said = {
        "tables": [{"title": "Classes", "note": "each", "header": ["class", "f1"], "rows": [[EVIL, 0.25]]}],
        "confusion": {"labels": [EVIL, "b"], "counts": [[3, 1], [0, 4321]]},
        "hardest": {
            "title": "Hardest errors", "note": "sure", "header": ["text", "probability"], "rows": [[EVIL, 0.75]]
        },
    }  # fmt: skip
    (record.folder / "report.json").write_text(json.dumps({"validation": said | validation}))
