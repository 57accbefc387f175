"""Training side by side with what people would use instead: the same rows, model, batch size, epochs and settings.

Both sides as they come: a peer computes in 32 bits unless its case says bfloat16, finesweep in what the machine is
made for.

    DATA=../shared/data/conll2003 MODEL=folder python tests/benchmarks/training.py [--pairs 3] [--rows 4000] [--only …]

``inputs.py`` says what ``DATA`` and ``MODEL`` are. Each comparison runs in pairs, the peer and finesweep in turn, each
pair with another seed; a ratio is the median over the pairs, F1 the mean, of the last epoch. Training alone is timed on
both sides, from the first step to the last, without reading, scoring and start-up (the Trainer's time includes what its
``train`` does before the first step); encoding the rows once for a frozen encoder, those of validation too, counts as
training. A peer that two cases share runs once for both. Of a sweep the whole command is timed, start-up and scoring
too, against the training alone of as many runs of the peer, all at one rate.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inputs import overrides, prepared
from machine import FINESWEEP, facts, tell

from finesweep.results.record import RunRecord
from finesweep.results.tables import markdown_table

PEERS = Path(__file__).parent / "peers"
#: Jobs of the sweep of heads, and how many of them run at a time.
JOBS, SLOTS = 24, min(2, os.cpu_count() or 1)


@dataclass(frozen=True)
class Case:
    """A comparison.

    Attributes:
        peer: its script, and what it is given beside model and data.
        ours: overrides.
        jobs: how many runs of the peer one command of ours does.
    """

    name: str
    peer: list[str]
    ours: list[str]
    epochs: int = 1
    jobs: int = 1


#: The defaults of PyTorch's AdamW, and nothing else. (It lets biases and norms decay too, which ours never do.)
_PLAIN = [
    "scheduler=constant", "scheduler.warmup_fraction=0", "optimizer.weight_decay=0.01",
    "trainer.gradient_clip_val=null",
]  # fmt: skip
#: The defaults of TrainingArguments.
_TRAINER = [
    "scheduler=linear", "scheduler.warmup_fraction=0", "optimizer.weight_decay=0", "trainer.gradient_clip_val=1.0",
]  # fmt: skip
_FROZEN = ["finetune_strategy=frozen", *_TRAINER]
_RATES = f"optimizer.lr={','.join(f'{rate}e-3' for rate in range(1, JOBS + 1))}"
CASES = [
    Case("plain loop, padded to 128", ["plain_loop.py"], ["finetune_strategy=full", *_PLAIN]),
    Case("Trainer", ["hf_trainer.py"], ["finetune_strategy=full", *_TRAINER]),
    Case("Trainer, bucketed, bfloat16", ["hf_trainer.py", "--bucket", "--bf16"], ["finetune_strategy=full", *_TRAINER]),
    Case(
        "the same, ours of like lengths too", ["hf_trainer.py", "--bucket", "--bf16"],
        ["finetune_strategy=full", "data.mix_lengths=1", *_TRAINER],
    ),
    Case("Trainer, frozen encoder", ["hf_trainer.py", "--freeze"], _FROZEN, epochs=10),
    Case(
        f"{JOBS} × the same", ["hf_trainer.py", "--freeze"], [*_FROZEN, _RATES, f"hydra.launcher.slots={SLOTS}"],
        epochs=10, jobs=JOBS,
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Work:
    """What both sides are given, in a folder: rows, model, batch size and learning rate."""

    folder: Path
    model: str
    batch_size: int
    lr: float
    #: What the peers have said so far, by their command: cases that share one do not run it again.
    said: dict[tuple[str, ...], dict[str, float]] = field(default_factory=dict)

    def peer(self, case: Case, seed: int) -> dict[str, float]:
        """``train_seconds``, ``samples_per_second`` and ``f1`` of one run."""
        script, *more = case.peer
        command = (
            sys.executable, str(PEERS / script), "--model", self.model, "--train", str(self.folder / "train.jsonl"),
            "--validation", str(self.folder / "validation.jsonl"), "--epochs", str(case.epochs),
            "--batch-size", str(self.batch_size), "--lr", str(self.lr), "--seed", str(seed), *more,
        )  # fmt: skip
        if command not in self.said:
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            self.said[command] = json.loads(done.stdout.splitlines()[-1])
        return self.said[command]

    def ours(self, case: Case, seed: int) -> dict[str, float]:
        """The same of finesweep; of a sweep the seconds of the whole command."""
        with tempfile.TemporaryDirectory() as name:
            sweep = ["-m", f"hydra.sweep.dir={name}/sweep"] if case.jobs > 1 else [f"hydra.run.dir={name}/run"]
            rate = [f"optimizer.lr={self.lr}"] if case.jobs == 1 else []
            command = [
                *FINESWEEP, "train", *sweep, *overrides(self.folder, self.model, self.batch_size, Path(name) / "cache"),
                f"seed={seed}", f"trainer.max_epochs={case.epochs}", "trainer.save_model=false", *rate, *case.ours,
            ]  # fmt: skip
            begun = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - begun
            records = [RunRecord.read(file.parent) for file in Path(name).glob("**/record.json")]
            assert len(records) == case.jobs
            assert all(record.status == "ok" for record in records)
            best = max(last_f1(record.folder) for record in records)
        if case.jobs > 1:
            return {"train_seconds": seconds, "f1": best}
        timing = records[0].timing
        return {**timing, "train_seconds": timing["train_seconds"] + timing["encode_seconds"], "f1": best}


def last_f1(run: Path) -> float:
    """Of a run's last validation, since the peers do not choose an epoch."""
    with (run / "metrics.csv").open(encoding="utf-8") as stream:
        return [float(row["val/f1"]) for row in csv.DictReader(stream) if row["val/f1"]][-1]


def measured(case: Case, work: Work, pairs: int) -> list[Any]:
    """A row of the table."""
    theirs, ours = [], []
    for seed in range(1, pairs + 1):
        theirs.append(work.peer(case, seed))
        ours.append(work.ours(case, seed))
        print(f"{case.name}, seed {seed}: {theirs[-1]} | {ours[-1]}", file=sys.stderr, flush=True)
    its, mine = ([run["train_seconds"] for run in runs] for runs in (theirs, ours))
    if case.jobs > 1:  # a run stands for all of them
        its = [case.jobs * statistics.median(its)] * pairs
    ratios = [long / short for long, short in zip(its, mine, strict=True)]
    of_which = " (best job)" if case.jobs > 1 else ""
    return [
        case.name, case.epochs, f"{statistics.median(its):.1f}", f"{statistics.median(mine):.1f}",
        f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}", mean_f1(theirs),
        f"{mean_f1(ours)}{of_which}",
    ]  # fmt: skip


def mean_f1(runs: Sequence[dict[str, float]]) -> str:
    """Mean and standard deviation over seeds."""
    found = [run["f1"] for run in runs]
    spread = f" ± {statistics.stdev(found):.4f}" if len(found) > 1 else ""
    return f"{statistics.mean(found):.4f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--held-out", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--only", nargs="*", default=[], help="comparisons whose name has one of these texts in it")
    parser.add_argument("--output", type=Path, help="a Markdown file to append the table to")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        model = prepared(Path(name), args.rows, args.held_out)
        work = Work(Path(name), model, args.batch_size, args.lr)
        chosen = [case for case in CASES if not args.only or any(text in case.name for text in args.only)]
        header = ["against", "epochs", "its seconds", "ours", "ratio", "range", "its F1", "our F1"]
        table = markdown_table(header, [measured(case, work, args.pairs) for case in chosen])
    what = f"{args.rows} sentences, batches of {args.batch_size}, {args.pairs} pairs, sweeps in {SLOTS} slots"
    tell("Training", f"{facts()}; {what}\n\n{table}", args.output)


if __name__ == "__main__":
    main()
