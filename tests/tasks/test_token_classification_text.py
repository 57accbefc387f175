"""Token classification from text to what users read: words, offsets, columns."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finesweep.tasks.base import Row
from finesweep.tasks.token_classification import TokenClassification
from tests.tasks.making import task_of

LABELS = ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]


def task(**changes: Any) -> TokenClassification:
    return task_of("token_classification", window_overlap=4, **changes)


@given(st.text())
def test_words_of_a_text_stand_where_their_spans_say_and_leave_nothing_out(text: str) -> None:
    row = task().row_from_text(text, "here")
    assert [text[start:end] for start, end in row["spans"]] == row["tokens"]
    assert "".join(row["tokens"]) == re.sub(r"\s", "", text)
    assert row["spans"] == sorted(row["spans"])
    assert row["text"] == text


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" \n", []),
        ("EU rejects German call.", "EU rejects German call ."),
        ("The U.N.'s role, said Ms. O'Neil (51).", "The U.N . 's role , said Ms . O 'Neil ( 51 ) ."),
        ("Rovers 3-1 Köln on 2026-11-02 at 5,000.5", "Rovers 3-1 Köln on 2026-11-02 at 5,000.5"),
        ("AT&T, me@x.org", "AT&T , me@x.org"),
        ("a\u00a0b", "a b"),
        ("#tag 👍", "# tag 👍"),
    ],
)
def test_words_and_marks_of_a_text(text: str, tokens: str | list[str]) -> None:
    assert task().row_from_text(text, "here")["tokens"] == (tokens.split() if isinstance(tokens, str) else tokens)


@given(st.text(), st.data())
def test_offsets_of_entities_cut_them_out_of_the_text(text: str, data: st.DataObject) -> None:
    row = task().row_from_text(text, "here")
    tags = data.draw(st.lists(st.sampled_from(LABELS), min_size=len(row["tokens"]), max_size=len(row["tokens"])))
    found = task().readable(row, {"tags": tags, "scores": [0.5] * len(tags)})
    assert found["text"] == text
    for entity in found["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"] != ""
        assert entity["text"] == entity["text"].strip()
    assert len(found["entities"]) >= sum(tag[0] == "B" for tag in tags)


def test_a_prediction_is_readable() -> None:
    row = task().row_from_text("In New  York, EU.", "here")
    prediction = {"tags": ["O", "B-LOC", "I-LOC", "O", "B-ORG", "O"], "scores": [1.0, 0.9, 0.6, 1.0, 0.8, 1.0]}
    assert task().readable(row, prediction) == {
        "text": "In New  York, EU.",
        "entities": [
            {"type": "LOC", "text": "New  York", "start": 3, "end": 12, "score": 0.75},
            {"type": "ORG", "text": "EU", "start": 14, "end": 16, "score": 0.8},
        ],
    }


def test_a_row_of_tokens_is_read_as_joined_by_blanks() -> None:
    found = task().readable(
        {"tokens": ["in", "New", "York", "."]}, {"tags": ["O", "B-X", "I-X", "O"], "scores": [0.5] * 4}
    )
    assert found["text"] == "in New York ."
    assert found["entities"] == [{"type": "X", "text": "New York", "start": 3, "end": 11, "score": 0.5}]


@pytest.mark.parametrize("row", [{"tokens": []}, {"tokens": [], "text": " ", "spans": []}])
def test_an_empty_text_has_no_entities_and_no_lines(row: Row) -> None:
    assert task().readable(row, {"tags": [], "scores": []})["entities"] == []
    assert task().lines(row, {"tags": [], "scores": []}) == ""


@pytest.mark.parametrize("text", ["हिन्दी में", "cafe\u0301 noir", "كِتَاب جَدِيد"])
def test_marks_that_are_characters_of_their_own_belong_to_their_word(text: str) -> None:
    assert task_of("token_classification").row_from_text(text, "x")["tokens"] == text.split()
