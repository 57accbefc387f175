"""Cells as lists of tokens and tags, however a file holds them, and tags under new names."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finesweep.config.errors import UserError
from finesweep.tasks.tag_rows import rename, tags_of, tokens_of

WHERE = "a.csv:7"


@pytest.mark.parametrize(
    "cell",
    [
        ["EU", "it's", "5"],
        ("EU", "it's", "5"),
        np.array(["EU", "it's", "5"]),
        "EU it's 5",
        "  EU  it's\t5 ",
        '["EU", "it\'s", "5"]',
        "['EU', \"it's\", '5']",
        "['EU' \"it's\" '5']",
        "['EU' \"it's\"\n '5']",
    ],
)
def test_a_cell_holds_tokens_as_a_list_or_as_any_text_of_one(cell: Any) -> None:
    assert tokens_of(cell, WHERE) == ["EU", "it's", "5"]


WORDS = st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1), min_size=1)


@given(WORDS)
def test_lists_come_back_from_json_and_from_pythons_and_numpys_way_to_print_them(words: list[str]) -> None:
    assert tokens_of(json.dumps(words), WHERE) == words
    assert tokens_of(repr(words), WHERE) == words
    assert tokens_of("[" + " ".join(map(repr, words)) + "]", WHERE) == words


@given(WORDS.filter(lambda words: not any(set(" []") & set(word) for word in words)))
def test_words_between_blanks_come_back(words: list[str]) -> None:
    """A no-break space parts no words."""
    assert tokens_of(" ".join(words), WHERE) == words


@pytest.mark.parametrize("text", ["[ laughs ]", "[ 1 ] see [ 2 ]", "a [ b , c ]", "[x] y", "[sic]"])
def test_a_sentence_in_brackets_is_no_list(text: str) -> None:
    assert tokens_of(text, WHERE) == text.split()


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("", "the row has no tokens"),
        (" ", "the row has no tokens"),
        ("[]", "the row has no tokens"),
        ([], "the row has no tokens"),
        (None, "tokens or tags are missing"),
        (3, "must be lists, not int"),
        ({"a": 1}, "must be lists, not dict"),
        ("[a, b]", "the list cannot be read"),
        (["a", 5], "token number 2 is 5, not text"),
        (["a", None], "token number 2 is None, not text"),
        ("[1, 2]", "token number 1 is 1, not text"),
        (["a", "\ud83d"], "token number 2 holds half a character"),
    ],
)
def test_what_is_no_list_of_tokens_is_an_error_with_its_place(cell: Any, says: str) -> None:
    with pytest.raises(UserError) as caught:
        tokens_of(cell, WHERE)
    assert caught.value.where == WHERE
    assert says in caught.value.what


NAMES = ["O", "B-PER", "I-PER"]


@pytest.mark.parametrize(
    "cell",
    [
        [0, 1, 2], ["0", "1", "2"], np.array([0, 1, 2]), "[0, 1, 2]", "[0 1 2]", "0 1 2", ["O", "B-PER", "I-PER"],
        ["O", 1, "I-PER "], "O B-PER I-PER",
    ],
)  # fmt: skip
def test_tags_are_names_or_numbers_with_names(cell: Any) -> None:
    assert tags_of(cell, NAMES, WHERE) == NAMES


@pytest.mark.parametrize(
    ("cell", "names", "says"),
    [
        ([0, 3], NAMES, "tag number 2 is 3, and data.label_names has 3"),
        ([0, -100], NAMES, "tag number 2 is -100, and data.label_names has 3"),
        ([0], [], "tag number 1 is 0, and data.label_names is empty"),
        ("0 1", [], "tag number 1 is 0, and data.label_names is empty"),
        ([True], NAMES, "tag number 1 is True, neither"),
        ([1.0], NAMES, "tag number 1 is 1.0, neither"),
        ([None], NAMES, "tag number 1 is None, neither"),
        (["O", " "], NAMES, "tag number 2 is '', neither"),
        (["O", "B_PER"], NAMES, "tag number 2, 'B_PER', is of no known scheme"),
        (["b-per"], NAMES, "tag number 1, 'b-per', is of no known scheme"),
    ],
)
def test_what_is_no_tag_is_an_error_with_its_place(cell: Any, names: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        tags_of(cell, names, WHERE)
    assert caught.value.where == WHERE
    assert caught.value.what.startswith(says)


TAGS = ["B-per", "I-per", "O", "B-loc", "B-misc", "I-misc"]


@pytest.mark.parametrize(
    ("label_map", "expected"),
    [
        ({}, TAGS),
        ({"per": "PER", "loc": "LOC"}, ["B-PER", "I-PER", "O", "B-LOC", "B-misc", "I-misc"]),
        ({"misc": "O"}, ["B-per", "I-per", "O", "B-loc", "O", "O"]),
        ({"loc": "misc"}, ["B-per", "I-per", "O", "B-misc", "B-misc", "I-misc"]),
        ({"B-per": "B-PER", "I-per": "I-PER"}, ["B-PER", "I-PER", "O", "B-loc", "B-misc", "I-misc"]),
        ({"B-loc": "O"}, ["B-per", "I-per", "O", "O", "B-misc", "I-misc"]),
        ({"B-loc": "B-x", "loc": "y"}, ["B-per", "I-per", "O", "B-x", "B-misc", "I-misc"]),
    ],
)
def test_a_label_map_renames_types_or_single_tags(label_map: dict[str, str], expected: list[str]) -> None:
    splits: dict[str, list[dict[str, Any]]] = {"train": [{"tags": list(TAGS)}], "test": [{"tags": ["O"]}]}
    assert rename(splits, label_map, every_key=True) == []
    assert splits == {"train": [{"tags": expected}], "test": [{"tags": ["O"]}]}


def test_what_a_label_map_leaves_without_its_beginning_is_mended_and_counted() -> None:
    splits: dict[str, list[dict[str, Any]]] = {"train": [{"tags": ["B-per", "I-per", "I-per"]}, {"tags": ["B-per"]}]}
    (note,) = rename(splits, {"B-per": "O"}, every_key=True)
    assert splits["train"] == [{"tags": ["O", "B-per", "I-per"]}, {"tags": ["O"]}]
    assert "1 entities" in note


@pytest.mark.parametrize(
    ("label_map", "says"),
    [
        ({"peer": "PER"}, "'peer' matches no tag of the data. Did you mean 'per'"),
        ({"zzz": "PER"}, "'zzz' matches no tag of the data. There are: B-per, I-per, per."),
        ({"O": "X"}, "'O' matches no tag"),
        ({"per": "B-PER"}, "'per' cannot become 'B-PER': give a type such as PER, or O"),
        ({"per": ""}, "'per' cannot become ''"),
        ({"B-per": "PER"}, "'B-per' cannot become 'PER': give a tag such as B-PER, or O"),
    ],
)
def test_a_label_map_that_does_not_fit_is_an_error(label_map: dict[str, str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        rename({"train": [{"tags": ["B-per", "I-per", "O"]}]}, label_map, every_key=True)
    assert caught.value.where == "data.label_map"
    assert caught.value.what.startswith(says)


def test_where_only_some_splits_are_read_a_name_need_not_occur() -> None:
    splits: dict[str, list[dict[str, Any]]] = {"test": [{"tags": ["B-per"]}]}
    assert rename(splits, {"per": "PER", "misc": "O"}, every_key=False) == []
    assert splits == {"test": [{"tags": ["B-PER"]}]}
