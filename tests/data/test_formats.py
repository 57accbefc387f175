"""JSON, JSON lines, CSV, TSV and Parquet, what tells them apart, and what is said about files that cannot be read."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finesweep.config.errors import UserError
from finesweep.data.formats import read
from finesweep.data.table import Reading, Table

EXPECTED = frozenset({"tokens", "words", "ner_tags", "tags", "labels"})
ROWS = [{"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"]}, {"tokens": ["Bonn"], "tags": ["B-LOC"]}]
TOKENS_AND_TAGS = [[["EU", "rejects"], ["B-ORG", "O"]], [["Bonn"], ["B-LOC"]]]

Write = Callable[[str, str | bytes], Path]


def table(path: Path, **how: Any) -> Table:
    return read(path, Reading(expected=EXPECTED, **how))


# --- JSON and JSON lines ----------------------------------------------------------------------------------------

LINES = "\n".join(json.dumps(row) for row in ROWS)


@pytest.mark.parametrize("ending", ["json", "jsonl", "ndjson", "txt"])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(LINES, id="lines"),
        pytest.param("\n" + LINES.replace("\n", "\n\n") + "\n\n", id="lines with empty ones between"),
        pytest.param(json.dumps(ROWS), id="list"),
        pytest.param(json.dumps({"version": "1", "data": ROWS}), id="list under data"),
        pytest.param(json.dumps({key: [row[key] for row in ROWS] for key in ROWS[0]}), id="columns"),
    ],
)
def test_json_and_json_lines_are_told_apart_by_content(write: Write, content: str, ending: str) -> None:
    found = table(write(f"data.{ending}", content))
    assert found.columns == ["tokens", "tags"]
    assert found.rows == TOKENS_AND_TAGS


@pytest.mark.parametrize(
    "content", [ROWS, {"data": ROWS}, {"tokens": [["EU", "rejects"], ["Bonn"]], "tags": [["B-ORG", "O"], ["B-LOC"]]}]
)
def test_json_may_be_indented(write: Write, content: Any) -> None:
    assert table(write("data.json", json.dumps(content, indent=2))).rows == TOKENS_AND_TAGS


@pytest.mark.parametrize("indent", [None, 2])
def test_an_object_that_holds_one_sentence_is_one_row_however_it_is_written(write: Write, indent: int | None) -> None:
    assert table(write("one.json", json.dumps(ROWS[0], indent=indent))).rows == [TOKENS_AND_TAGS[0]]


def test_json_rows_may_lack_a_column_and_bring_others(write: Write) -> None:
    found = table(write("a.jsonl", '{"id": 7, "tokens": ["a"]}\n{"tokens": ["b"], "tags": ["O"]}\n'))
    assert found.columns == ["id", "tokens", "tags"]
    assert found.rows == [[7, ["a"], None], [None, ["b"], ["O"]]]


def test_json_lines_know_the_line_of_a_row(write: Write) -> None:
    path = write("a.jsonl", LINES.replace("\n", "\n\n"))
    assert [table(path).where(row) for row in range(2)] == [f"{path}:1", f"{path}:3"]


def test_a_json_list_has_rows_but_no_lines(write: Write) -> None:
    path = write("a.json", json.dumps(ROWS))
    assert table(path).where(1) == f"{path}, row 2"


@pytest.mark.parametrize(
    ("name", "content", "place", "says"),
    [
        ("a.jsonl", '{"tokens": ["a"]}\n["b"]\n', ":2", "a row must be a JSON object, not list"),
        ("a.jsonl", '["a"]\n{"tokens": ["b"]}\n', ":1", "a row must be a JSON object, not list"),
        ("a.json", '[{"tokens": ["a"]}, 3]', ", row 2", "a row must be a JSON object, not int"),
        ("a.jsonl", '{"tokens": ["a"]}\n{"tokens": ["b"\n', ":2", "the line is no JSON"),
        ("a.jsonl", '{"tokens": ["a"\n{"tokens": ["b"]}\n', ":2", "the file is no JSON"),
        ("a.json", '[\n  {"tokens": ["a"]},\n  {"tokens" ["b"]}\n]', ":3", "the file is no JSON"),
        ("a.json", '{"tokens": [["a"], ["b"]], "tags": [["O"]]}', "", "not equally long"),
        ("a.json", "3", "", "neither a list of rows nor an object"),
        ("a.json", "tokens", ":1", "the file is no JSON"),
        ("a.json", "[]", "", "the file has no rows"),
    ],
)
def test_what_is_wrong_with_json_is_said_with_its_place(
    write: Write, name: str, content: str, place: str, says: str
) -> None:
    path = write(name, content)
    with pytest.raises(UserError) as caught:
        table(path)
    assert caught.value.where == f"{path}{place}"
    assert says in caught.value.what


# --- CSV and TSV ------------------------------------------------------------------------------------------------


def test_a_csv_with_an_expected_name_in_its_first_row_has_a_header(write: Write) -> None:
    path = write("a.csv", "id, tokens ,tags\n1,EU rejects,B-ORG O\n\n2,Bonn,B-LOC\n")
    found = table(path)
    assert found.columns == ["id", "tokens", "tags"]
    assert found.rows == [["1", "EU rejects", "B-ORG O"], ["2", "Bonn", "B-LOC"]]
    assert found.notes == []
    assert found.where(1) == f"{path}:4"


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.tsv", "\t")])
def test_without_an_expected_name_the_first_row_is_data_and_the_run_says_so(
    write: Write, name: str, separator: str
) -> None:
    path = write(name, f"text{separator}label\nBonn{separator}B-LOC\n")
    found = table(path)
    assert found.columns == [0, 1]
    assert found.rows == [["text", "label"], ["Bonn", "B-LOC"]]
    assert found.notes == [f"{path}: the first row (text, label) holds no expected column name, so it is data"]


def test_a_cell_of_a_csv_may_be_quoted_and_hold_several_lines(write: Write) -> None:
    path = write("a.csv", 'tokens,tags\n"one, ""two""\n\nthree",O\nBonn,B-LOC\n')
    found = table(path)
    assert found.rows == [['one, "two"\n\nthree', "O"], ["Bonn", "B-LOC"]]
    assert found.where(1) == f"{path}:5"


def test_a_quotation_mark_in_a_tsv_is_a_character(write: Write) -> None:
    assert table(write("a.tsv", 'tokens\ttags\n" a\tO O\n"b" c\tO O\n')).rows == [['" a', "O O"], ['"b" c', "O O"]]


def test_rows_of_empty_cells_are_counted(write: Write) -> None:
    path = write("a.csv", "tokens,tags\n,\nBonn,B-LOC\n , \n")
    found = table(path)
    assert found.rows == [["Bonn", "B-LOC"]]
    assert found.notes == [f"{path}: 2 rows of empty cells passed over"]


@pytest.mark.parametrize(
    ("name", "content", "line", "says"),
    [
        ("a.csv", "tokens,tags\nBonn,B-LOC\nBonn\n", ":3", "2 columns expected as in the first row, found 1"),
        ("a.tsv", "tokens\ttags\nBonn\tB-LOC\tO\n", ":2", "2 columns expected as in the first row, found 3"),
        ("a.csv", 'tokens,tags\nBonn,B-LOC\n"EU,B-ORG\nRome,O\n', ":3", "the row cannot be read"),
        ("a.csv", "tokens,tags\n", "", "the file has no rows"),
        ("a.csv", ",\n,\n", "", "the file has no rows"),
    ],
)
def test_what_is_wrong_with_a_csv_is_said_with_its_line(
    write: Write, name: str, content: str, line: str, says: str
) -> None:
    path = write(name, content)
    with pytest.raises(UserError) as caught:
        table(path)
    assert caught.value.where == f"{path}{line}"
    assert says in caught.value.what


@pytest.mark.parametrize("name", ["a.tsv", "a.csv"])
@pytest.mark.parametrize("blank", ["", " ", "\t", " \t "])
def test_a_tsv_or_csv_whose_rows_stand_in_blocks_is_a_column_file(write: Write, name: str, blank: str) -> None:
    path = write(name, f"EU\tB-ORG\nrejects\tO\n{blank}\nBonn\tB-LOC\n")
    assert table(path).rows == TOKENS_AND_TAGS


def test_columns_without_names_get_those_of_the_configuration(write: Write) -> None:
    path = write("a.csv", "1,EU rejects,B-ORG O\n")
    assert table(path, columns=("id", "sentence", "marks")).columns == ["id", "sentence", "marks"]
    with pytest.raises(UserError, match="names 2 columns, the file has 3") as caught:
        table(path, columns=("sentence", "marks"))
    assert caught.value.where == str(path)


def test_names_for_a_file_that_has_names_are_not_used_and_the_run_says_so(write: Write) -> None:
    found = table(write("a.csv", "tokens,tags\na,O\n"), columns=("x", "y"))
    assert found.columns == ["tokens", "tags"]
    assert "data.columns is not used" in found.notes[0]


def test_the_format_can_be_named(write: Write) -> None:
    assert table(write("a.txt", "tokens,tags\nBonn,B-LOC\n"), format="csv").rows == [["Bonn", "B-LOC"]]
    assert table(write("b.csv", "Bonn B-LOC\n"), format="columns").rows == [[["Bonn"], ["B-LOC"]]]
    assert table(write("c.csv", LINES), format="json").rows == TOKENS_AND_TAGS


# --- Parquet ----------------------------------------------------------------------------------------------------


TEXTS = pa.list_(pa.string())


def parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, pa.schema({"tokens": TEXTS, "tags": TEXTS})), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("name", ["a.parquet", "a.data", "a.parquet.gz"])
def test_parquet_is_known_by_its_content(write: Write, name: str) -> None:
    content = parquet(ROWS)
    found = table(write(name, gzip.compress(content) if name.endswith(".gz") else content))
    assert (found.columns, found.rows) == (["tokens", "tags"], TOKENS_AND_TAGS)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (parquet(ROWS)[:-20], "the file is no Parquet"),
        (b"EU B-ORG\n", "the file is no Parquet"),
        (b"", "the file is empty"),
        (parquet([]), "the file has no rows"),
    ],
)
def test_what_is_wrong_with_parquet_is_said(write: Write, content: bytes, says: str) -> None:
    path = write("a.parquet", content)
    with pytest.raises(UserError, match=says) as caught:
        table(path)
    assert caught.value.where == str(path)


# --- encodings, packing, missing files --------------------------------------------------------------------------

CONTENTS = {
    "a.txt": "Köln\tB-LOC\n\nEU\tB-ORG\n",
    "a.jsonl": '{"tokens": ["Köln"]}\n{"tokens": ["EU"]}\n',
    "a.json": '[{"tokens": ["Köln"]}, {"tokens": ["EU"]}]',
    "a.csv": "tokens,tags\nKöln,B-LOC\nEU,B-ORG\n",
    "a.tsv": "tokens\ttags\nKöln\tB-LOC\nEU\tB-ORG\n",
}


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["without BOM", "with BOM"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_byte_order_mark_line_ends_and_gzip_change_nothing(
    write: Write, name: str, mark: bytes, newline: str, packed: bool
) -> None:
    plain = table(write(name, CONTENTS[name]))
    content = mark + CONTENTS[name].replace("\n", newline).encode()
    other = table(write(f"{name}.gz" if packed else name, gzip.compress(content) if packed else content))
    assert (other.columns, other.rows, other.lines) == (plain.columns, plain.rows, plain.lines)


@pytest.mark.parametrize("encoding", ["utf8", "UTF-8", "utf_8", "u8"])
def test_the_byte_order_mark_goes_however_utf8_is_spelled(write: Write, encoding: str) -> None:
    assert table(write("a.txt", b"\xef\xbb\xbfBonn B-LOC\n"), encoding=encoding).rows == [[["Bonn"], ["B-LOC"]]]


def test_another_encoding_can_be_named(write: Write) -> None:
    path = write("a.txt", "Köln B-LOC\n".encode("latin-1"))
    assert table(path, encoding="latin-1").rows == [[["Köln"], ["B-LOC"]]]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_wrong_encoding_is_an_error_with_line_and_byte(write: Write, mark: bytes) -> None:
    path = write("a.txt", mark + "EU B-ORG\n\nKöln B-LOC\n".encode("latin-1"))
    with pytest.raises(UserError, match="not utf-8: byte 0xf6") as caught:
        table(path)
    assert caught.value.where == f"{path}:3"
    assert "data.encoding" in caught.value.remedy


def test_an_unknown_encoding_is_an_error(write: Write) -> None:
    with pytest.raises(UserError, match="there is no encoding 'utf-9'"):
        table(write("a.txt", "EU B-ORG\n"), encoding="utf-9")


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\t\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("name", ["a.txt", "a.json", "a.jsonl", "a.csv", "a.tsv", "a.txt.gz"])
def test_an_empty_file_is_an_error(write: Write, name: str, content: bytes) -> None:
    path = write(name, gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(UserError, match="the file is empty") as caught:
        table(path)
    assert caught.value.where == str(path)


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist") as caught:
        table(tmp_path / "none.txt")
    assert caught.value.where == str(tmp_path / "none.txt")
    with pytest.raises(UserError, match="is a folder"):
        table(tmp_path)


@pytest.mark.parametrize("harm", ["cut off", "changed"])
def test_a_damaged_gzip_is_an_error(write: Write, harm: str) -> None:
    packed = gzip.compress(b"EU B-ORG\n" * 50, mtime=0)
    harmed = packed[:-12] if harm == "cut off" else packed[:12] + b"\xff\xff\xff" + packed[15:]
    with pytest.raises(UserError, match="the gzip file is damaged"):
        table(write("a.txt.gz", harmed))


CELL = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(lambda cell: cell.strip() == cell)


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5))
def test_json_lines_and_json_hold_the_same_rows(tmp_path_factory: pytest.TempPathFactory, cells: Any) -> None:
    folder = tmp_path_factory.mktemp("json")
    rows = [{"tokens": [first, second]} for first, second in cells]
    (folder / "a.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    (folder / "a.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    assert table(folder / "a.json").rows == table(folder / "a.jsonl").rows == [[row["tokens"]] for row in rows]


NAMES = frozenset({"text", "sentence", "label"})


@pytest.mark.parametrize(
    ("header", "columns", "is_header"),
    [
        ("Text,LABEL", (), True),
        ("great film,label", (), True),  # what it is called cannot be told from what it says
        ("great film,label", ("text", "label"), False),
        ("id,sentence,label", ("id", "text", "label"), True),
        ("great film,good", (), False),
    ],
)
def test_a_header_is_told_from_data(write: Write, header: str, columns: tuple[str, ...], is_header: bool) -> None:
    file = write("data.csv", f"{header}\n" + ",".join("xyz"[: header.count(",") + 1]) + "\n")
    found = read(file, Reading(expected=NAMES, columns=columns, plain="text"))
    assert len(found.rows) == (1 if is_header else 2)


def test_a_cell_may_be_longer_than_the_csv_module_likes(write: Write) -> None:
    long = "word " * 40_000
    for name, separator in (("data.csv", ","), ("data.tsv", "\t")):
        found = read(write(name, f"text{separator}label\n{long}{separator}x\n"), Reading(expected=NAMES, plain="text"))
        assert found.rows == [[long, "x"]]


def test_quotation_marks_of_a_tsv_are_told_of(write: Write) -> None:
    found = read(write("data.tsv", 'text\tlabel\n"He said ""no"""\tx\n'), Reading(expected=NAMES, plain="text"))
    assert found.rows == [['"He said ""no"""', "x"]]
    assert any("1 cells stand in quotation marks" in note for note in found.notes)


def test_columns_of_texts_in_json_are_columns_where_rows_are_no_words(write: Write) -> None:
    content = json.dumps({"text": ["a", "b"], "label": ["x", "y"]})
    assert read(write("data.json", content), Reading(plain="text")).rows == [["a", "x"], ["b", "y"]]
    dialogue = json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})
    for ending in ("json", "jsonl"):
        assert len(read(write(f"one.{ending}", dialogue), Reading(plain="blocks")).rows) == 1
