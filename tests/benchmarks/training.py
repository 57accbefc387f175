"""Training side by side with what people would use instead: the same rows, model, batch size and number of epochs.

    DATA=../shared/data/conll2003 MODEL=folder python tests/benchmarks/training.py [--pairs 3] [--rows 4000] [--only …]

``DATA`` is a folder with column files ``train.txt`` and ``valid.txt``, ``MODEL`` one that ``save_pretrained`` wrote;
without them the rows are the demo's, and the model has MiniLM's shape and random weights. Each comparison runs in
pairs, the peer and finesweep in turn, and its ratio is the median over the pairs. Training alone is timed on both
sides, from the first step to the last, without reading, scoring and start-up; of a sweep the whole command.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import FINESWEEP, facts

from finesweep.config.check import check
from finesweep.config.compose import compose, hydra_session
from finesweep.results.files import write_atomically
from finesweep.results.record import RunRecord
from finesweep.results.tables import markdown_table
from finesweep.training.components import Components, read_data

PEERS = Path(__file__).parent / "peers"
#: Jobs of the sweep of heads.
JOBS = 24


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


_RATES = f"optimizer.lr={','.join(f'{rate}e-3' for rate in range(1, JOBS + 1))}"
CASES = [
    Case("plain loop, padded to 128", ["plain_loop.py"], ["finetune_strategy=full"]),
    Case("Trainer", ["hf_trainer.py"], ["finetune_strategy=full"]),
    Case("Trainer, bucketed, bfloat16", ["hf_trainer.py", "--bucket", "--bf16"], ["finetune_strategy=full"]),
    Case("Trainer, frozen encoder", ["hf_trainer.py", "--freeze"], ["finetune_strategy=frozen"], epochs=10),
    Case(f"{JOBS} × the same", ["hf_trainer.py", "--freeze"], ["finetune_strategy=frozen", _RATES], 10, JOBS),
]


@dataclass(frozen=True)
class Work:
    """What both sides are given, in a folder: rows, model, batch size and learning rate."""

    folder: Path
    model: str
    batch_size: int
    lr: float

    def peer(self, case: Case) -> dict[str, float]:
        """``train_seconds``, ``samples_per_second`` and ``f1`` of one run."""
        script, *more = case.peer
        command = [
            sys.executable, str(PEERS / script), "--model", self.model, "--train", str(self.folder / "train.jsonl"),
            "--validation", str(self.folder / "validation.jsonl"), "--epochs", str(case.epochs),
            "--batch-size", str(self.batch_size), "--lr", str(self.lr), *more,
        ]  # fmt: skip
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def ours(self, case: Case) -> dict[str, float]:
        """The same of finesweep; of a sweep the seconds of the whole command."""
        with tempfile.TemporaryDirectory() as name:
            sweep = ["-m", f"hydra.sweep.dir={name}/sweep"] if case.jobs > 1 else [f"hydra.run.dir={name}/run"]
            rate = [f"optimizer.lr={self.lr}"] if case.jobs == 1 else []
            command = [
                *FINESWEEP, "train", *sweep, "model=hf", f"model.name_or_path={self.model}", "data=files",
                f"data.train={self.folder / 'train.jsonl'}", f"data.validation={self.folder / 'validation.jsonl'}",
                f"data.batch_size={self.batch_size}", "data.max_length=128", f"trainer.max_epochs={case.epochs}",
                "trainer.save_model=false", *rate, *case.ours,
            ]  # fmt: skip
            begun = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            seconds = time.perf_counter() - begun
            records = [RunRecord.read(file.parent) for file in Path(name).glob("**/record.json")]
            assert len(records) == case.jobs
            best = max(record.metrics["validation"]["f1"] for record in records)
            timing = records[0].timing if case.jobs == 1 else {"train_seconds": seconds, "samples_per_second": 0.0}
            return {**timing, "f1": best}


def measured(case: Case, work: Work, pairs: int) -> list[Any]:
    """A row of the table."""
    ratios, theirs, ours = [], [], []
    for _ in range(pairs):
        theirs.append(work.peer(case))
        ours.append(work.ours(case))
        ratios.append(case.jobs * theirs[-1]["train_seconds"] / ours[-1]["train_seconds"])
        print(f"{case.name}: {theirs[-1]} | {ours[-1]} | {ratios[-1]:.2f}", file=sys.stderr, flush=True)

    def middle(runs: Sequence[dict[str, float]], key: str) -> float:
        return statistics.median(run[key] for run in runs)

    return [
        case.name, case.epochs, f"{case.jobs * middle(theirs, 'train_seconds'):.1f}",
        f"{middle(ours, 'train_seconds'):.1f}", f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f} to {max(ratios):.2f}", middle(theirs, "f1"), middle(ours, "f1"),
    ]  # fmt: skip


def prepared(folder: Path, rows: int, held_out: int) -> str:
    """Write the rows for both sides; the model to be used."""
    limits = [f"data.limit.train={rows}", f"data.limit.validation={held_out}"]
    data = ["data=demo", f"data.sentences={{train: {rows}, validation: {held_out}, test: 1}}"]
    if source := os.environ.get("DATA"):
        data = ["data=files", f"data.train={source}/train.txt", f"data.validation={source}/valid.txt", *limits]
    with hydra_session() as hydra:
        parts = Components.of(check(compose(hydra, data)))
    for split, found in read_data(parts).splits.items():
        lines = "".join(json.dumps({"tokens": row["tokens"], "tags": row["tags"]}) + "\n" for row in found)
        write_atomically(folder / f"{split}.jsonl", lines)
    return os.environ.get("MODEL") or _random_model(folder / "model")


def _random_model(folder: Path) -> str:
    """An encoder of MiniLM's shape."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    import finesweep.models

    tokenizer = AutoTokenizer.from_pretrained(Path(finesweep.models.__file__).parent / "tiny_files")
    shape = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    BertModel(BertConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--held-out", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--only", nargs="*", default=[], help="comparisons whose name has one of these texts in it")
    parser.add_argument("--output", type=Path, help="a Markdown file to write the table to")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        model = prepared(Path(name), args.rows, args.held_out)
        work = Work(Path(name), model, args.batch_size, args.lr)
        chosen = [case for case in CASES if not args.only or any(text in case.name for text in args.only)]
        header = ["against", "epochs", "its seconds", "ours", "ratio", "range", "its F1", "our F1"]
        table = markdown_table(header, [measured(case, work, args.pairs) for case in chosen])
    told = f"{facts()}; {args.rows} sentences, batches of {args.batch_size}, {args.pairs} pairs\n\n{table}"
    print(told)
    if args.output:
        write_atomically(args.output, told)


if __name__ == "__main__":
    main()
