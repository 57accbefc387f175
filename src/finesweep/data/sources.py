"""Where rows come from: the user's files, the hub, or the embedded world. A data set is one YAML over one of these."""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from finesweep.config.errors import UserError
from finesweep.config.fields import Fraction, NonNegativeInt, PositiveInt, component
from finesweep.data.demo import Split, demo_splits
from finesweep.data.formats import read
from finesweep.data.table import Column, Format, Reading, Table

SPLITS = ("train", "validation", "test")


@component
class Limit:
    """At most so many rows of a split; null is all of them, and a test of 0 is left out."""

    train: PositiveInt | None
    validation: PositiveInt | None
    test: NonNegativeInt | None


@component
class DataSource(ABC):
    """What every data set is configured with, whatever it comes from.

    Attributes:
        name: what runs on this data are called by default.
        task: the task that the data is for.
        batch_size: rows in a training batch, on each device.
        eval_batch_size: rows in a batch of validation, test and prediction.
        max_length: sub-words in an input, special ones included; longer rows become overlapping windows.
        split_seed: draws the validation split and the limits, apart from ``seed``, so that replicates share them.
        validation_fraction: of the training rows, where the source has no validation split.
        limit: rows to use of each split, a seeded sample that grows with the limit.
        token_column, tag_column: number (from 0, or from the end if negative) or name; ``auto`` by format.
        label_names: names of labels that the data gives as numbers.
        label_map: new names for labels.
        num_workers: processes that prepare batches beside the training process.
    """

    name: str
    task: str
    batch_size: PositiveInt
    eval_batch_size: PositiveInt
    max_length: Annotated[int, Field(ge=8)]
    split_seed: NonNegativeInt
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    limit: Limit
    token_column: Column
    tag_column: Column
    label_names: list[str]
    label_map: dict[str, str]
    num_workers: NonNegativeInt

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        if self.task != cfg["task"]["name"]:
            yield "task", f"is {cfg['task']['name']}, but data={self.name} is for {self.task}"

    @abstractmethod
    def tables(self, splits: Sequence[str]) -> dict[str, Table]:
        """Those of the wanted splits that the source has; rows as they stand there."""

    def load(self, splits: Sequence[str] = SPLITS) -> dict[str, Table]:
        """The splits to train and score on: validation split off if there is none, limits applied.

        Args:
            splits: those that are wanted; others are not even read where the source can help it.

        Raises:
            UserError: something is wrong with a file; the message names file and line.
        """
        tables = self.tables(splits)
        if "validation" in splits and "validation" not in tables:
            train = tables["train"] if "train" in tables else self.tables(("train",)).get("train")
            if train is None:
                raise UserError("there is no validation data, and no training data to hold any out of", where="data")
            tables |= self._split_off(train)
        limits = {"train": self.limit.train, "validation": self.limit.validation, "test": self.limit.test}
        return {
            split: _sample(tables[split], limits[split], self.split_seed)
            for split in splits
            if split in tables and limits[split] != 0
        }

    def _split_off(self, train: Table) -> dict[str, Table]:
        count = len(train.rows)
        if count < 2:
            raise UserError("one row cannot be split into training and validation", where=train.path)
        order = list(range(count))
        random.Random(f"finesweep-validation-{self.split_seed}").shuffle(order)
        held_out = min(max(1, round(count * self.validation_fraction)), count - 1)
        validation, kept = sorted(order[:held_out]), sorted(order[held_out:])
        note = f"no validation data given: {held_out} of {count} training rows held out (data.split_seed)"
        return {"train": train.take(kept, note), "validation": train.take(validation)}


def _sample(table: Table, limit: int | None, seed: int) -> Table:
    if limit is None or limit >= len(table.rows):
        return table
    order = list(range(len(table.rows)))
    random.Random(f"finesweep-limit-{seed}").shuffle(order)
    return table.take(sorted(order[:limit]))


@component
class FileSource(DataSource):
    """The user's own files. ``validation`` and ``test`` may be null; ``train`` too where nothing is trained."""

    train: str | None
    validation: str | None
    test: str | None
    format: Format
    encoding: str
    comment: str
    columns: list[str]

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        yield from DataSource.problems(self, cfg)
        if self.train is None:
            yield "data.train", "needs a file"
        for split in SPLITS:
            path = getattr(self, split)
            if path is not None and not Path(path).expanduser().is_file():
                yield f"data.{split}", f"there is no file '{path}'"

    def tables(self, splits: Sequence[str]) -> dict[str, Table]:
        paths = {split: getattr(self, split) for split in splits}
        return {split: self.read(path) for split, path in paths.items() if path is not None}

    def read(self, path: str) -> Table:
        """One file, read the way this source is configured."""
        named = [c for c in (self.token_column, self.tag_column) if isinstance(c, str) and c != "auto"]
        tag_column = self.tag_column
        if isinstance(tag_column, str):
            tag_column = self.columns.index(tag_column) if tag_column in self.columns else -1
        reading = Reading(
            format=self.format,
            encoding=self.encoding,
            columns=tuple(self.columns),
            expected=frozenset(named) or frozenset(TOKEN_COLUMNS + TAG_COLUMNS),
            tag_column=tag_column,
            comment=self.comment,
        )
        return read(path, reading)


#: Names that columns of tokens and tags usually bear, in order of preference.
TOKEN_COLUMNS = ("tokens", "words")
TAG_COLUMNS = ("ner_tags", "tags", "labels")


@component
class HubSource(DataSource):
    """A data set of the Hugging Face hub, or a local folder in one of its formats (Parquet, JSON, CSV).

    Attributes:
        path: hub id or folder.
        config: the data set's own configuration name, null for its default.
        revision: branch, tag or commit; pin it to repeat a result.
        splits: our split -> the hub's name for it; null where it has none.
    """

    path: str
    config: str | None
    revision: str | None
    splits: dict[str, str | None]

    def tables(self, splits: Sequence[str]) -> dict[str, Table]:
        import datasets  # takes a second, and local files do not need it

        datasets.disable_progress_bars()
        try:
            found = datasets.load_dataset(self.path, self.config, revision=self.revision)
        except Exception as error:  # the library raises many kinds: offline, unknown id, damaged file
            lines = str(error).strip().splitlines() or [""]
            raise UserError(
                f"the data set cannot be loaded: {type(error).__name__}: {lines[0][:200]}",
                where=f"data.path={self.path}",
                remedy="check the id and the connection, or use local files: data=files data.train=…",
            ) from error
        tables = {}
        for split, theirs in self.splits.items():
            if theirs is None or split not in splits:
                continue
            if theirs not in found:
                raise UserError(f"the data set has no split '{theirs}', only {', '.join(found)}", where="data.splits")
            tables[split] = _from_hub(found[theirs], f"{self.path}[{theirs}]")
        return tables


def _from_hub(rows: Any, path: str) -> Table:
    """A hub split as a table, labels as names where the data set knows their names."""
    columns = []
    for name in rows.column_names:
        feature = rows.features[name]
        inner = getattr(feature, "feature", feature)
        names = getattr(inner, "names", None)
        cells = rows[name]
        if names and inner is not feature:
            columns.append([_label_names(cell, names) for cell in cells])
        elif names:
            columns.append(_label_names(cells, names))
        else:
            columns.append(list(cells))
    return Table(path, list(rows.column_names), [list(cells) for cells in zip(*columns, strict=True)])


def _label_names(labels: Iterable[int] | None, names: Sequence[str]) -> list[Any]:
    # A split without labels has -1 in their place, which is no index from the end; the task will say so.
    return [label if label is None or label < 0 else names[label] for label in labels or ()]


@component
class DemoSource(DataSource):
    """Sentences about the embedded invented world; see :mod:`finesweep.data.demo`."""

    world_seed: NonNegativeInt
    sentences: dict[Split, PositiveInt]
    unseen: Fraction

    def tables(self, splits: Sequence[str]) -> dict[str, Table]:
        written = demo_splits(self.world_seed, self.sentences, self.unseen)
        return {
            split: Table(f"demo[{split}]", ["tokens", "tags"], [[row["tokens"], row["tags"]] for row in rows])
            for split, rows in written.items()
            if split in splits
        }
