"""What is in a data set: rows, classes, lengths, duplicates, rows in two splits, and how far the splits are apart."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from finesweep.data.cache import blocks
from finesweep.results.figures import data_figure
from finesweep.results.files import write_atomically
from finesweep.results.tables import ReportTable
from finesweep.training.components import Components, read_data

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from finesweep.tasks.base import Examples, Row, Task

#: Classes that the table lists; the others are summed up.
_CLASSES = 40


@dataclass
class Facts:
    """What one split holds.

    Attributes:
        lengths: sub-words of each row's text, special ones left out.
        texts: hash of each different text -> how many rows have it.
        labelled: hash of each text -> the different labels that it has.
        classes: how many rows count for each class.
        words: how often each sub-word occurs, (vocabulary,), in the rows of even and of odd number apart.
    """

    lengths: list[int] = field(default_factory=list)
    texts: Counter[bytes] = field(default_factory=Counter)
    labelled: dict[bytes, set[str]] = field(default_factory=dict)
    classes: Counter[str] = field(default_factory=Counter)
    words: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))


def describe(parts: Components, folder: Path) -> list[ReportTable]:
    """Read the data, count, and write ``report.md`` with a figure.

    Args:
        parts: of a checked configuration; its model gives the tokenizer, nothing is trained.
        folder: where the report goes.

    Raises:
        UserError: data or model are not what the configuration says.
    """
    examples = read_data(parts)
    tokenizer = parts.model.skeleton(parts.task, examples.labels, parts.data.max_length).tokenizer
    facts = {split: _count(rows, parts.task, tokenizer) for split, rows in examples.splits.items()}
    limit = parts.data.max_length - tokenizer.num_special_tokens_to_add(pair=False)
    tables = [_rows(facts), _lengths(facts, limit), *_classes(facts), _shift(facts)]
    data_figure(
        {split: each.lengths for split, each in facts.items()},
        limit,
        {split: dict(each.classes.most_common(_CLASSES)) for split, each in facts.items()},
        folder / "figures" / "data.png",
    )
    write_atomically(folder / "report.md", _report(parts, examples, tables))
    return tables


def _count(rows: "Sequence[Row]", task: "Task", tokenizer: "PreTrainedTokenizerBase") -> Facts:
    facts = Facts(words=np.zeros((2, len(tokenizer))))
    for block in blocks(rows):
        texts = [task.text_of_row(row) for row in block]
        encoded = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        for number, (row, text, ids) in enumerate(zip(block, texts, encoded, strict=True)):
            key = blake2b(" ".join(text.split()).casefold().encode(), digest_size=16).digest()
            classes = task.classes_of_row(row)
            facts.lengths.append(len(ids))
            facts.texts[key] += 1
            if classes:
                facts.labelled.setdefault(key, set()).add("\t".join(classes))
            facts.classes.update(classes)
            np.add.at(facts.words[number % 2], ids, 1)
    return facts


def _rows(facts: Mapping[str, Facts]) -> ReportTable:
    splits = list(facts)
    rows = []
    for place, (split, each) in enumerate(facts.items()):
        repeated = sum(count - 1 for count in each.texts.values())
        several = sum(len(labels) > 1 for labels in each.labelled.values())
        shared: list[int | None] = [
            sum(count for key, count in each.texts.items() if key in facts[other].texts) for other in splits[:place]
        ]
        shared += [None] * (len(splits) - 1 - place)
        rows.append([split, len(each.lengths), repeated, several, *shared[: len(splits) - 1]])
    note = "Texts are compared without regard to case and blanks. Rows that training has seen make scores look better."
    also = [f"rows also in {split}" for split in splits[:-1]]
    header = ["split", "rows", "repeated", "texts with several labels", *also]
    return ReportTable("Rows", note, header, rows)


def _lengths(facts: Mapping[str, Facts], limit: int) -> ReportTable:
    rows = []
    for split, each in facts.items():
        lengths = np.array(each.lengths)
        over = int((lengths > limit).sum())
        middle, high = (int(np.percentile(lengths, share)) for share in (50, 95))
        share = round(over / len(lengths), 4)
        rows.append([split, int(lengths.min()), middle, float(lengths.mean()), high, int(lengths.max()), over, share])
    note = f"In sub-words of the model's tokenizer; data.max_length leaves room for {limit} beside the special ones."
    header = ["split", "min", "median", "mean", "95 %", "max", "longer", "share longer"]
    return ReportTable("Lengths", note, header, rows)


def _classes(facts: Mapping[str, Facts]) -> list[ReportTable]:
    every: Counter[str] = sum((each.classes for each in facts.values()), Counter())
    if not every:
        return []
    totals = {split: max(1, each.classes.total()) for split, each in facts.items()}
    listed = [name for name, _ in every.most_common(_CLASSES)]

    def row(name: str, counts: Mapping[str, int]) -> list[object]:
        return [name, *(cell for split in facts for cell in (counts[split], round(counts[split] / totals[split], 4)))]

    rows = [row(name, {split: each.classes[name] for split, each in facts.items()}) for name in listed]
    if len(every) > len(listed):
        rest = {split: totals[split] - sum(each.classes[n] for n in listed) for split, each in facts.items()}
        rows.append(row(f"{len(every) - len(listed)} others", rest))
    missing = sorted(set(every) - set(facts["train"].classes))
    note = f"Missing from training: {', '.join(missing)}." if missing else "Training has seen every one of them."
    header = ["class", *(cell for split in facts for cell in (split, f"share of {split}"))]
    return [ReportTable("Classes", note, header, rows)]


def _shift(facts: Mapping[str, Facts]) -> ReportTable:
    train = facts["train"].words
    known = train.sum(0) > 0
    rows = []
    for split, each in facts.items():
        words = each.words.sum(0)
        unseen = float(words[~known].sum() / max(1.0, words.sum()))
        # Two halves of the training rows are as far apart as chance alone puts them.
        apart = divergence(train[0], train[1]) if split == "train" else divergence(train.sum(0), words)
        rows.append([split if split != "train" else "train, one half from the other", unseen, apart])
    note = (
        "Share of sub-words that training has not seen, and the Jensen-Shannon divergence of how often each occurs "
        "from training, from 0 (the same) to 1 (none in common). Small splits are further apart by chance."
    )
    return ReportTable("Distance from training", note, ["split", "unseen", "divergence"], rows)


def divergence(one: np.ndarray, other: np.ndarray) -> float:
    """Jensen-Shannon divergence to base 2 of two counts (n,), between 0 and 1 (Lin 1991); 0 where one is empty."""
    if not one.sum() or not other.sum():
        return 0.0
    p, q = one / one.sum(), other / other.sum()
    middle = (p + q) / 2

    def from_middle(values: np.ndarray) -> float:
        there = values > 0
        return float((values[there] * np.log2(values[there] / middle[there])).sum())

    return (from_middle(p) + from_middle(q)) / 2


def _report(parts: Components, examples: "Examples", tables: list[ReportTable]) -> str:
    notes = "## Notes\n\n" + "\n".join(f"- {note}" for note in examples.notes) + "\n" if examples.notes else ""
    figure = "![Lengths and classes of each split](figures/data.png)\n"
    return "\n".join([f"# {parts.data.name}\n", figure, *(table.markdown() for table in tables), notes])
