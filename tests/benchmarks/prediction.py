"""Prediction side by side with transformers' pipeline: the same trained model, the same list of plain texts.

    DATA=../shared/data/conll2003 MODEL=folder python tests/benchmarks/prediction.py [--pairs 3] [--sentences 3000]

``inputs.py`` says what ``DATA`` and ``MODEL`` are. The pipeline computes in 32 bits, its default, finesweep in what the
machine is made for. The model is one that finesweep has fine-tuned for an epoch. Each comparison runs in pairs, the
pipeline and finesweep in turn, in processes of their own; a ratio is the median over the pairs. Both time one call on
the whole list, after a short one to warm up, without loading. The numbers of entities show that both did the work: they
need not be the same, since the pipeline splits texts into words in another way and lets every sub-word have its say.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from inputs import overrides, prepared
from machine import FINESWEEP, facts, tell

from finesweep.results.tables import markdown_table

PEERS = Path(__file__).parent / "peers"
#: What the pipeline is given beside model and texts.
CASES: dict[str, list[str]] = {"pipeline": [], "pipeline, batch_size=32": ["--batch-size", "32"]}


def trained(folder: Path, model: str, batch_size: int, lr: float) -> Path:
    """The folder of a run on the prepared rows."""
    run = folder / "run"
    command = [
        *FINESWEEP, "train", *overrides(folder, model, batch_size, folder / "cache"), "finetune_strategy=full",
        f"optimizer.lr={lr}", "trainer.max_epochs=1", "trainer.save_model=true", "data.limit.validation=100",
        f"hydra.run.dir={run}",
    ]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return run


def said(script: str, *arguments: str) -> dict[str, float]:
    """``seconds``, ``sentences_per_second`` and ``entities`` of one side."""
    command = [sys.executable, str(PEERS / script), *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measured(name: str, run: Path, rows: Path, pairs: int) -> list[Any]:
    """A row of the table."""
    theirs, ours = [], []
    for _ in range(pairs):
        theirs.append(said("hf_pipeline.py", "--model", str(run / "model"), "--rows", str(rows), *CASES[name]))
        ours.append(said("finesweep_load.py", "--run", str(run), "--rows", str(rows)))
        print(f"{name}: {theirs[-1]} | {ours[-1]}", file=sys.stderr, flush=True)
    ratios = [its["seconds"] / mine["seconds"] for its, mine in zip(theirs, ours, strict=True)]
    its, mine = (statistics.median(each["sentences_per_second"] for each in side) for side in (theirs, ours))
    return [
        name, f"{its:.1f}", f"{mine:.1f}", f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f} to {max(ratios):.2f}", theirs[0]["entities"], ours[0]["entities"],
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1000, help="that the model is trained on")
    parser.add_argument("--sentences", type=int, default=3000, help="of validation, to be predicted")
    parser.add_argument("--batch-size", type=int, default=32, help="of training")
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--output", type=Path, help="a Markdown file to append the table to")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = prepared(folder, args.rows, args.sentences)
        run = trained(folder, model, args.batch_size, args.lr)
        rows = [measured(case, run, folder / "validation.jsonl", args.pairs) for case in CASES]
    header = ["against", "its sentences a second", "ours", "ratio", "range", "its entities", "our entities"]
    what = f"{args.sentences} sentences, {args.pairs} pairs"
    tell("Prediction", f"{facts()}; {what}\n\n{markdown_table(header, rows)}", args.output)


if __name__ == "__main__":
    main()
