"""Where rows come from: the user's files, the hub, or the embedded world. A data set is one YAML over one of these."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from finesweep.config.errors import UserError
from finesweep.config.fields import Fraction, NonNegativeInt, PositiveInt, component
from finesweep.data.base import SPLITS, DataSource
from finesweep.data.demo import Split, demo_splits, writer_of
from finesweep.data.fingerprint import content_hash
from finesweep.data.formats import read, read_side_by_side
from finesweep.data.table import Format, Reading, Table, Wanted


@component
class FileSource(DataSource):
    """The user's own files. ``validation`` and ``test`` may be null; ``train`` too where nothing is trained.

    A split is one file, or a list of files that stand side by side: the n-th lines of all of them make a row.
    """

    train: str | list[str] | None
    validation: str | list[str] | None
    test: str | list[str] | None
    format: Format
    encoding: str
    comment: str
    columns: list[str]

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        yield from DataSource.problems(self, cfg)
        if self.train is None:
            yield "data.train", "needs a file"
        for split in SPLITS:
            for path in self._paths(split):
                if not Path(path).expanduser().is_file():
                    yield f"data.{split}", f"there is no file '{path}'"
        if self.folds is not None and self.validation is not None:
            yield "data.folds", "holds validation rows out of the training file, so data.validation must be null"

    def _paths(self, split: str) -> list[str]:
        path = getattr(self, split)
        return path if isinstance(path, list) else [path] if path is not None else []

    def tables(self, splits: Sequence[str], wanted: Wanted) -> dict[str, Table]:
        paths = {split: self._paths(split) for split in splits}
        return {split: self.read(each, wanted) for split, each in paths.items() if each}

    def read(self, paths: Sequence[str], wanted: Wanted) -> Table:
        """One file, or several side by side, read the way this source is configured."""
        named = frozenset(name for name in self.columns_set().values() if isinstance(name, str) and "*" not in name)
        tag_column = self.tag_column
        if isinstance(tag_column, str):
            tag_column = self.columns.index(tag_column) if tag_column in self.columns else -1
        reading = Reading(
            format=self.format,
            encoding=self.encoding,
            columns=tuple(self.columns),
            expected=named or wanted.names,
            tag_column=tag_column,
            comment=self.comment,
            plain=wanted.plain,
            parted=len(wanted.columns.keys() - wanted.optional) > 1,
            blank=wanted.running,
        )
        return read(paths[0], reading) if len(paths) == 1 else read_side_by_side(paths, reading)


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

    def tables(self, splits: Sequence[str], wanted: Wanted) -> dict[str, Table]:
        del wanted
        import datasets  # takes a second, and local files do not need it

        datasets.disable_progress_bars()
        try:
            # For a local folder the library's cache goes by the time of its files, and times can lie.
            local, cache = Path(self.path), None
            if local.is_dir():
                cache = str(Path(datasets.config.HF_DATASETS_CACHE) / content_hash(local, local.rglob("*")))
            found = datasets.load_dataset(self.path, self.config, revision=self.revision, cache_dir=cache)
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
    # A split without labels has -1 in their place, which is no index from the end; the task says that they are missing.
    return [None if label is None or label < 0 else names[label] for label in labels or ()]


@component
class DemoSource(DataSource):
    """Texts about the embedded invented world; see :mod:`finesweep.data.demo`.

    Attributes:
        writer: of the rows, as ``module.function``.
        world_seed: draws the world and what is written about it.
        sentences: rows of each split.
        unseen: the fraction of validation and test rows that are about things which training never mentions.
    """

    writer: str
    world_seed: NonNegativeInt
    sentences: dict[Split, PositiveInt]
    unseen: Fraction

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        yield from DataSource.problems(self, cfg)
        try:
            writer_of(self.writer)
        except ValueError as error:
            yield "data.writer", str(error)

    def tables(self, splits: Sequence[str], wanted: Wanted) -> dict[str, Table]:
        del wanted
        sizes = {split: count for split, count in self.sentences.items() if split in splits}
        written = demo_splits(self.writer, self.world_seed, sizes, self.unseen)
        return {split: self._table(split, rows) for split, rows in written.items()}

    def _table(self, split: str, rows: Sequence[dict[str, Any]]) -> Table:
        columns = list(rows[0])
        return Table(f"{self.name}[{split}]", [*columns], [[row[name] for name in columns] for row in rows])
