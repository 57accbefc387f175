"""Jobs of a sweep through the fork server against as many cold processes, one after the other on both sides.

python tests/benchmarks/launcher.py [--jobs 12] [--pairs 1] [overrides…]
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from machine import FINESWEEP, facts

TINY = ["data.sentences={train: 64, validation: 24, test: 24}", "trainer.max_epochs=1", "trainer.save_model=false"]


def seconds(*commands: list[str]) -> float:
    """How long commands take, one after the other."""
    begun = time.monotonic()
    for command in commands:
        subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - begun


def pair(jobs: int, overrides: list[str]) -> tuple[float, float]:
    """Seconds of a sweep, and of the same runs as processes of their own."""
    with tempfile.TemporaryDirectory() as folder:
        sweep = [*FINESWEEP, "train", "-m", *overrides, f"seed=range({jobs})", f"hydra.sweep.dir={folder}/sweep"]
        single = [
            [*FINESWEEP, "train", *overrides, f"seed={seed}", f"hydra.run.dir={folder}/run-{seed}"]
            for seed in range(jobs)
        ]
        together = seconds(sweep)
        assert len(list(Path(folder).glob("sweep/*/record.json"))) == jobs
        return together, seconds(*single)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--pairs", type=int, default=1)
    args, overrides = parser.parse_known_args()
    pairs = [pair(args.jobs, [*TINY, *overrides]) for _ in range(args.pairs)]
    sweep, cold = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(
        f"{facts()}\n{args.jobs} jobs, median of {args.pairs} pair(s): sweep {sweep:.1f} s, cold processes {cold:.1f} s"
    )
    print(f"a job: {sweep / args.jobs:.2f} s against {cold / args.jobs:.2f} s; ratio {cold / sweep:.2f}")


if __name__ == "__main__":
    main()
