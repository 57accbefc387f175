"""What the baselines do alike: read rows, score entities, say how it went."""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seqeval.metrics import f1_score
from transformers import PreTrainedTokenizerBase

#: Labels of what is not scored.
IGNORED = -100
Row = dict[str, list[str]]
#: Texts of the call that warms up.
_FIRST = 16


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", required=True, help="a folder or a hub id")
    parser.add_argument("--train", required=True, help='JSON lines: {"tokens": […], "tags": […]}')
    parser.add_argument("--validation", required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--seed", type=int, default=42)
    return parser


def read(path: str) -> list[Row]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def labels_of(rows: Sequence[Row]) -> list[str]:
    return sorted({tag for row in rows for tag in row["tags"]})


def encoded(
    tokenizer: PreTrainedTokenizerBase, row: Row, labels: Sequence[str], **padding: Any
) -> dict[str, list[int]]:
    """A row cut at 128 sub-words, each word's tag at its first one."""
    made = tokenizer(row["tokens"], is_split_into_words=True, truncation=True, max_length=128, **padding)
    tags, before = [], None
    for word in made.word_ids():
        known = word is not None and word != before and row["tags"][word] in labels
        tags.append(labels.index(row["tags"][word]) if known else IGNORED)
        before = word
    return {"input_ids": made["input_ids"], "attention_mask": made["attention_mask"], "labels": tags}


def entity_f1(gold: Sequence[Sequence[int]], predicted: Sequence[Sequence[int]], labels: Sequence[str]) -> float:
    """Over the positions that have a label."""
    kept = [
        [(labels[tag], labels[said]) for tag, said in zip(tags, row, strict=False) if tag != IGNORED]
        for tags, row in zip(gold, predicted, strict=True)
    ]
    return float(f1_score([[tag for tag, _ in row] for row in kept], [[said for _, said in row] for row in kept]))


def tell(rows: int, epochs: int, seconds: float, f1: float) -> None:
    """One line of JSON for the benchmark."""
    told = {"train_seconds": seconds, "samples_per_second": rows * epochs / seconds, "f1": f1}
    print(json.dumps(told))


def tell_found(predict: Callable[[list[str]], Sequence[Sequence[Any]]], path: str) -> None:
    """Time one call on all rows, tokens joined by blanks, that gives the entities of each; the same for prediction."""
    texts = [" ".join(row["tokens"]) for row in read(path)]
    predict(texts[:_FIRST])
    begun = time.perf_counter()
    found = predict(texts)
    seconds = time.perf_counter() - begun
    entities = sum(map(len, found))
    print(json.dumps({"seconds": seconds, "sentences_per_second": len(texts) / seconds, "entities": entities}))
