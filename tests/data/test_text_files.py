"""Plain text read from disk line by line, blocks of SemEval-2010 task 8, and files that stand side by side."""

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finesweep.config.errors import UserError
from finesweep.data.formats import read, read_side_by_side
from finesweep.data.table import Reading, Table

BOM = b"\xef\xbb\xbf"
Write = Callable[[str, str | bytes], Path]


def text(path: Path, **how: Any) -> Table:
    return read(path, Reading(**{"plain": "text", **how}))


# --- a text on each line ----------------------------------------------------------------------------------------

#: No control characters, of which a line end is one, and no mark that only the beginning of a file may have.
LINE = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff"), max_size=12)
LINES = st.lists(LINE, min_size=1, max_size=8).filter(lambda lines: any(line.strip() for line in lines))
LATIN = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc", "Cs"]), max_size=12)


@given(LINES, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans(), st.booleans())
def test_rows_are_the_lines_that_are_not_empty_and_know_their_numbers(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], newline: str, mark: bool, ended: bool, packed: bool
) -> None:
    content = BOM * mark + (newline.join(lines) + newline * ended).encode()
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes(gzip.compress(content) if packed else content)
    found = text(path, format="text")
    kept = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    assert found.columns == [0]
    assert list(found.rows) == [[line] for _, line in kept]
    assert [found.where(row) for row in range(len(found.rows))] == [f"{path}:{number}" for number, _ in kept]


@given(st.lists(LATIN, min_size=1, max_size=8).filter(lambda lines: any(line.strip() for line in lines)))
def test_another_encoding_gives_the_same_rows(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    folder = tmp_path_factory.mktemp("text")
    for encoding in ("utf-8", "latin-1"):
        (folder / encoding).write_bytes("\n".join(lines).encode(encoding))
    utf8, latin = (text(folder / name, format="text", encoding=name) for name in ("utf-8", "latin-1"))
    assert list(utf8.rows) == list(latin.rows)
    assert list(utf8.lines) == list(latin.lines)


@pytest.mark.parametrize("packed", [False, True])
def test_empty_lines_are_counted_in_a_note(write: Write, packed: bool) -> None:
    content = b"\none\n\n \t\r\ntwo\n\n"
    path = write("a.txt", gzip.compress(content) if packed else content)
    found = text(path)
    assert list(found.rows) == [["one"], ["two"]]
    assert found.notes == [f"{path}: 4 empty lines passed over"]
    assert [found.where(row) for row in range(2)] == [f"{path}:2", f"{path}:5"]
    assert text(write("b.txt", "one\ntwo\n")).notes == []


def test_the_space_around_a_text_stays(write: Write) -> None:
    assert list(text(write("a.txt", "  one \n\ttwo\t\r\n")).rows) == [["  one "], ["\ttwo\t"]]


def test_rows_are_found_from_the_end_and_end_with_an_index_error(write: Write) -> None:
    rows = text(write("a.txt", "one\n\ntwo\nthree")).rows
    assert rows[-1] == ["three"]
    assert list(reversed(rows)) == [["three"], ["two"], ["one"]]
    with pytest.raises(IndexError):
        rows[3]


def test_a_large_text_is_not_held_in_memory(write: Write) -> None:
    path = write("a.txt", f"{'word ' * 400}\n" * 4000)
    tracemalloc.start()
    found = text(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.rows) == 4000
    assert peak < path.stat().st_size / 10
    assert found.rows[3999] == ["word " * 400]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mark", [b"", BOM])
def test_bytes_that_are_not_utf8_are_an_error_with_their_line(write: Write, mark: bytes, packed: bool) -> None:
    content = mark + "one\n\nKöln\n".encode("latin-1")
    path = write("a.txt", gzip.compress(content) if packed else content)
    with pytest.raises(UserError, match="not utf-8: byte 0xf6") as caught:
        text(path)
    assert caught.value.where == f"{path}:3"
    assert "data.encoding" in caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"\n \n\t\n", BOM, BOM + b"\r\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_text_without_a_line_is_an_error(write: Write, content: bytes, packed: bool) -> None:
    path = write("a.txt", gzip.compress(content) if packed else content)
    with pytest.raises(UserError, match=r"the file (is empty|has no rows)") as caught:
        text(path)
    assert caught.value.where == str(path)


# --- what a text file is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.txt", "a.conll", "a"])
def test_a_task_says_what_a_text_file_is(write: Write, name: str) -> None:
    path = write(name, "EU B-ORG\nrejects O\n\nBonn B-LOC\n")
    assert list(text(path, plain="text").rows) == [["EU B-ORG"], ["rejects O"], ["Bonn B-LOC"]]
    assert text(path, plain="columns").rows == [[["EU", "rejects"], ["B-ORG", "O"]], [["Bonn"], ["B-LOC"]]]


@pytest.mark.parametrize("packed", [False, True])
def test_tabs_part_columns_where_several_are_wanted(write: Write, packed: bool) -> None:
    content = b"a good film\t1\na bad film\t0\n"
    path = write("a.txt", gzip.compress(content) if packed else content)
    parted = text(path, parted=True)
    assert (parted.columns, list(parted.rows)) == ([0, 1], [["a good film", "1"], ["a bad film", "0"]])
    whole = text(path)
    assert (whole.columns, list(whole.rows)) == ([0], [["a good film\t1"], ["a bad film\t0"]])


def test_tabs_in_a_column_file_part_its_columns_and_no_more(write: Write) -> None:
    path = write("a.txt", "EU\tB-ORG\nrejects\tO\n\nBonn\tB-LOC\n")
    assert text(path, plain="columns", parted=True).rows == [[["EU", "rejects"], ["B-ORG", "O"]], [["Bonn"], ["B-LOC"]]]


def test_without_a_tab_in_its_first_line_a_text_has_one_column(write: Write) -> None:
    assert list(text(write("a.txt", "one\ntwo\tx\n"), parted=True).rows) == [["one"], ["two\tx"]]


def test_a_tsv_where_texts_are_wanted_may_have_empty_lines(write: Write) -> None:
    path = write("a.tsv", "a good film\t1\n\na bad film\t0\n")
    assert text(path, parted=True).rows == [["a good film", "1"], ["a bad film", "0"]]
    assert text(path, plain="columns").rows == [[["a good film"], ["1"]], [["a bad film"], ["0"]]]


def test_what_has_a_format_is_no_plain_text(write: Write) -> None:
    assert text(write("a.txt", '{"text": "one"}\n{"text": "two"}\n')).columns == ["text"]
    assert text(write("a.csv", "text,label\none,x\n"), expected=frozenset({"text"})).rows == [["one", "x"]]
    assert text(write("b.txt", SEMEVAL)).columns == ["id", "text", "label"]


def test_the_format_of_a_text_can_be_named(write: Write) -> None:
    for name, content in (("a.csv", "text,label"), ("a.json", '{"text": 1}'), ("a.txt", '7\t"<e1>a</e1> <e2>b</e2>"')):
        assert list(text(write(name, content), format="text", plain="columns", parted=True).rows) == [[content]]


def test_the_column_of_a_text_can_be_named(write: Write) -> None:
    path = write("a.txt", "one\n")
    assert text(path, columns=("sentence",)).columns == ["sentence"]
    with pytest.raises(UserError, match="names 2 columns, the file has 1") as caught:
        text(path, columns=("sentence", "label"))
    assert caught.value.where == str(path)


# --- SemEval-2010 task 8 ----------------------------------------------------------------------------------------

SEMEVAL = """\
1\t"The <e1>child</e1> was wrapped into the <e2>cradle</e2>."
Entity-Destination(e1,e2)
Comment: the cradle is a place

2\t"He said "no" to the <e1>author</e1> of a <e2>key</e2>"
Other
Comment:

8\t"A <e1>letter</e1> has <e2>words</e2>."
Component-Whole(e2,e1)
"""
RELATIONS = [
    ["1", "The <e1>child</e1> was wrapped into the <e2>cradle</e2>.", "Entity-Destination(e1,e2)"],
    ["2", 'He said "no" to the <e1>author</e1> of a <e2>key</e2>', "Other"],
    ["8", "A <e1>letter</e1> has <e2>words</e2>.", "Component-Whole(e2,e1)"],
]


@pytest.mark.parametrize("plain", ["text", "columns"])
@pytest.mark.parametrize("name", ["TRAIN_FILE.TXT", "train", "train.txt.gz"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_the_blocks_of_semeval_are_known_by_their_first_line(write: Write, name: str, plain: str, newline: str) -> None:
    content = SEMEVAL.replace("\n", newline).encode()
    path = write(name, gzip.compress(content) if name.endswith(".gz") else content)
    found = text(path, plain=plain, parted=True)
    assert (found.columns, found.rows) == (["id", "text", "label"], RELATIONS)
    assert [found.where(row) for row in range(3)] == [f"{path}:1", f"{path}:5", f"{path}:9"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("\n\n" + SEMEVAL.replace("\n\n", "\n \t\n\n") + "\n\n", id="more empty lines"),
        pytest.param(SEMEVAL.removesuffix("\n"), id="no newline at the end"),
        pytest.param("".join(f"  {line} \n" for line in SEMEVAL.split("\n")), id="space around lines"),
    ],
)
def test_space_around_blocks_and_lines_changes_nothing(write: Write, content: str) -> None:
    assert text(write("a.txt", content)).rows == RELATIONS


@pytest.mark.parametrize("first", ["a film", '"a film"', "<e1>a</e1> film", "a <e2>film</e2>"])
def test_numbered_texts_without_two_entities_are_a_tsv(write: Write, first: str) -> None:
    assert text(write("a.txt", f"1\t{first}\n2\tx\n"), parted=True).rows == [["1", first], ["2", "x"]]


BLOCK = st.tuples(LINE, st.sampled_from(["Other", "Cause-Effect(e1,e2)"]), st.none() | LINE, st.integers(1, 3))


@given(st.lists(BLOCK, min_size=1, max_size=6))
def test_each_block_is_a_row_that_begins_at_its_sentence(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[tuple[str, str, str | None, int]]
) -> None:
    path = tmp_path_factory.mktemp("semeval") / "a.txt"
    content = ""
    for number, (sentence, relation, comment, empty) in enumerate(blocks):
        content += f'{number}\t"{sentence}"\n{relation}\n'
        content += (f"Comment: {comment}\n" if comment is not None else "") + "\n" * empty
    path.write_text(content, encoding="utf-8")
    found = text(path, format="semeval")
    assert found.rows == [[str(number), block[0], block[1]] for number, block in enumerate(blocks)]
    lines = content.split("\n")
    assert all(lines[line - 1].startswith(f"{number}\t") for number, line in enumerate(found.lines))


FIRST = '1\t"The <e1>child</e1> in the <e2>cradle</e2>."\nOther\n\n'


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ('1\t"The <e1>child</e1> in the <e2>cradle</e2>."\n', 1, "no relation below it"),
        (FIRST + '2\t"A <e1>key</e1> of <e2>iron</e2>."\n\n3\t"More"\nOther\n', 4, "no relation below it"),
        (FIRST + '2\t"A <e1>key</e1> of <e2>iron</e2>."\nComment: none\n', 4, "no relation below it"),
        (FIRST + '\n"A <e1>key</e1> of <e2>iron</e2>."\nOther\n', 5, "a number, a tab, and a text in quotation marks"),
        (FIRST + '2 "A <e1>key</e1> of <e2>iron</e2>."\nOther\n', 4, "a number, a tab, and a text in quotation marks"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_what_is_wrong_with_a_block_is_said_with_its_line(
    write: Write, content: str, line: int, says: str, newline: str
) -> None:
    path = write("a.txt", content.replace("\n", newline))
    with pytest.raises(UserError) as caught:
        text(path)
    assert caught.value.where == f"{path}:{line}"
    assert says in caught.value.what


def test_another_text_that_is_called_semeval_is_an_error(write: Write) -> None:
    path = write("a.txt", "\none\ntwo\n")
    with pytest.raises(UserError, match="not 'one'") as caught:
        text(path, format="semeval")
    assert caught.value.where == f"{path}:2"


# --- files side by side -----------------------------------------------------------------------------------------


def side_by_side(*paths: Path, **how: Any) -> Table:
    return read_side_by_side([str(path) for path in paths], Reading(**how))


@given(
    st.lists(st.tuples(LINE, LINE, LINE), min_size=1, max_size=8),
    st.lists(st.sampled_from(["\n", "\r\n"]), min_size=3, max_size=3),
    st.integers(2, 3),
)
def test_the_nth_lines_of_files_are_the_nth_row_empty_or_not(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], newlines: list[str], count: int
) -> None:
    folder = tmp_path_factory.mktemp("sides")
    paths = [folder / str(i) for i in range(count)]
    for i, path in enumerate(paths):
        path.write_bytes("".join(row[i] + newlines[i] for row in rows).encode())
    found = side_by_side(*paths)
    assert found.columns == list(range(count))
    assert list(found.rows) == [list(row[:count]) for row in rows]
    assert [found.where(row) for row in range(len(rows))] == [
        f"{' + '.join(map(str, paths))}:{i}" for i in range(1, len(rows) + 1)
    ]
    assert found.notes == []


def test_the_last_line_needs_no_newline_and_a_file_may_be_packed_or_have_a_mark(write: Write) -> None:
    left, right = write("a.de", BOM + b"eins\n\ndrei"), write("a.en.gz", gzip.compress(b"one\r\n\r\nthree\r\n"))
    assert list(side_by_side(left, right).rows) == [["eins", "one"], ["", ""], ["drei", "three"]]


def test_no_line_of_files_side_by_side_is_taken_for_a_format_or_parted(write: Write) -> None:
    lines = ['{"text": 1}', '7\t"<e1>a</e1> <e2>b</e2>"', "one\ttwo", "# three"]
    paths = [write(f"a{i}.txt", f"{line}\n") for i, line in enumerate(lines)]
    assert list(side_by_side(*paths, parted=True).rows) == [lines]


def test_files_side_by_side_may_have_a_format_and_names_for_their_columns(write: Write) -> None:
    left, right = write("left", "one,x\ntwo,y\n"), write("right", "1,2\n3,4\n")
    found = side_by_side(left, right, format="csv", columns=("text", "label", "a", "b"))
    assert found.columns == ["text", "label", "a", "b"]
    assert list(found.rows) == [["one", "x", "1", "2"], ["two", "y", "3", "4"]]
    with pytest.raises(UserError, match="names 1 columns, the file has 4") as caught:
        side_by_side(left, right, format="csv", columns=("text",))
    assert caught.value.where == f"{left} + {right}"


@pytest.mark.parametrize(
    ("contents", "short"),
    [(["a\nb\nc\n", "x\ny\n"], 1), (["a\nb\n", "x\ny\n\n"], 0), (["a\n\n", "x\ny", "1\n2\n3\n4\n"], 0)],
)
def test_files_of_unequal_length_are_one_error_that_names_both_counts_and_the_end_of_the_shorter(
    write: Write, contents: list[str], short: int
) -> None:
    paths = [write(f"{i}.txt", content) for i, content in enumerate(contents)]
    counts = [len(content.splitlines()) for content in contents]
    with pytest.raises(UserError, match="not equally long") as caught:
        side_by_side(*paths)
    assert f"{paths[0]} has {counts[0]} rows, {paths[-1]} has {counts[-1]}" in caught.value.what
    assert caught.value.where == f"{paths[short]}:{counts[short]}"


def test_each_of_the_files_is_read_with_its_own_errors(write: Write, tmp_path: Path) -> None:
    left = write("left", "a\nb\n")
    for right, where, says in (
        (tmp_path / "none", f"{tmp_path / 'none'}", "does not exist"),
        (write("empty", ""), f"{tmp_path / 'empty'}", "the file is empty"),
        (write("latin", b"one\nK\xf6ln\n"), f"{tmp_path / 'latin'}:2", "not utf-8: byte 0xf6"),
    ):
        with pytest.raises(UserError, match=says) as caught:
            side_by_side(left, right)
        assert caught.value.where == where
