"""How a task's columns are found in a table, and rows that are read only when they are asked for."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finesweep.config.errors import UserError
from finesweep.data.table import Chosen, Column, Table, Wanted

TEXTS = Wanted({"text": ["text", "sentence", 0], "label": ["label", "class", -1]})
CHOICES = Wanted({"choices": ["choices", "ending*", "sol*"], "label": ["label"]})


def found(columns: Sequence[Column], cells: Sequence[Any], wanted: Wanted = TEXTS, **settings: Column) -> Any:
    """The one row of a table by the task's names."""
    return Table("a.csv", list(columns), [list(cells)]).find(wanted, settings).by_name[0]


def refused(columns: Sequence[Column], wanted: Wanted = TEXTS, **settings: Column) -> UserError:
    with pytest.raises(UserError) as caught:
        Table("a.csv", list(columns), [[None] * len(columns)]).find(wanted, settings)
    assert caught.value.where == "a.csv"
    return caught.value


# --- candidates -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "cells"),
    [
        (["text", "label"], ["t", "l"]),
        (["label", "text"], ["l", "t"]),
        (["sentence", "text", "class", "label"], ["no", "t", "no", "l"]),
        (["id", "class", "sentence"], ["no", "l", "t"]),
        ([0, 1], ["t", "l"]),
        ([0, 1, 2], ["t", "no", "l"]),
    ],
)
def test_the_first_candidate_that_is_there_is_taken_wherever_it_stands(columns: list[Column], cells: list[str]) -> None:
    assert found(columns, cells) == {"text": "t", "label": "l"}


@given(st.permutations(["a", "b", "c", "d"]), st.permutations(["a", "b", "c", "d"]), st.integers(1, 4))
def test_candidates_are_tried_in_their_order(candidates: list[str], columns: list[str], count: int) -> None:
    wanted = Wanted({"text": [*candidates, 0]})
    first = next(name for name in candidates if name in columns[:count])
    assert found(columns[:count], columns[:count], wanted) == {"text": first}


def test_a_number_is_no_candidate_where_the_file_has_names() -> None:
    error = refused(["words", "label"])
    assert error.what == "there is no column 'text' or 'sentence'; the columns are: words, label"
    assert "data.text_column" in error.remedy


def test_a_name_is_no_candidate_where_the_file_has_none() -> None:
    error = refused([0, 1], CHOICES)
    assert error.what == "there is no column choices; the columns are: 0, 1"
    assert refused([0], Wanted({"text": ["text", 3]})).what == "there is no column 3; the columns are: 0"


def test_an_optional_column_is_left_out_where_it_is_missing() -> None:
    wanted = Wanted({"text": ["text", 0], "pair": ["pair"]}, frozenset({"pair"}))
    assert found(["text", "pair"], ["t", "p"], wanted) == {"text": "t", "pair": "p"}
    assert found(["text", "other"], ["t", "p"], wanted) == {"text": "t"}
    assert found([0, 1], ["t", "p"], wanted) == {"text": "t"}


def test_what_the_table_held_before_is_as_it_was() -> None:
    table = Table("a.csv", ["text", "label"], [["t", "l"]], [2], ["a note"])
    other = table.find(TEXTS, {})
    assert (other.columns, other.rows, other.lines, other.notes) == (table.columns, table.rows, [2], ["a note"])
    assert table.found == {}


# --- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("setting", "cell"), [("other", "o"), (2, "o"), (-1, "o"), (-2, "l"), ("text", "t"), (0, "t")])
def test_a_setting_goes_before_every_candidate(setting: Column, cell: str) -> None:
    wanted = Wanted({"text": ["text"]})
    assert found(["text", "label", "other"], ["t", "l", "o"], wanted, text=setting) == {"text": cell}


@pytest.mark.parametrize("setting", [0, 1, -1, -2])
def test_a_number_may_be_set_where_the_file_has_no_names(setting: int) -> None:
    assert found([0, 1], ["a", "b"], Wanted({"text": ["text"]}), text=setting) == {"text": "ab"[setting]}


def test_auto_is_as_good_as_no_setting_and_settings_of_others_do_not_matter() -> None:
    assert found([0, 1], ["t", "l"], text="auto", label="auto", question="none") == {"text": "t", "label": "l"}


@pytest.mark.parametrize(
    ("columns", "setting", "says"),
    [
        (["text", "label"], "txt", "there is no column 'txt'; the columns are: text, label"),
        (["text", "label"], 2, "there is no column 2; the columns are: text, label"),
        (["text", "label"], -3, "there is no column -3; the columns are: text, label"),
        ([0, 1], "text", "there is no column 'text'; the columns are: 0, 1"),
        (["text", "label"], "txt.de", "there is no column 'txt.de'; the columns are: text, label"),
        (["text", "label"], "text*", "there is no column 'text*'; the columns are: text, label"),
    ],
)
@pytest.mark.parametrize("optional", [frozenset[str](), frozenset({"text"})], ids=["needed", "optional"])
def test_a_column_that_is_set_must_be_there(
    columns: list[Column], setting: Column, says: str, optional: frozenset[str]
) -> None:
    error = refused(columns, Wanted({"text": ["text", 0], "label": ["label", -1]}, optional), text=setting)
    assert error.what == says
    assert error.remedy == "set data.text_column to the column that holds the text"


@pytest.mark.parametrize(
    ("columns", "wanted", "settings", "column"),
    [
        (["text", "label"], TEXTS, {"label": "text"}, "text"),
        (["text", "label"], TEXTS, {"label": 0}, "text"),
        (["text", "label"], TEXTS, {"text": -1, "label": "label"}, "label"),
        ([0], TEXTS, {}, "0"),
        ([0, 1], TEXTS, {"text": 1}, "1"),
        (["pair"], TEXTS, {"text": "pair.de", "label": "pair.de"}, "pair"),
        (["ending0", "ending1"], CHOICES, {"label": "ending*"}, "ending0"),
    ],
)
def test_two_names_on_one_column_are_an_error(
    columns: list[Column], wanted: Wanted, settings: dict[str, Column], column: str
) -> None:
    error = refused(columns, wanted, **settings)
    first, second = wanted.columns
    assert error.what == f"{first} and {second} would both come from column {column}"
    assert error.remedy == f"set data.{first}_column and data.{second}_column"


# --- names with dots and stars ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ({"de": "Haus", "en": {"uk": "house"}}, {"text": "Haus", "label": "house"}),
        ({"de": "Haus", "en": "house"}, {"text": "Haus", "label": None}),
        ({}, {"text": None, "label": None}),
        (None, {"text": None, "label": None}),
        ("Haus", {"text": None, "label": None}),
        (["Haus"], {"text": None, "label": None}),
    ],
)
def test_a_name_with_dots_goes_into_objects_as_far_as_there_are_any(cell: Any, expected: dict[str, Any]) -> None:
    assert found(["id", "pair"], [7, cell], text="pair.de", label="pair.en.uk") == expected


def test_a_column_whose_own_name_has_dots_is_found_first() -> None:
    wanted = Wanted({"text": ["a.b"]})
    assert found(["a", "a.b"], [{"b": "inner"}, "outer"], wanted) == {"text": "outer"}
    assert found(["a", "a.c"], [{"b": "inner"}, "outer"], wanted) == {"text": "inner"}


def test_an_object_and_what_is_in_it_are_two_columns() -> None:
    assert found(["a"], [{"b": 1}], text="a", label="a.b") == {"text": {"b": 1}, "label": 1}


@pytest.mark.parametrize(
    ("columns", "taken"),
    [
        (["ending0", "ending1", "ending2"], ["ending0", "ending1", "ending2"]),
        (["ending1", "ending2"], ["ending1", "ending2"]),
        (["endingA", "endingB", "endingC"], ["endingA", "endingB", "endingC"]),
        (["ending_a", "ending_b"], ["ending_a", "ending_b"]),
        (["ending0", "gold-ending", "ending1", "endings", "ending", "endingKey", "my_ending2"], ["ending0", "ending1"]),
        (["ending0", "sol1", "sol2"], ["sol1", "sol2"]),
        (["choices", "ending0", "ending1"], None),
        (["ending0", "ending1", "choices"], None),
    ],
)
def test_a_star_takes_the_columns_with_a_digit_or_letter_in_its_place(columns: list[str], taken: list[str]) -> None:
    record = found([*columns, "label"], [*columns, "l"], CHOICES)
    assert record == {"choices": taken or "choices", "label": "l"}


def test_a_star_can_be_set() -> None:
    assert found(["answer1", "answer2", "label"], ["a", "b", 0], CHOICES, choices="answer*")["choices"] == ["a", "b"]
    error = refused(["answer1", "label"], CHOICES, choices="answer*")
    assert error.what == "there is no column 'answer*'; the columns are: answer1, label"


@pytest.mark.parametrize("columns", [["endings"], ["endings", "ending"], ["ending0", "endings"], ["endingKey", "sol"]])
def test_one_column_or_another_word_is_no_list_of_choices(columns: list[str]) -> None:
    assert "there is no column 'choices' or 'ending*' or 'sol*'" in refused([*columns, "label"], CHOICES).what


def test_a_dot_in_a_pattern_is_a_dot() -> None:
    wanted = Wanted({"choices": ["a.b*"]})
    assert found(["a.b0", "a.b1", "axb2"], [0, 1, 2], wanted) == {"choices": [0, 1]}
    assert "there is no column 'a.b*'" in refused(["axb0", "axb1"], wanted).what


def test_names_are_all_those_that_make_a_header() -> None:
    assert TEXTS.names == {"text", "sentence", "label", "class"}


# --- sequences that are read when they are asked for ------------------------------------------------------------


class Asked(Sequence[Any]):
    """A sequence that remembers which of its entries somebody wanted."""

    def __init__(self, entries: Sequence[Any]) -> None:
        self._entries = entries
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: Any) -> Any:
        self.asked.append(index)
        return self._entries[index]


def same(lazy: Sequence[Any], eager: list[Any]) -> None:
    """Both behave the same in all that a sequence is asked."""
    assert len(lazy) == len(eager)
    assert list(lazy) == eager
    assert list(reversed(lazy)) == eager[::-1]
    assert [lazy[i] for i in range(-len(eager), len(eager))] == eager * 2
    assert all(entry in lazy for entry in eager)
    for outside in (len(eager), -len(eager) - 1):
        with pytest.raises(IndexError):
            lazy[outside]


CELLS = st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), max_size=8)


@given(CELLS)
def test_records_are_the_rows_by_the_tasks_names(rows: list[list[int]]) -> None:
    wanted = Wanted({"label": ["c"], "text": ["a"], "choices": ["a*"], "both": ["x*"]}, frozenset({"choices"}))
    table = Table("a.csv", ["a", "x0", "x1"], rows).find(wanted, {"label": "x1"})
    eager = [{"label": row[2], "text": row[0], "both": row[1:]} for row in rows]
    same(table.by_name, eager)
    assert list(table.records()) == [(f"a.csv, row {i}", record) for i, record in enumerate(eager, 1)]


@given(st.data(), st.lists(st.text(max_size=3), max_size=8))
def test_chosen_entries_are_those_at_the_indices(data: st.DataObject, entries: list[str]) -> None:
    index = st.integers(0, max(0, len(entries) - 1))
    indices = data.draw(st.lists(index, max_size=8 if entries else 0))
    chosen, eager = Chosen(entries, indices), [entries[i] for i in indices]
    same(chosen, eager)
    again = data.draw(st.lists(st.integers(0, max(0, len(eager) - 1)), max_size=8 if eager else 0))
    same(Chosen(chosen, again), [eager[i] for i in again])


@given(st.data(), CELLS)
def test_a_table_of_some_rows_is_that_of_a_file_with_just_them(data: st.DataObject, rows: list[list[int]]) -> None:
    lines = [2 * i + 1 for i in range(len(rows))]
    table = Table("a.csv", ["text", "x", "label"], rows, lines, ["first"]).find(TEXTS, {})
    taken = data.draw(st.permutations(range(len(rows))).map(lambda order: order[: len(order) // 2]))
    some = table.take(taken, "second")
    same(some.by_name, [{"text": rows[i][0], "label": rows[i][2]} for i in taken])
    assert [some.where(row) for row in range(len(taken))] == [f"a.csv:{lines[i]}" for i in taken]
    assert (some.notes, table.notes) == (["first", "second"], ["first"])


def test_rows_without_lines_are_counted_anew_in_a_table_of_some() -> None:
    assert Table("a.json", ["text"], [["a"], ["b"], ["c"]]).take([2, 0]).where(1) == "a.json, row 2"


def test_only_what_is_asked_for_is_read() -> None:
    rows = Asked([[f"t{i}", f"l{i}"] for i in range(9)])
    records = Table("a.csv", ["text", "label"], rows).find(TEXTS, {}).take([7, 3, 5]).take([2, 0]).by_name
    assert (len(records), rows.asked) == (2, [])
    assert records[0] == {"text": "t5", "label": "l5"}
    assert rows.asked == [5]
