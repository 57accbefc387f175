"""The errors that a report shows first: those that the model was surest of, and nothing that is right."""

from collections.abc import Callable
from typing import Any

import pytest

from finesweep.config.instantiate import build
from finesweep.tasks.base import Row, Task


def task(composed: Callable[..., dict[str, Any]], data: str) -> Task:
    return build(composed(f"data={data}")["task"], [])


def test_of_each_sentence_the_word_with_the_surest_wrong_tag(composed: Callable[..., dict[str, Any]]) -> None:
    rows: list[Row] = [
        {"tokens": ["Ada", "of", "Rome"], "tags": ["B-PER", "O", "B-LOC"]},
        {"tokens": ["no", "error"], "tags": ["O", "O"]},
        {"tokens": ["x"] * 30 + ["Bonn"], "tags": ["O"] * 30 + ["B-LOC"]},
    ]
    said: list[Row] = [
        {"tags": ["O", "O", "B-PER"], "scores": [0.6, 0.99, 0.8]},
        {"tags": ["O", "O"], "scores": [1.0, 1.0]},
        {"tags": ["O"] * 31, "scores": [1.0] * 30 + [0.9]},
    ]
    table = task(composed, "demo").hardest(rows, said)
    assert table is not None
    assert [[row[0], *row[2:]] for row in table.rows] == [
        ["Bonn", "B-LOC", "O", 0.9],
        ["Rome", "B-LOC", "B-PER", 0.8],
    ]
    assert table.rows[0][1] == " ".join(["x"] * 8 + ["Bonn"])


@pytest.mark.parametrize(
    ("data", "rows", "said", "shown"),
    [
        (
            "demo_topics",
            [{"text": "a\n b", "label": "x"}, {"text": "c", "label": "y"}, {"text": "d", "label": "y"}],
            [{"label": "y", "score": 0.6}, {"label": "x", "score": 0.9}, {"label": "y", "score": 1.0}],
            [["c", "y", "x", 0.9], ["a b", "x", "y", 0.6]],
        ),
        (
            "demo_mentions",
            [{"text": "a", "label": ["x"]}, {"text": "b", "label": []}],
            [
                {"label": ["x"], "scores": {"x": 0.9, "y": 0.1}},
                {"label": ["x", "y"], "scores": {"x": 0.6, "y": 0.7}},
            ],
            [["b", "none", "x, y", 0.7]],
        ),
        (
            "demo_similarity",
            [{"text": "a", "text_pair": "b", "label": 1.0}, {"text": "c", "text_pair": "d", "label": 5.0}],
            [{"label": 1.5}, {"label": 2.0}],
            [["c d", "5", "2", 3.0], ["a b", "1", "1.5", 0.5]],
        ),
        (
            "demo_relations",
            [{"text": "Ada met Bob", "e1": [0, 3], "e2": [8, 11], "label": "met"}],
            [{"label": "none", "score": 0.7}],
            [["Ada and Bob: Ada met Bob", "met", "none", 0.7]],
        ),
        (
            "demo_choices",
            [{"question": "which?", "choices": ["this", "that"], "label": 1}],
            [{"label": 0, "score": 0.8, "scores": [0.8, 0.2]}],
            [["which?", "1: that", "0: this", 0.8]],
        ),
    ],
)  # fmt: skip
def test_rows_with_the_largest_error_first(
    composed: Callable[..., dict[str, Any]], data: str, rows: list[Row], said: list[Row], shown: list[list[Any]]
) -> None:
    table = task(composed, data).hardest(rows, said)
    assert table is not None
    assert table.rows == shown
