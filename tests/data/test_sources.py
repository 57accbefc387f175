"""Sources: the user's files, a folder in the hub's form, the demo; splitting off, limits, what each says is wrong."""

import json
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from finesweep.config.errors import ConfigError, UserError
from finesweep.config.instantiate import build
from finesweep.config.paths import conf_dir
from finesweep.data.base import DataSource, Limit
from finesweep.data.sources import DemoSource, FileSource, HubSource
from finesweep.data.table import Table, Wanted

NO_LIMIT = Limit(train=None, validation=None, test=None)
BASE = yaml.safe_load((conf_dir() / "data" / "_base.yaml").read_text())
COMMON: dict[str, Any] = BASE | {
    "task": "token_classification", "batch_size": 4, "eval_batch_size": 4, "max_length": 64,
    "validation_fraction": 0.25, "limit": NO_LIMIT,
}  # fmt: skip
NER = Wanted({"token": ["tokens", "words", 0], "tag": ["ner_tags", "tags", "labels", -1]})
FILES: dict[str, Any] = {
    "name": "files", "train": None, "validation": None, "test": None, "format": "auto", "encoding": "utf-8",
    "comment": "auto", "columns": [],
}  # fmt: skip


def files(**changes: Any) -> FileSource:
    return FileSource(**{**COMMON, **FILES, **changes})


def hub(path: Path, **changes: Any) -> HubSource:
    own = {"name": "hub", "path": str(path), "config": None, "revision": None, "splits": {"train": "train"}}
    return HubSource(**{**COMMON, **own, **changes})


def demo(**changes: Any) -> DemoSource:
    own = {
        "name": "demo",
        "writer": "entities.sentences",
        "world_seed": 0,
        "sentences": {"train": 40, "validation": 8, "test": 8},
        "unseen": 0.8,
    }
    return DemoSource(**{**COMMON, **own, **changes})


def column_file(path: Path, words: list[str]) -> str:
    """A file of one-word sentences."""
    path.write_text("".join(f"{word} O\n\n" for word in words), encoding="utf-8")
    return str(path)


def words(table: Table) -> list[str]:
    return [row[0][0] for row in table.rows]


# --- files ------------------------------------------------------------------------------------------------------


def test_each_file_is_a_split(tmp_path: Path) -> None:
    paths = {split: column_file(tmp_path / split, [split, "x"]) for split in ("train", "validation", "test")}
    loaded = files(**paths).load(NER)
    assert {split: words(table) for split, table in loaded.items()} == {split: [split, "x"] for split in paths}
    assert all(table.notes == [] for table in loaded.values())


def test_there_may_be_no_test_file(tmp_path: Path) -> None:
    paths = {split: column_file(tmp_path / split, [split]) for split in ("train", "validation")}
    assert list(files(**paths).load(NER)) == ["train", "validation"]


def test_without_a_validation_file_some_of_the_training_rows_are_held_out(tmp_path: Path) -> None:
    every = [f"w{i}" for i in range(20)]
    loaded = files(train=column_file(tmp_path / "train", every), test=column_file(tmp_path / "test", ["t"])).load(NER)
    train, validation = words(loaded["train"]), words(loaded["validation"])
    assert len(validation) == 5  # a quarter
    assert sorted(train + validation) == sorted(every)
    assert train == [word for word in every if word not in validation]  # in the file's order
    note = "no validation data given: 5 of 20 training rows held out (data.split_seed)"
    assert note in loaded["train"].notes
    assert words(loaded["test"]) == ["t"]


def test_a_held_out_row_knows_its_line(tmp_path: Path) -> None:
    every = [f"w{i}" for i in range(12)]
    path = column_file(tmp_path / "train", every)
    for table in files(train=path).load(NER).values():
        for row, word in enumerate(words(table)):
            assert table.where(row) == f"{path}:{2 * every.index(word) + 1}"


def test_what_is_held_out_follows_from_the_split_seed_alone(tmp_path: Path) -> None:
    path = column_file(tmp_path / "train", [f"w{i}" for i in range(40)])
    drawn = [words(files(train=path, split_seed=seed).load(NER)["validation"]) for seed in (1, 1, 0, 2)]
    assert drawn[0] == drawn[1]
    assert len({tuple(rows) for rows in drawn}) == 3
    # Also where nothing but the validation split is asked for, as when a finished run is scored again.
    assert words(files(train=path, split_seed=0).load(NER, ("validation",))["validation"]) == drawn[2]


@pytest.mark.parametrize(("rows", "fraction", "held_out"), [(2, 0.01, 1), (10, 0.1, 1), (10, 0.55, 6), (3, 0.9, 2)])
def test_at_least_one_row_goes_to_each_side(tmp_path: Path, rows: int, fraction: float, held_out: int) -> None:
    path = column_file(tmp_path / "train", [f"w{i}" for i in range(rows)])
    loaded = files(train=path, validation_fraction=fraction).load(NER)
    assert (len(loaded["train"].rows), len(loaded["validation"].rows)) == (rows - held_out, held_out)


def test_one_row_cannot_be_split(tmp_path: Path) -> None:
    path = column_file(tmp_path / "train", ["w"])
    with pytest.raises(UserError, match="one row cannot be split") as caught:
        files(train=path).load(NER)
    assert caught.value.where == path


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    source = files(train="missing", validation="missing", test=column_file(tmp_path / "test", ["t"]))
    assert list(source.load(NER, ("test",))) == ["test"]


def test_validation_data_cannot_come_from_nowhere(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no validation data"):
        files(test=column_file(tmp_path / "test", ["t"])).load(NER, ("validation",))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 3))
def test_a_limit_takes_a_sample_that_grows_with_it(
    tmp_path_factory: pytest.TempPathFactory, small: int, large: int, seed: int
) -> None:
    every = [f"w{i}" for i in range(10)]
    path = column_file(tmp_path_factory.mktemp("limit") / "train", every)

    def limited(count: int) -> list[str]:
        limit = Limit(train=count, validation=None, test=None)
        return words(files(train=path, validation=path, limit=limit, split_seed=seed).load(NER)["train"])

    small, large = sorted((small, large))
    few, many = limited(small), limited(large)
    assert (len(few), len(many)) == (min(small, 10), min(large, 10))
    assert set(few) <= set(many)
    assert many == [word for word in every if word in many]


def test_a_limit_is_of_its_split_and_zero_leaves_it_out(tmp_path: Path) -> None:
    path = column_file(tmp_path / "all", [f"w{i}" for i in range(10)])
    limit = Limit(train=None, validation=3, test=0)
    loaded = files(train=path, validation=path, test=path, limit=limit).load(NER)
    assert {split: len(table.rows) for split, table in loaded.items()} == {"train": 10, "validation": 3}


@pytest.mark.parametrize("wrong", [{"train": 0}, {"validation": 0}, {"test": -1}, {"validation": 2.5}, {"train": True}])
def test_a_limit_is_a_count(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Limit(**{"train": None, "validation": None, "test": None, **wrong})


@pytest.mark.parametrize(
    ("header", "changes", "names"),
    [
        ("tokens,x", {}, ["tokens", "x"]),
        ("x,labels", {}, ["x", "labels"]),
        ("word,mark", {}, [0, 1]),
        ("word,mark", {"token_column": "word", "tag_column": "mark"}, ["word", "mark"]),
        ("tokens,mark", {"token_column": "word", "tag_column": 1}, [0, 1]),
        ("word,mark", {"columns": ["tokens", "tags"]}, ["tokens", "tags"]),
    ],
)
def test_a_header_is_known_by_the_columns_that_are_asked_for(
    tmp_path: Path, header: str, changes: dict[str, Any], names: list[Any]
) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\nBonn,B-LOC\n")
    assert files(**changes).read([str(tmp_path / "a.csv")], NER).columns == names


@pytest.mark.parametrize("column", [2, "outer"])
def test_the_column_of_tags_says_which_lines_are_comments(tmp_path: Path, column: int | str) -> None:
    """By its number or by its name in data.columns; here the last column is no tag at all."""
    (tmp_path / "a.tsv").write_text("1\tRom\tB-LOC\tcity\n#\t#\tO\tmark\n#\ta\tcomment\thashed\n\n1\tx\tO\ty\n")
    source = files(tag_column=column, columns=["nr", "token", "outer", "kind"])
    assert [row[1] for row in source.read([str(tmp_path / "a.tsv")], NER).rows] == [["Rom", "#"], ["x"]]


def test_the_reader_is_told_what_the_configuration_says(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes("% Köln\nKöln\tB-LOC\n#x\tno tag\n".encode("latin-1"))
    source = files(format="columns", encoding="latin-1", comment="%")
    assert source.read([str(tmp_path / "a.json")], NER).rows == [[["Köln", "#x"], ["B-LOC", "no tag"]]]


def test_a_missing_file_is_a_problem_of_the_configuration(composed: Callable[..., Any], tmp_path: Path) -> None:
    train = column_file(tmp_path / "train", ["a"])
    assert composed("data=files", f"data.train={train}")["data"]["train"] == train
    with pytest.raises(ConfigError) as caught:
        composed("data=files", f"data.train={tmp_path}/none", f"data.test={tmp_path}")
    assert {problem.key for problem in caught.value.problems} == {"data.train", "data.test"}
    with pytest.raises(ConfigError, match=r"data\.train: needs a file"):
        composed("data=files")


# --- a folder as the hub has them -------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of the ``datasets`` library, in a folder of the test."""
    import datasets

    folder = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    return folder


def write_parquet(path: Path, tags: list[list[int]] | list[list[str]]) -> None:
    """A split with text as the hub's own library writes it, with names for the tags if they are numbers."""
    import datasets

    kind: Any = datasets.Value("string")
    if isinstance(tags[0][0], int):
        kind = datasets.ClassLabel(names=["O", "B-PER", "I-PER"])
    features = datasets.Features({
        "tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(kind),
    })  # fmt: skip
    tokens = [[f"w{i}" for i, _ in enumerate(row)] for row in tags]
    datasets.Dataset.from_dict({"tokens": tokens, "ner_tags": tags}, features).to_parquet(path)


@pytest.mark.usefixtures("cache")
def test_a_folder_of_parquet_with_named_labels(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    write_parquet(folder / "train.parquet", [[1, 2, 0], [0, 1]])
    write_parquet(folder / "test.parquet", [[0]])
    source = hub(folder, splits={"train": "train", "validation": None, "test": "test"}, validation_fraction=0.5)
    loaded = source.load(NER)
    assert loaded["test"].columns == ["tokens", "ner_tags"]
    assert loaded["test"].rows == [[["w0"], ["O"]]]
    rows = [*loaded["train"].rows, *loaded["validation"].rows]
    assert sorted(row[1] for row in rows) == [["B-PER", "I-PER", "O"], ["O", "B-PER"]]


@pytest.mark.usefixtures("cache")
def test_a_label_that_stands_for_none_gets_no_name(tmp_path: Path) -> None:
    """-1 is what the hub's data sets put where a split has no labels; it must not become the last label."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    write_parquet(folder / "train.parquet", [[-1, 2]])
    assert hub(folder, splits={"test": "train"}).load(NER, ("test",))["test"].rows == [[["w0", "w1"], [None, "I-PER"]]]


@pytest.mark.usefixtures("cache")
def test_a_folder_of_json_lines_keeps_text_and_numbers_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = [{"tokens": ["a"], "tags": ["O"], "id": 3}, {"tokens": ["b", "c"], "tags": ["O", "B-X"], "id": 4}]
    (folder / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    table = hub(folder, splits={"test": "train"}).load(NER, ("test",))["test"]
    assert [dict(zip(table.columns, row, strict=True)) for row in table.rows] == rows


@pytest.mark.usefixtures("cache")
def test_what_cannot_be_loaded_is_a_readable_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the data set cannot be loaded") as caught:
        hub(tmp_path / "none").load(NER, ("train",))
    assert caught.value.where == f"data.path={tmp_path / 'none'}"
    folder = tmp_path / "corpus"
    folder.mkdir()
    pq.write_table(pa.table({"tokens": [["a"]], "tags": [["O"]]}), folder / "train.parquet")
    with pytest.raises(UserError, match="no split 'dev', only train") as caught:
        hub(folder, splits={"validation": "dev"}).load(NER, ("validation",))
    assert caught.value.where == "data.splits"


# --- the demo, and what all sources share -----------------------------------------------------------------------


def test_the_demo_gives_the_splits_that_are_asked_for() -> None:
    every = demo().load(NER)
    assert {split: len(table.rows) for split, table in every.items()} == {"train": 40, "validation": 8, "test": 8}
    assert demo().load(NER, ("test",))["test"].rows == every["test"].rows
    assert every["train"].columns == ["tokens", "tags", "domain"]


def test_a_demo_split_does_not_change_with_those_beside_it() -> None:
    other = demo(sentences={"test": 8, "train": 10, "validation": 2}).load(NER)
    assert other["test"].rows == demo().load(NER)["test"].rows


@pytest.mark.parametrize("sentences", [{"tset": 3}, {"train": 0}, {"train": "many"}])
def test_the_demo_knows_its_splits_and_writes_at_least_a_sentence(sentences: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        demo(sentences=sentences)


@pytest.mark.parametrize("name", ["demo", "conll2003", "wnut17"])
def test_each_data_set_of_the_configuration_becomes_a_source(composed: Callable[..., Any], name: str) -> None:
    source = build(composed(f"data={name}")["data"], [])
    assert isinstance(source, DataSource)
    assert (source.name, source.task) == (name, "token_classification")


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0}, {"batch_size": "8"}, {"max_length": 7}, {"split_seed": -1}, {"validation_fraction": 0.0},
        {"validation_fraction": 1.0}, {"token_column": 1.5}, {"label_names": "O"}, {"num_workers": -1},
        {"encodig": "utf-8"}, {"format": "xml"},
    ],
)  # fmt: skip
def test_a_value_out_of_range_or_of_another_type_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        files(**wrong)


def test_no_source_has_a_default_in_the_code() -> None:
    """The values stand in YAML."""
    every = [field for kind in (FileSource, HubSource, DemoSource) for field in fields(kind)]
    assert len(every) > 40
    assert not [field.name for field in every if {field.default, field.default_factory} != {MISSING}]
