"""The fingerprint is of the rows: what they say and their order, nothing else."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finesweep.data.fingerprint import fingerprint

ROWS = [{"tokens": ["Köln", "#"], "tags": ["B-LOC", "O"]}, {"tokens": ["a"], "tags": ["O"]}]


def test_the_same_rows_have_the_same_fingerprint_wherever_they_come_from() -> None:
    turned = ({key: list(row[key]) for key in reversed(row)} for row in ROWS)
    assert fingerprint(turned) == fingerprint(ROWS)
    assert len(fingerprint(ROWS)) == 64


def test_it_is_the_same_on_every_machine() -> None:
    """Runs of different days and machines are compared by it."""
    lines = '{"tags": ["B-LOC", "O"], "tokens": ["Köln", "#"]}\n{"tags": ["O"], "tokens": ["a"]}\n'
    assert fingerprint(ROWS) == hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.parametrize(
    "changed",
    [
        [],
        ROWS[:1],
        ROWS[::-1],
        [*ROWS, ROWS[0]],
        [{**ROWS[0], "tags": ["B-ORG", "O"]}, ROWS[1]],
        [{**ROWS[0], "tokens": ["Köln", "# "]}, ROWS[1]],
        [{**ROWS[0], "tokens": ["Köln#"]}, ROWS[1]],
        [{"tokens": ROWS[0]["tokens"]}, ROWS[1]],
    ],
)
def test_any_change_of_rows_changes_it(changed: list[dict[str, Any]]) -> None:
    assert fingerprint(changed) != fingerprint(ROWS)


SOME_ROWS = st.lists(st.fixed_dictionaries({"tokens": st.lists(st.text(max_size=2), max_size=2)}), max_size=3)


@given(SOME_ROWS, SOME_ROWS)
def test_equal_means_equal(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (one == other)
