"""Runs that train as one, side by side with the same runs one by one and several at a time, and with the Trainer.

    DATA=../shared/data/conll2003 MODEL=folder python tests/benchmarks/fused.py [--pairs 3] [--only lora] [--counts 1 8]

``inputs.py`` says what ``DATA`` and ``MODEL`` are. A case is a sweep; of ours the whole command is timed, start-up and
scoring too: with ``hydra/launcher=local`` in one slot and in several, and with ``hydra/launcher=fused``. Of the peer it
is the training alone of as many runs, which is their number times the median of the pairs. With ``--counts`` each
case is done with so many runs, and where there is a GPU the model is of BERT-base's shape unless ``MODEL`` says which.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from inputs import overrides, prepared
from machine import FINESWEEP, facts, tell
from training import Case as Peer
from training import Work

from finesweep.results.record import RunRecord
from finesweep.results.tables import markdown_table

#: The defaults of TrainingArguments, as the peer has them.
_ALIKE = [
    "scheduler=linear", "scheduler.warmup_fraction=0", "optimizer.weight_decay=0", "trainer.gradient_clip_val=1.0",
    "trainer.save_model=false",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A kind of sweep.

    Attributes:
        counts: of runs.
        peer: what the peer is given for one of them.
        rate: the least learning rate; the runs have so many times that.
    """

    name: str
    ours: list[str]
    peer: list[str]
    counts: tuple[int, ...]
    rate: float
    epochs: int


_GPU = torch.cuda.is_available()
_COUNTS = (1, 2, 4, 8, 16, 32) if _GPU else (8,)
CASES = [
    Case("lora", ["finetune_strategy=lora"], ["--lora"], _COUNTS, 2e-4, 1),
    Case("frozen", ["finetune_strategy=frozen"], ["--freeze"], (64,), 2e-4, 10),
    Case("full", ["finetune_strategy=full"], [], _COUNTS, 2e-5, 1),
]


def ours(case: Case, work: Work, count: int, seed: int, launcher: Sequence[str]) -> tuple[float, float, float]:
    """Seconds of a whole sweep, and of its training alone; and the best F1."""
    rates = ",".join(f"{case.rate * (1 + i / count):.3e}" for i in range(count))
    with tempfile.TemporaryDirectory() as name:
        command = [
            *FINESWEEP, "train", "-m", f"hydra.sweep.dir={name}/sweep", f"seed={seed}", f"optimizer.lr={rates}",
            *overrides(work.folder, work.model, work.batch_size, Path(name) / "cache"), *_ALIKE, *case.ours,
            f"trainer.max_epochs={case.epochs}", *launcher,
        ]  # fmt: skip
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - begun
        records = [RunRecord.read(file.parent) for file in Path(name).glob("**/record.json")]
    assert len(records) == count
    assert all(record.status == "ok" for record in records)
    trained = [record.timing["train_seconds"] / max(1, record.fused) for record in records]
    return seconds, sum(trained), max(record.metrics["validation"]["f1"] for record in records)


def measured(case: Case, work: Work, count: int, pairs: int, rows: int, slots: int, *, peers: bool) -> list[str]:
    """A row of the table."""
    launchers = {
        "one": ["hydra.launcher.slots=1"],
        "several": [f"hydra.launcher.slots={slots}", *([f"hydra.launcher.devices={[0] * slots}"] if _GPU else [])],
        "fused": ["hydra/launcher=fused", f"hydra.launcher.most={count}"],
    }
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in launchers}
    theirs = []
    for seed in range(1, pairs + 1):
        if peers:
            theirs.append(work.peer(Peer(case.name, ["hf_trainer.py", *case.peer], [], case.epochs), seed))
        for name, launcher in launchers.items():
            found[name].append(ours(case, work, count, seed, launcher))
            print(f"{count} {case.name}, seed {seed}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    peer = count * statistics.median(run["train_seconds"] for run in theirs) if theirs else None
    fused = statistics.median(seconds for seconds, _, _ in found["fused"])

    def against(name: str) -> str:
        """By how much the whole sweep is faster, and its training alone."""
        whole, training = (
            statistics.median(other[place] / own[place] for other, own in zip(found[name], found["fused"], strict=True))
            for place in (0, 1)
        )
        return f"{whole:.2f} ({training:.2f})"

    speed = count * case.epochs * rows / statistics.median(trained for _, trained, _ in found["fused"])
    return [
        case.name, str(count), str(work.batch_size), f"{fused:.1f}", f"{speed:.0f}", against("one"), against("several"),
        f"{peer / fused:.1f}" if peer else "",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--held-out", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, nargs="*", default=[16, 32] if _GPU else [32])
    parser.add_argument("--slots", type=int, default=4 if _GPU else 2, help="runs at a time where they run alone")
    parser.add_argument("--counts", type=int, nargs="*", help="runs in a sweep, for all cases")
    parser.add_argument("--only", nargs="*", default=["lora", "frozen"], help="cases: lora, frozen, full")
    parser.add_argument("--no-peer", action="store_true", help="leave out what people would use instead")
    parser.add_argument("--output", type=Path, help="a Markdown file to append the table to")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        model, lines = prepared(Path(name), args.rows, args.held_out), []
        for case in [case for case in CASES if case.name in args.only]:
            for size in args.batch_size:
                work = Work(Path(name), model, size, case.rate)
                lines += [
                    measured(case, work, count, args.pairs, args.rows, args.slots, peers=not args.no_peer)
                    for count in args.counts or case.counts
                ]
    header = [
        "strategy", "runs", "batch", "seconds as one", "rows a second", "one by one", f"{args.slots} at a time",
        "Trainer, one by one",
    ]  # fmt: skip
    what = (
        f"{args.rows} sentences, {args.pairs} pairs. How many times longer it takes one by one, several at a time, and "
        "by the Trainer of transformers; in brackets without start-up, scoring and reports"
    )
    tell("Runs that train as one", f"{facts()}; {what}\n\n{markdown_table(header, lines)}", args.output)


if __name__ == "__main__":
    main()
