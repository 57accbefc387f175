"""Runs that train as one, side by side with the same runs one by one and several at a time, and with the Trainer.

    DATA=../shared/data/conll2003 MODEL=folder python tests/benchmarks/fused.py [--pairs 3] [--only lora] [--counts 1 8]

``inputs.py`` says what ``DATA`` and ``MODEL`` are. A case is a sweep; of ours the whole command is timed, start-up and
scoring too: with ``hydra/launcher=local`` in one slot and in several, and with ``hydra/launcher=fused``. Of the peer it
is the training alone of as many runs, which is their number times the median of a few. With ``--counts`` each
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
from inputs import BERT_BASE, MINILM, overrides, prepared
from machine import FINESWEEP, facts, tell
from step import matrix_rate
from training import Case as Peer
from training import Work
from transformers import AutoConfig, AutoModel

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
        rate: the least learning rate; the runs have up to twice that.
        products: of a sub-word with each weight of the layers, forth and back.
    """

    name: str
    ours: list[str]
    peer: list[str]
    counts: tuple[int, ...]
    rate: float
    epochs: int
    products: int


_GPU = torch.cuda.is_available()
_COUNTS = (1, 2, 4, 8, 16, 32) if _GPU else (8,)
CASES = [
    Case("lora", ["finetune_strategy=lora"], ["--lora"], _COUNTS, 1e-3, 1, 2),
    Case("frozen", ["finetune_strategy=frozen"], ["--freeze"], (64,), 2e-4, 10, 0),
    Case("full", ["finetune_strategy=full"], [], _COUNTS, 2e-5, 1, 3),
]


def ours(case: Case, work: Work, count: int, seed: int, launcher: Sequence[str]) -> tuple[float, float, int]:
    """Seconds of a whole sweep, and the sum of what its runs trained; and the sub-words that they trained on."""
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
    return (
        seconds,
        sum(record.timing["train_seconds"] for record in records),
        sum(int(record.timing["tokens_seen"]) for record in records),
    )


def layer_weights(model: str) -> int:
    """Numbers in the matrices of a model's layers."""
    with torch.device("meta"):
        encoder = AutoModel.from_config(AutoConfig.from_pretrained(model))
    return sum(own.weight.numel() for own in encoder.modules() if isinstance(own, torch.nn.Linear))


def measured(case: Case, work: Work, count: int, pairs: int, peers: int, rows: int, slots: int) -> list[str]:
    """A row of the table."""
    launchers = {
        "one": ["hydra.launcher.slots=1"],
        "several": [f"hydra.launcher.slots={slots}", *([f"hydra.launcher.devices={[0] * slots}"] if _GPU else [])],
        "fused": ["hydra/launcher=fused", f"hydra.launcher.most={count}"],
    }
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in launchers}
    peer = Peer(case.name, ["hf_trainer.py", *case.peer], [], case.epochs)
    theirs = [count * work.peer(peer, seed)["train_seconds"] for seed in range(1, peers + 1)]
    for seed in range(1, pairs + 1):
        for name, launcher in launchers.items():
            whole, training, tokens = ours(case, work, count, seed, launcher)
            found[name].append((whole, training / (slots if name == "several" else 1), tokens))
            print(f"{count} {case.name}, seed {seed}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    fused = statistics.median(seconds for seconds, _, _ in found["fused"])

    def against(name: str) -> str:
        """By how much the whole sweep is faster, and its training alone."""
        whole, training = (
            statistics.median(other[place] / own[place] for other, own in zip(found[name], found["fused"], strict=True))
            for place in (0, 1)
        )
        return f"{whole:.2f} ({training:.2f})"

    speed = count * case.epochs * rows / statistics.median(trained for _, trained, _ in found["fused"])
    flops = statistics.median(2 * case.products * layer_weights(work.model) * n / s for _, s, n in found["fused"])
    best, _ = matrix_rate(torch.bfloat16, torch.device("cuda" if _GPU else "cpu"))
    return [
        case.name, str(count), str(work.batch_size), f"{fused:.1f}", f"{speed:.0f}",
        f"{flops / best:.0%}" if flops else "", against("one"), against("several"),
        f"{statistics.median(theirs) / fused:.1f}" if theirs else "",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--held-out", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, nargs="*", default=[16, 32] if _GPU else [32])
    parser.add_argument("--slots", type=int, default=4 if _GPU else 2, help="runs at a time where they run alone")
    parser.add_argument("--counts", type=int, nargs="*", help="runs in a sweep, for all cases")
    parser.add_argument(
        "--only", nargs="*", default=["lora", "full"] if _GPU else ["lora", "frozen"], help="cases: lora, frozen, full"
    )
    parser.add_argument("--peers", type=int, default=3, help="runs of what people would use instead, for the median")
    parser.add_argument("--output", type=Path, help="a Markdown file to append the table to")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        model, lines = prepared(Path(name), args.rows, args.held_out, BERT_BASE if _GPU else MINILM), []
        for case in [case for case in CASES if case.name in args.only]:
            for size in args.batch_size:
                work = Work(Path(name), model, size, case.rate)
                lines += [
                    measured(case, work, count, args.pairs, args.peers, args.rows, args.slots)
                    for count in args.counts or case.counts
                ]
    header = [
        "strategy", "runs", "batch", "seconds as one", "rows a second", "matrix rate", "one by one",
        f"{args.slots} at a time", "Trainer, one by one",
    ]  # fmt: skip
    what = (
        f"{args.rows} sentences, medians of {args.pairs} sweeps and {args.peers} runs of the Trainer. The share is of "
        "the rate that products of large matrices reach. How many times longer it takes one by one, several at a "
        "time, and by the Trainer of transformers; in brackets without start-up, scoring and reports"
    )
    tell("Runs that train as one", f"{facts()}; {what}\n\n{markdown_table(header, lines)}", args.output)


if __name__ == "__main__":
    main()
