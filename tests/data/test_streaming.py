"""Files too large for memory are read line by line, and give what they would have given from memory."""

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finesweep.config.errors import UserError
from finesweep.data import formats
from finesweep.data.formats import read
from finesweep.data.lines import Lines, numbered
from finesweep.data.spool import Spool
from finesweep.data.table import Reading, Table

COLUMNS = "-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\n\n# a comment\nBonn NNP B-LOC\n-DOCSTART- -X- O\n# X O\n"
FILES = {
    "columns.conll": (COLUMNS, {}),
    "bare.conll": ("# PER\nx PER\n# note\n", {}),
    "only-hashes.conll": ("# a O\n# b O\n", {"comment": ""}),
    "lines.jsonl": ('\n{"tokens": ["a"], "x": 1}\n\n{"y": [2], "tokens": ["b"]}\n', {}),
    "named.csv": ('text,label\n"one, ""two""\n\nthree",x\n,\nBonn,y\n', {"expected": frozenset({"text"})}),
    "bare.csv": ('"a, b",x\nc,y\n', {"plain": "text"}),
    "named.tsv": ('text\tlabel\n"a" b\tx\n"c"\ty\n', {"expected": frozenset({"text"}), "plain": "text"}),
    "numbered.tsv": ("text\tlabel\na\tx\n", {"columns": ("said", "class"), "plain": "text"}),
    "lines.txt": ("one\n\ntwo\n  \nthree\n", {"plain": "text"}),
    "every-line.txt": ("one\n\ntwo\n", {"plain": "text", "blank": True}),
}


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_LARGE", 0)
    monkeypatch.setattr(formats, "_LARGE_PACKED", 0)


def written(path: Path, text: str, packed: bool, ends: str = "\n") -> Path:
    raw = text.replace("\n", ends).encode()
    path = path.with_name(path.name + ".gz" * packed)
    path.write_bytes(gzip.compress(raw) if packed else raw)
    return path


def told(table: Table) -> list[Any]:
    """All that there is to a table."""
    return [table.columns, list(table.rows), list(table.lines), table.notes, list(table.documents)]


@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", FILES)
def test_the_same_comes_from_disk(
    name: str, packed: bool, ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, how = FILES[name]
    path = written(tmp_path / name, text, packed, ends)
    in_memory = read(path, Reading(**how))
    monkeypatch.setattr(formats, "_LARGE", 0)
    monkeypatch.setattr(formats, "_LARGE_PACKED", 0)
    on_disk = read(path, Reading(**how))
    assert not isinstance(on_disk.rows, list)
    assert told(on_disk) == told(in_memory)
    assert told(on_disk.take([0])) == told(in_memory.take([0]))


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    "content",
    ['[{"a": 1},\n {"a": 2}]\n', '{"a": [1, 2]}\n', '{"data": [\n{"a": 1}, {"a": 2}]}', '[{"a": 1}, {"a": 2}]\n\n'],
)
def test_json_of_other_forms_goes_through_memory(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    assert list(read(tmp_path / "a.json", Reading(plain="text")).rows) == [[1], [2]]


BAD = {
    "width.conll": (b"a O\nb O\n\nc\n", 4, "2 columns expected as in line 1"),
    "value.jsonl": (b'{"a": 1}\n{"a": 2}\n{"a"\n', 3, "the line is no JSON"),
    "kind.jsonl": (b'{"a": 1}\n{"a": 2}\n[1]\n', 3, "a row must be a JSON object, not list"),
    "width.csv": (b"a,b\nc,d\ne\n", 3, "2 columns expected as in the first row, found 1"),
    "quote.csv": (b'a,b\nc,"d\ne,f\n', 2, "the row cannot be read"),
    "bytes.jsonl": (b'{"a": 1}\n{"a": "\xff"}\n', 2, "byte 0xff cannot be read"),
}


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_with_its_line(name: str, packed: bool, tmp_path: Path) -> None:
    content, line, message = BAD[name]
    path = tmp_path / f"{name}{'.gz' * packed}"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(UserError) as caught:
        list(read(path, Reading()).rows)
    assert message in str(caught.value)
    assert f"{path}:{line}" in str(caught.value)


@pytest.mark.usefixtures("large")
def test_a_damaged_archive_is_said(tmp_path: Path) -> None:
    packed = gzip.compress(b"".join(f"word{i} O\n".encode() for i in range(100_000)))
    (tmp_path / "a.conll.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(UserError, match="the gzip file is damaged"):
        read(tmp_path / "a.conll.gz", Reading())


@given(st.text(alphabet="a \t\r\n\u00e9", max_size=20).filter(lambda text: "\r" not in text.replace("\r\n", "")))
def test_lines_of_a_file_are_those_of_its_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.txt"
    path.write_bytes(text.encode())
    expected = numbered(text.replace("\r\n", "\n"))
    assert list(Lines(path, "a.txt")) == (expected if text else [])


# --- rows on disk -------------------------------------------------------------------------------------------------

ROWS = st.lists(st.one_of(st.integers(), st.text(max_size=3), st.lists(st.text(max_size=2), max_size=2)), max_size=30)


@given(ROWS, st.integers(1, 30))
def test_rows_on_disk_are_a_sequence(rows: list[Any], times: int) -> None:
    rows = rows * times
    spool = Spool(rows[: len(rows) // 2])
    spool.extend(rows[len(rows) // 2 :])
    assert len(spool) == len(rows)
    assert list(spool) == rows
    assert [spool[i] for i in range(-len(rows), len(rows))] == rows * 2
    assert list(spool[3:9]) == rows[3:9]
    with pytest.raises(IndexError):
        spool[len(rows)]


def test_a_process_that_was_forked_reads_the_same_rows() -> None:
    spool = Spool([str(i)] for i in range(2000))
    child = os.fork()
    if not child:
        os._exit(0 if list(spool) == [[str(i)] for i in range(2000)] else 1)
    assert list(spool) == [[str(i)] for i in range(2000)]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
