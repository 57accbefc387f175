"""Reading for token classification: one form of rows from every file, and what is said about what does not fit."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finesweep.config.errors import UserError
from finesweep.data.fingerprint import fingerprint
from finesweep.tasks.base import Examples
from finesweep.tasks.token_classification import TokenClassification
from tests.tasks.making import read_files, source_of, tables_of, task_of

LABELS = ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]


def task(**changes: Any) -> TokenClassification:
    return task_of("token_classification", window_overlap=4, **changes)


@pytest.fixture
def examples(tmp_path: Path) -> Callable[..., Examples]:
    """``examples({"train.txt": text, …}, labels=None, **source)``: the files of some splits, read by the task."""

    def read(contents: dict[str, str], labels: Sequence[str] | None = None, **changes: Any) -> Examples:
        return read_files(task(), tmp_path, contents, labels, **changes)

    return read


ROWS: list[dict[str, list[str]]] = [
    {"tokens": ["EU", "rejects", '"it\'s"'], "tags": ["B-ORG", "O", "O"]},
    {"tokens": ["New\u00a0York", "5"], "tags": ["B-LOC", "I-LOC"]},
]


def as_columns(rows: Any) -> str:
    return "\n".join("".join(f"{t}\t{g}\n" for t, g in zip(r["tokens"], r["tags"], strict=True)) for r in rows)


def as_table(separator: str, cell: Callable[[list[str]], str]) -> str:
    quoted = separator == ","
    lines = [[cell(row["tokens"]), cell(row["tags"])] for row in ROWS]
    if quoted:
        lines = [['"' + text.replace('"', '""') + '"' for text in line] for line in lines]
    return "".join(separator.join(line) + "\n" for line in [["tokens", "tags"], *lines])


FORMS: dict[str, str] = {
    "a.txt": as_columns(ROWS),
    "b.tsv": as_columns(ROWS),
    "a.json": json.dumps(ROWS, indent=1),
    "a.jsonl": "\n".join(json.dumps(row) for row in ROWS),
    "a.csv": as_table(",", " ".join),
    "b.csv": as_table(",", json.dumps),
    "c.csv": as_table(",", repr),
    "a.tsv": as_table("\t", json.dumps),
}


@pytest.mark.parametrize("name", [*FORMS, "a.parquet"])
def test_every_format_gives_the_same_rows_and_the_same_fingerprint(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        path.write_text(FORMS[name], encoding="utf-8")
    reader = source_of(task(), train=str(path))
    read = task().read(tables_of(task(), reader), reader)
    assert read.splits == {"train": ROWS}
    assert fingerprint(read.splits["train"]) == fingerprint(ROWS)
    assert (read.labels, read.notes) == (LABELS, [])


@pytest.mark.parametrize("names", [("tokens", "ner_tags"), ("tokens", "tags"), ("words", "labels")])
def test_columns_are_found_by_their_usual_names(examples: Callable[..., Examples], names: tuple[str, str]) -> None:
    row = {"id": 1, names[1]: ["B-LOC"], names[0]: ["Bonn"]}
    assert examples({"train.jsonl": json.dumps(row)}).splits["train"] == [{"tokens": ["Bonn"], "tags": ["B-LOC"]}]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, ("1", "I-LOC")),
        ({"token_column": 1, "tag_column": 2}, ("Rom", "B-LOC")),
        ({"token_column": 1, "tag_column": 3}, ("Rom", "I-LOC")),
        ({"token_column": -3, "tag_column": -2}, ("Rom", "B-LOC")),
        ({"token_column": "w", "tag_column": "outer", "columns": ["nr", "w", "outer", "inner"]}, ("Rom", "B-LOC")),
    ],
)
def test_columns_are_counted_from_0_or_from_the_end_or_named(
    examples: Callable[..., Examples], columns: dict[str, Any], expected: tuple[str, str]
) -> None:
    """Without a word the first column is the token and the last its tag."""
    read = examples({"train.txt": "# GermEval\n1\tRom\tB-LOC\tI-LOC\n\n\n"}, **columns)
    (row,) = read.splits["train"]
    assert (row["tokens"], row["tags"]) == ([expected[0]], [expected[1].replace("I-", "B-")])


@pytest.mark.parametrize(
    ("content", "changes", "says"),
    [
        ({"train.txt": "a\nb\n"}, {}, "token and tag would both come from column 0"),
        ({"train.txt": "a O\nb B-X\n"}, {"tag_column": 2}, "there is no column 2; the columns are: 0, 1"),
        ({"train.txt": "a O\n"}, {"token_column": "word"}, "there is no column 'word'; the columns are: 0, 1"),
        ({"train.txt": "a O\n"}, {"token_column": 1}, "token and tag would both come from column 1"),
        ({"train.jsonl": '{"text": "a"}'}, {}, "there is no column 'tokens' or 'words'; the columns are: text"),
        ({"train.jsonl": '{"tokens": ["a"]}'}, {}, "there is no column 'ner_tags' or 'tags' or 'labels'"),
    ],
)
def test_a_column_that_is_not_there_is_an_error_that_lists_those_that_are(
    examples: Callable[..., Examples], tmp_path: Path, content: dict[str, str], changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError) as caught:
        examples(content, **changes)
    assert caught.value.where == str(tmp_path / next(iter(content)))
    assert caught.value.what.startswith(says)


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ('{"tokens": ["a"], "tags": ["O"]}\n{"tokens": ["a", "b"], "tags": ["O"]}', 2, "2 tokens but 1 tags"),
        ('{"tokens": ["a"], "tags": ["O"]}\n\n{"tokens": ["a"]}', 3, "tokens or tags are missing"),
        ('{"tokens": ["a"], "tags": [3]}', 1, "tag number 1 is 3, and data.label_names is empty"),
        ('{"tokens": ["a", 5], "tags": ["O", "O"]}', 1, "token number 2 is 5, not text"),
        ('{"tokens": ["a"], "tags": ["B_PER"]}', 1, "tag number 1, 'B_PER', is of no known scheme"),
        ('{"tokens": [], "tags": []}', 1, "the row has no tokens"),
    ],
)
def test_a_row_that_does_not_fit_is_an_error_with_its_line(
    examples: Callable[..., Examples], tmp_path: Path, content: str, line: int, says: str
) -> None:
    with pytest.raises(UserError) as caught:
        examples({"train.jsonl": content})
    assert caught.value.where == f"{tmp_path / 'train.jsonl'}:{line}"
    assert caught.value.what.startswith(says)


@pytest.mark.parametrize("tags", ["1 2 0", "[1, 2, 0]", "B-PER I-PER O"])
def test_numbers_get_the_names_that_the_configuration_gives(examples: Callable[..., Examples], tags: str) -> None:
    """As numbers, as a list of them, or already as names."""
    read = examples({"train.csv": f'tokens,ner_tags\na b c,"{tags}"\n'}, label_names=["O", "B-PER", "I-PER"])
    assert read.splits["train"][0]["tags"] == ["B-PER", "I-PER", "O"]
    assert read.labels == ["O", "B-PER", "I-PER"]


def test_each_split_may_be_of_another_scheme_and_the_run_says_so(
    examples: Callable[..., Examples], tmp_path: Path
) -> None:
    read = examples({
        "train.txt": "a B-X\nb I-X\n\nc O\nd B-X\n",
        "validation.txt": "a B-X\nb E-X\n\nc O\nd S-X\n",
        "test.txt": "a I-X\nb I-X\n\nc O\nd I-X\n",
    })  # fmt: skip
    assert [[row["tags"] for row in rows] for rows in read.splits.values()] == [[["B-X", "I-X"], ["O", "B-X"]]] * 3
    assert read.notes == [
        f"{tmp_path / 'validation.txt'}: tags recognised as IOBES and turned into IOB2",
        f"{tmp_path / 'test.txt'}: tags recognised as IOB1 and turned into IOB2",
    ]


def test_what_is_odd_in_tags_is_counted_per_file(examples: Callable[..., Examples], tmp_path: Path) -> None:
    read = examples({
        "train.txt": "# c\na B-X\nb O\nc I-X\n\nd I-X\ne X\n",
        "test.txt": "a B-Y\nb I-Y\n\nc B-Y\nd O\ne B-X\n",
    })  # fmt: skip
    assert [row["tags"] for row in read.splits["train"]] == [["B-X", "O", "B-X"], ["B-X", "I-X"]]
    train, test = tmp_path / "train.txt", tmp_path / "test.txt"
    assert read.notes == [
        f"{train}: 1 comment lines passed over",
        f"{train}: 2 entities begin with I- instead of B-, read as B-",
        f"{train}: 1 tags have no prefix as the others do, read as I-",
        f"{test}: tags that training has not seen and no model can learn: B-Y (2), I-Y (1)",
    ]


def test_an_inside_tag_may_be_new_though_its_type_is_not(examples: Callable[..., Examples]) -> None:
    read = examples({"train.txt": "a B-X\n", "validation.txt": "a B-X\nb I-X\n"})
    assert read.labels == ["O", "B-X", "I-X"]
    assert [note.partition(": ")[2] for note in read.notes] == [
        "tags that training has not seen and no model can learn: I-X (1)"
    ]


def test_a_trained_models_labels_are_kept_in_their_order(examples: Callable[..., Examples]) -> None:
    labels = ["I-X", "O", "B-X"]
    read = examples({"test.txt": "a B-X\nb B-Y\nc O\nd I-Y\n"}, labels, label_map={"Z": "X"})
    assert read.labels == labels
    assert [note.partition(": ")[2] for note in read.notes] == [
        "1 entities begin with I- instead of B-, read as B-",
        "tags that training has not seen and no model can learn: B-Y (2)",
    ]


def test_tags_get_the_names_of_the_label_map(examples: Callable[..., Examples]) -> None:
    """The map is applied to IOB2, so that neighbours which get one name stay two entities."""
    read = examples({"train.txt": "a I-per\nb I-loc\nc I-misc\n"}, label_map={"per": "X", "loc": "X", "misc": "O"})
    assert read.splits["train"][0]["tags"] == ["B-X", "B-X", "O"]
    assert read.labels == ["O", "B-X", "I-X"]


def test_training_data_without_an_entity_is_an_error(examples: Callable[..., Examples], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="every tag is O") as caught:
        examples({"train.txt": "a x O\n"})
    assert caught.value.where == str(tmp_path / "train.txt")
    with pytest.raises(UserError, match="every tag is O"):
        examples({"train.txt": "a B-X\n"}, label_map={"X": "O"})


def test_predictions_as_columns_can_be_read_again(examples: Callable[..., Examples]) -> None:
    written = "".join(task().lines(row, {"tags": row["tags"]}) + "\n" for row in ROWS)
    assert written.startswith("EU\tB-ORG\nrejects\tO\n")
    assert examples({"train.txt": written}).splits["train"] == ROWS
