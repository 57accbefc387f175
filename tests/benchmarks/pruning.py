"""Successive halving against the whole grid: time saved, and where the configuration that it finds stands in the grid.

    python tests/benchmarks/pruning.py [--pruner asha] 'optimizer.lr=1e-4,1e-3,1e-2' finetune_strategy=full,lora …

The overrides are those of a grid, keys of replicates (seed, data.fold) among them; without any, a grid on the demo.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from machine import FINESWEEP, facts

from finesweep.results.record import records_in

DEMO = [
    "finetune_strategy=full,lora", "optimizer.lr=1e-5,1e-4,3e-4,1e-3,3e-3,1e-2", "scheduler=linear,constant",
    "data.limit.train=2000", "trainer.max_epochs=6",
]  # fmt: skip
SAVE = ["trainer.save_model=false"]


def sweep(folder: Path, *overrides: str) -> tuple[float, list[dict[str, str]]]:
    """Seconds, and the rows of the leaderboard."""
    begun = time.monotonic()
    command = [*FINESWEEP, "train", "-m", *SAVE, *overrides, f"hydra.sweep.dir={folder}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    took = time.monotonic() - begun
    with (folder / "leaderboard.csv").open(encoding="utf-8") as stream:
        return took, list(csv.DictReader(stream))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pruner", default="asha")
    args, given = parser.parse_known_args()
    overrides = given or DEMO
    search = [
        "hydra/sweeper=optuna", "hydra.sweeper.sampler=grid", "hydra.sweeper.n_trials=100000",
        f"hydra.sweeper.pruner={args.pruner}", "hydra.sweeper.default_first=false",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        whole, every = sweep(Path(name) / "grid", *overrides)
        pruned, found = sweep(Path(name) / "pruned", *overrides, *search)
        states = Counter(record.status for record in records_in(Path(name) / "pruned"))
    columns = list(every[0])
    keys = [key for key in columns[1 : columns.index("n")] if key != "metric"]
    score = columns[columns.index("interrupted") + 1]
    best, chosen = every[0], found[0]
    place = next(row for row in every if all(row[key] == chosen[key] for key in keys))
    print(facts())
    print(f"grid:  {len(every)} configurations in {whole:.0f} s; best {score} {best[score]}: {named(best, keys)}")
    print(f"{args.pruner}:  {pruned:.0f} s, {dict(states)}; best {chosen[score]}: {named(chosen, keys)}")
    print(f"time saved {1 - pruned / whole:.0%}; in the grid what it found is number {place['rank']}, {place[score]}")


def named(row: dict[str, str], keys: list[str]) -> str:
    return " ".join(f"{key}={row[key]}" for key in keys)


if __name__ == "__main__":
    main()
