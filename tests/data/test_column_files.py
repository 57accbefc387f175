"""Column files of every kind in use: CoNLL-2003, two columns, WNUT-17, GermEval; comments, separators, errors."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finesweep.config.errors import UserError
from finesweep.data.column_files import read_columns
from finesweep.data.formats import read
from finesweep.data.lines import numbered
from finesweep.data.spool import Kept
from finesweep.data.table import Reading, Table

PATH = "corpus.conll"


def table(text: str, **how: Any) -> Table:
    return read_columns(numbered(text), PATH, Reading(**how), Kept.in_memory())


def sentences(text: str, token: int = 0, tag: int = -1, **how: Any) -> list[list[tuple[str, str]]]:
    """Sentences as pairs of token and tag."""
    return [list(zip(row[token], row[tag], strict=True)) for row in table(text, tag_column=tag, **how).rows]


def test_conll_2003() -> None:
    found = table(
        "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n"
        "-DOCSTART- -X- -X- O\n\nBonn NNP B-NP B-LOC\n\n"
    )
    assert found.columns == [0, 1, 2, 3]
    assert found.rows == [
        [["EU", "rejects"], ["NNP", "VBZ"], ["B-NP", "B-VP"], ["B-ORG", "O"]],
        [["Bonn"], ["NNP"], ["B-NP"], ["B-LOC"]],
    ]
    assert found.lines == [3, 8]
    assert found.notes == [f"{PATH}: 2 -DOCSTART- lines passed over"]


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n \n\n"])
@pytest.mark.parametrize("start", ["", "\n", "\n\t\n"])
@pytest.mark.parametrize("separator", ["\t", " ", "   ", " \t "])
def test_two_columns_with_or_without_empty_lines_at_the_ends(separator: str, start: str, end: str) -> None:
    text = start + "\n".join(["EU{}B-ORG", "rejects{}O", "", "Bonn{}B-LOC"]).replace("{}", separator) + end
    assert sentences(text) == [[("EU", "B-ORG"), ("rejects", "O")], [("Bonn", "B-LOC")]]


@pytest.mark.parametrize("blank", ["", " ", "\t", "\t\t", " \t ", "\u00a0", "\u3000 "])
def test_a_line_of_white_space_ends_a_sentence(blank: str) -> None:
    """WNUT-17 has such lines."""
    assert sentences(f"EU\tB-ORG\n{blank}\nBonn\tB-LOC\n") == [[("EU", "B-ORG")], [("Bonn", "B-LOC")]]


def test_a_document_line_ends_a_sentence_even_without_empty_lines() -> None:
    assert sentences("EU\tB-ORG\n-DOCSTART-\tO\nBonn\tB-LOC") == [[("EU", "B-ORG")], [("Bonn", "B-LOC")]]


GERMEVAL = (
    "#\thttp://de.wikipedia.org/wiki/Manfred_Korfmann [2009-10-17]\n"
    "1\tAufgrund\tO\tO\n2\tTübinger\tB-LOCderiv\tO\n3\tTSV\tB-ORG\tB-LOC\n\n"
    "#\thttp://de.wikipedia.org/wiki/O [2010-01-01]\n1\t#\tO\tO\n2\tRom\tB-LOC\tO\n\n"
)


@pytest.mark.parametrize(("tag", "first"), [(2, ["O", "B-LOCderiv", "B-ORG"]), (3, ["O", "O", "B-LOC"])])
def test_germeval(tag: int, first: list[str]) -> None:
    found = table(GERMEVAL, tag_column=tag)
    assert [row[1] for row in found.rows] == [["Aufgrund", "Tübinger", "TSV"], ["#", "Rom"]]
    assert found.rows[0][tag] == first
    assert found.lines == [2, 7]
    assert found.notes == [f"{PATH}: 2 comment lines passed over"]


@pytest.mark.parametrize("token", ["#", "##", "#hashtag", "#1"])
@pytest.mark.parametrize("tag", ["O", "B-group", "I-group", "S-group", "U-group", "L-group", "E-group", "M-group"])
def test_a_token_that_begins_with_a_hash_is_one_where_a_tag_stands_beside_it(token: str, tag: str) -> None:
    found = table(f"{token}\t{tag}\nRom\tB-LOC\n")
    assert found.rows == [[[token, "Rom"], [tag, "B-LOC"]]]
    assert found.notes == []


def test_a_file_may_hold_nothing_but_hash_tokens() -> None:
    assert sentences("#a\tO\n#b\tB-X\n") == [[("#a", "O"), ("#b", "B-X")]]


@pytest.mark.parametrize(
    "comment", ["#", "# id 7", "#\tid", "# text = He met him", "# id = 1-2", "#x\ty\tO", "# a long line that ends in O"]
)
def test_a_line_that_begins_with_a_hash_is_a_comment_where_no_tag_stands(comment: str) -> None:
    found = table(f"{comment}\nEU\tB-ORG\n{comment}\nrejects\tO\n\n{comment}\nBonn\tB-LOC\n{comment}")
    assert found.rows == [[["EU", "rejects"], ["B-ORG", "O"]], [["Bonn"], ["B-LOC"]]]
    assert found.lines == [2, 7]
    assert found.notes == [f"{PATH}: 4 comment lines passed over"]


def test_where_tags_are_bare_one_seen_elsewhere_makes_a_token() -> None:
    assert sentences("#\tPER\nx\tPER\n# note\n#\tnote\n") == [[("#", "PER"), ("x", "PER")]]


def test_a_prefix_for_comments_can_be_named() -> None:
    found = table("%\tO\n% B-X\n#\tx\nEU\tB-ORG\n", comment="%")
    assert found.rows == [[["#", "EU"], ["x", "B-ORG"]]]
    assert found.notes == [f"{PATH}: 2 comment lines passed over"]


def test_there_may_be_no_comments_at_all() -> None:
    assert sentences("#\tnote\nEU\tB-ORG\n", comment="") == [[("#", "note"), ("EU", "B-ORG")]]


@pytest.mark.parametrize("text", ["# a\n# b c\n", "#\n#\n", "# a O", "-DOCSTART- -X- O\n\n"])
def test_a_file_of_comments_has_no_rows(text: str) -> None:
    assert table(text, comment="#").rows == []


def test_a_file_of_comments_has_no_rows_by_the_rule_either() -> None:
    assert table("# one\n# two words\n").rows == []


def test_one_column() -> None:
    found = table("a\n#b\n# a comment\n\nc\n")
    assert (found.columns, found.rows) == ([0], [[["a", "#b"]], [["c"]]])
    assert found.notes == [f"{PATH}: 1 comment lines passed over"]


@pytest.mark.parametrize("separator", ["\t", " "])
@pytest.mark.parametrize("end", ["", " ", "  ", "\t", " \t"])
def test_trailing_blanks_belong_to_no_cell(separator: str, end: str) -> None:
    assert sentences(f"EU{separator}B-ORG{end}\nx{separator}O\n") == [[("EU", "B-ORG"), ("x", "O")]]


@pytest.mark.parametrize("token", ["\u00a0", "\u200b", "a\u00a0b", "\u2028", "\x85", "\x0c"])
@pytest.mark.parametrize("separator", ["\t", " "])
def test_only_blank_tab_and_newline_are_no_part_of_a_token(token: str, separator: str) -> None:
    assert sentences(f"{token}{separator}O\nx{separator}B-X\n") == [[(token, "O"), ("x", "B-X")]]


def test_between_tabs_a_token_may_hold_blanks_or_be_empty() -> None:
    assert sentences("New York\tB-LOC\n\tO\n") == [[("New York", "B-LOC"), ("", "O")]]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("EU\tB-ORG\n\nBonn\n", 3, "2 columns expected as in line 1, found 1: 'Bonn'"),
        ("# note\nEU B-ORG\nBonn NNP B-LOC\n", 3, "2 columns expected as in line 2, found 3"),
        ("EU\tB-ORG\nNew York\n", 2, "2 columns expected as in line 1, found 1: 'New York'"),
        ("EU NNP B-NP B-ORG\n\nBonn NNP B-LOC\n", 3, "4 columns expected as in line 1, found 3"),
    ],
)
def test_a_row_with_fewer_or_more_columns_is_an_error_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(UserError) as caught:
        table(text)
    assert caught.value.where == f"{PATH}:{line}"
    assert caught.value.what.startswith(says)


WORD = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zs"]), min_size=1, max_size=4)
TAG = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC"])


@given(
    st.lists(st.lists(st.tuples(WORD, TAG), min_size=1, max_size=4), min_size=1, max_size=4),
    st.sampled_from(["\t", " "]),
)
def test_whatever_is_written_is_read_and_each_sentence_knows_its_line(
    written: list[list[tuple[str, str]]], separator: str
) -> None:
    text = "\n".join("".join(f"{word}{separator}{tag}\n" for word, tag in sentence) for sentence in written)
    found = table(text)
    assert [list(zip(*row, strict=True)) for row in found.rows] == written
    assert [text.split("\n")[line - 1].split(separator)[0] for line in found.lines] == [s[0][0] for s in written]


@pytest.mark.parametrize("name", ["a.conll", "a.txt", "a.iob2", "a"])
def test_a_file_of_any_other_ending_is_a_column_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("EU\tB-ORG\n")
    assert read(tmp_path / name, Reading()).rows == [[["EU"], ["B-ORG"]]]
