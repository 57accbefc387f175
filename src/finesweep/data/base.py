"""What every data set has, whatever it comes from: how rows are found, held out, limited, batched."""

import random
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from finesweep.config.errors import UserError
from finesweep.config.fields import Name, NonNegativeInt, PositiveInt, component
from finesweep.data.table import Column, Table, Wanted

SPLITS = ("train", "validation", "test")


@component
class Limit:
    """At most so many rows of a split; null is all of them, and a test of 0 is left out."""

    train: PositiveInt | None
    validation: PositiveInt | None
    test: NonNegativeInt | None


@component
class DataSource(ABC):
    """What every data set is configured with.

    Attributes:
        name: what runs on this data are called by default.
        task: the task that the data is for.
        batch_size: rows in a training batch, on each device; ``auto`` takes as many as fit into memory.
        effective_batch_size: rows in an optimizer step, on all devices, where ``batch_size`` is ``auto``.
        max_batch_tokens: positions of a training batch, padding among them, in place of ``batch_size``: short rows go
            many at a time. Null: ``batch_size`` decides.
        mix_lengths: chunks in an optimizer step, each of rows of like length, from the short to the long. ``auto``: 8,
            but 1 with ``max_batch_tokens`` and for a compiled model.
        eval_batch_size: rows in a batch of validation, test and prediction.
        max_length: sub-words in an input, special ones included.
        context: what a model sees of a row: it alone, or neighbouring rows of its document too, as many as fill the
            window of ``max_length``. Only the row's own words are scored.
        split_seed: draws the validation split and the limits, apart from ``seed``, so that replicates share them.
        validation_fraction: of the training rows, where the source has no validation split. Rows about the same context
            stay together, and a running text is cut once, at its end.
        folds: parts that the training rows are cut into; the one with number ``fold`` is validation. Null: no folds.
        limit: rows to use of each split, a seeded sample that grows with the limit.
        label_names: names of labels that the data gives as numbers.
        label_map: new names for labels.
        num_workers: processes that prepare batches beside the training process.

    Every ``<name>_column`` says where a task finds what it calls so: a column's name, its number (from 0, or from the
    end if negative), or ``auto`` for what the task looks for.
    """

    name: str
    task: str
    batch_size: PositiveInt | Literal["auto"]
    effective_batch_size: PositiveInt
    max_batch_tokens: PositiveInt | None
    mix_lengths: PositiveInt | Literal["auto"]
    eval_batch_size: PositiveInt
    max_length: Annotated[int, Field(ge=8)]
    context: Literal["sentence", "document"]
    split_seed: NonNegativeInt
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    folds: Annotated[int, Field(ge=2)] | None
    fold: NonNegativeInt
    limit: Limit
    token_column: Column
    tag_column: Column
    text_column: Column
    text_pair_column: Column
    label_column: Column
    question_column: Column
    context_column: Column
    answer_column: Column
    choices_column: Column
    source_column: Column
    target_column: Column
    messages_column: Column
    label_names: list[Name]
    label_map: dict[Name, Name]
    num_workers: NonNegativeInt

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        if self.task != cfg["task"]["name"]:
            yield "task", f"is {cfg['task']['name']}, but data={self.name} is for {self.task}"
        if self.folds is None and self.fold:
            yield "data.fold", f"is {self.fold}, and data.folds says nothing of folds: set data.folds"
        if self.folds is not None and self.fold >= self.folds:
            yield "data.fold", f"is {self.fold}; of {self.folds} folds the last is {self.folds - 1}"
        if self.batch_size == "auto":
            yield from self._auto_problems(cfg["trainer"])
        if self.max_batch_tokens is not None and self.mix_lengths not in (1, "auto"):
            yield "data.mix_lengths", "a batch of data.max_batch_tokens is of one length: leave it at auto"
        known = cfg["task"].get("columns", {})
        for name, setting in self.columns_set().items():
            if name not in known:
                names = ", ".join(f"{other}_column" for other in known)
                yield f"data.{name}_column", f"is {setting!r}, but {cfg['task']['name']} reads only {names}"

    def _auto_problems(self, trainer: dict[str, Any]) -> Iterator[tuple[str, str]]:
        if trainer.get("accumulate_grad_batches") != 1:
            yield "trainer.accumulate_grad_batches", "follows from data.batch_size=auto: leave it at 1"
        if self.max_batch_tokens is not None:
            yield "data.max_batch_tokens", "sizes batches itself, and so does data.batch_size=auto: set one of them"
        if self.effective_batch_size % trainer.get("devices", 1):
            message = f"is {self.effective_batch_size}, which {trainer['devices']} devices cannot share evenly"
            yield "data.effective_batch_size", message

    def columns_set(self) -> dict[str, Column]:
        """The columns that are named or numbered, by the task's name for them."""
        every = {
            f.name.removesuffix("_column"): getattr(self, f.name) for f in fields(self) if f.name[-7:] == "_column"
        }
        return {name: setting for name, setting in every.items() if setting != "auto"}

    @abstractmethod
    def tables(self, splits: Sequence[str], wanted: Wanted) -> dict[str, Table]:
        """Those of the wanted splits that the source has; rows as they stand there."""

    def load(self, wanted: Wanted, splits: Sequence[str] = SPLITS) -> dict[str, Table]:
        """The splits to train and score on: columns found, validation split off if there is none, limits applied.

        Args:
            wanted: what the task reads.
            splits: those that are needed; others are not even read where the source can help it.

        Raises:
            UserError: something is wrong with a file; the message names file and line.
        """
        # Whoever asks for the training rows alone gets none that were held out either.
        needed = [*splits, "validation"] if "train" in splits and "validation" not in splits else splits
        tables = self._found(needed, wanted)
        if "validation" in needed and (self.folds is not None or "validation" not in tables):
            train = tables["train"] if "train" in tables else self._found(("train",), wanted).get("train")
            if train is None:
                raise UserError("there is no validation data, and no training data to hold any out of", where="data")
            tables |= self._split_off(train, running=wanted.running, instead="validation" in tables)
        limits = {"train": self.limit.train, "validation": self.limit.validation, "test": self.limit.test}
        return {
            split: _sample(tables[split], limits[split], self.split_seed, running=wanted.running)
            for split in splits
            if split in tables and limits[split] != 0
        }

    def _found(self, splits: Sequence[str], wanted: Wanted) -> dict[str, Table]:
        chosen = self.columns_set()
        return {split: table.find(wanted, chosen) for split, table in self.tables(splits, wanted).items()}

    def _split_off(self, train: Table, *, running: bool, instead: bool) -> dict[str, Table]:
        count = len(train.rows)
        held = self._tail(count) if running else self._drawn(train)
        number = int(held.sum())
        if self.folds is not None:
            note = f"fold {self.fold} of {self.folds}: {number} of {count} training rows are validation"
            note += ", not the validation split that the data has" if instead else ""
        else:
            note = f"no validation data given: {number} of {count} training rows held out (data.split_seed)"
        return {"train": train.take(_numbers(~held), note), "validation": train.take(_numbers(held))}

    def _drawn(self, train: Table) -> np.ndarray:
        """Which rows are validation (rows,), drawn by ``split_seed``: single ones, or all about some contexts."""
        count = len(train.rows)
        together = _by_context(train)
        what = "context" if together else "row"
        order: Any = array("q", range(len(together) or count))
        if len(order) < max(2, self.folds or 0):
            few = f"one {what}" if len(order) == 1 else f"{len(order)} {what}s"
            into = f"{self.folds} folds" if self.folds else "training and validation"
            raise UserError(f"{few} cannot be split into {into}", where=train.path)
        random.Random(f"finesweep-validation-{self.split_seed}").shuffle(order)
        if together:
            chosen = self._contexts([together[number] for number in order], count)
        elif self.folds is not None:
            if "label" in train.found:  # each fold gets its share of every class
                labels = [str(cells["label"]) for _, cells in train.records()]
                order = sorted(order, key=labels.__getitem__)
            chosen = order[self.fold :: self.folds]
        else:
            chosen = order[: self._held_of(count)]
        held = np.zeros(count, dtype=bool)
        held[np.asarray(chosen)] = True
        return held

    def _contexts(self, groups: Sequence[list[int]], count: int) -> list[int]:
        """Rows of whole groups, about as many as single rows would be."""
        if self.folds is not None:
            folds: list[list[int]] = [[] for _ in range(self.folds)]
            for group in groups:
                min(folds, key=len).extend(group)
            return folds[self.fold]
        chosen: list[int] = []
        for group in groups:
            if len(chosen) + len(group) <= self._held_of(count):
                chosen += group
        return chosen or min(groups, key=len)

    def _tail(self, count: int) -> np.ndarray:
        """Of a running text one stretch, that there are no holes in the rest: its end, or the fold's."""
        if count < max(2, self.folds or 0):
            few = "one line" if count == 1 else f"{count} lines"
            raise UserError(f"{few} cannot be split into {self.folds or 2} parts", where="data")
        held = np.zeros(count, dtype=bool)
        if self.folds is not None:
            held[count * self.fold // self.folds : count * (self.fold + 1) // self.folds] = True
        else:
            held[-self._held_of(count) :] = True
        return held

    def _held_of(self, count: int) -> int:
        return min(max(1, round(count * self.validation_fraction)), count - 1)


def _sample(table: Table, limit: int | None, seed: int, *, running: bool) -> Table:
    count = len(table.rows)
    if limit is None or limit >= count:
        return table
    if running:
        return table.take(range(limit))
    order = array("q", range(count))
    random.Random(f"finesweep-limit-{seed}").shuffle(order)
    return table.take(array("q", sorted(order[:limit])))


def _numbers(chosen: np.ndarray) -> Sequence[int]:
    """The numbers of the chosen rows, at eight bytes each: there may be very many."""
    return array("q", np.flatnonzero(chosen).astype(np.int64).tobytes())


def _by_context(table: Table) -> list[list[int]]:
    """The rows about each context, those without one each by itself; empty where rows have no contexts to share."""
    if "context" not in table.found:
        return []
    groups: dict[Any, list[int]] = {}
    for row, (_, cells) in enumerate(table.records()):
        text = str(cells["context"] or "").strip()
        groups.setdefault(text or row, []).append(row)
    return list(groups.values()) if len(groups) > 1 else []
