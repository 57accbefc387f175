"""Tag schemes: what is written in any of them comes out as the same entities in IOB2."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from finesweep.tasks.tags import Entity, entities, is_odd, label_set, recognise, split_tag, to_iob2

Sentence = tuple[int, list[Entity]]


@st.composite
def spans(draw: st.DrawFn) -> Sentence:
    """A sentence's length and its entities, often side by side and often of one type."""
    pieces = draw(
        st.lists(st.tuples(st.sampled_from(["", "PER", "LOC", "creative-work", "e-mail"]), st.integers(1, 4)))
    )
    length, found = 0, []
    for kind, words in pieces:
        if kind:
            found.append(Entity(length, length + words, kind))
        length += words
    return length, found


SENTENCES = st.lists(spans(), min_size=1, max_size=4)


def write(sentence: Sentence, begin: str, inside: str, last: str, single: str) -> list[str]:
    """Tags of a scheme that is told by the prefixes of an entity's words."""
    length, found = sentence
    tags = ["O"] * length
    for entity in found:
        count = entity.end - entity.start
        prefixes = [begin, *[inside] * (count - 2), last] if count > 1 else [single]
        tags[entity.start : entity.end] = [f"{prefix}-{entity.type}" for prefix in prefixes]
    return tags


def iob1(sentence: Sentence) -> list[str]:
    """B- only where an entity of the same type ends just before."""
    tags = write(sentence, "I", "I", "I", "I")
    for before, entity in zip(sentence[1], sentence[1][1:], strict=False):
        if before.end == entity.start and before.type == entity.type:
            tags[entity.start] = f"B-{entity.type}"
    return tags


SCHEMES: dict[str, Callable[[Sentence], list[str]]] = {
    "IOB2": lambda s: write(s, "B", "I", "I", "B"),
    "IOBES": lambda s: write(s, "B", "I", "E", "S"),
    "BILOU": lambda s: write(s, "B", "I", "L", "U"),
    "BMES": lambda s: write(s, "B", "M", "E", "S"),
    "IOB1": iob1,
}


@pytest.mark.parametrize("scheme", SCHEMES)
@given(sentences=SENTENCES)
def test_entities_of_every_scheme_come_through_iob2_unchanged(scheme: str, sentences: list[Sentence]) -> None:
    converted = to_iob2([SCHEMES[scheme](sentence) for sentence in sentences])
    assert converted.tags == [SCHEMES["IOB2"](sentence) for sentence in sentences]
    assert [entities(tags) for tags in converted.tags] == [found for _, found in sentences]
    assert (converted.stray, converted.bare) == (0, 0)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(sentences=SENTENCES)
def test_a_scheme_is_recognised_by_its_tags(scheme: str, sentences: list[Sentence]) -> None:
    everything: Sentence = (9, [Entity(0, 3, "PER"), Entity(3, 4, "PER"), Entity(5, 8, "LOC")])
    assert recognise([SCHEMES[scheme](sentence) for sentence in [*sentences, everything]]) == scheme


@given(SENTENCES)
def test_what_is_iob2_stays_as_it_is(sentences: list[Sentence]) -> None:
    once = to_iob2([iob1(sentence) for sentence in sentences]).tags
    again = to_iob2(once)
    assert again.tags == once
    assert again.stray == 0


ANY_TAGS = st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"]), max_size=8)


@given(ANY_TAGS)
def test_entities_are_those_that_conlleval_sees(tags: list[str]) -> None:
    """seqeval's default mode agrees with conlleval, also on an inside tag that follows nothing of its type."""
    theirs = [Entity(start, end + 1, kind) for kind, start, end in get_entities(tags)]
    assert entities(tags) == theirs
    assert entities(to_iob2([tags]).tags[0]) == theirs


@given(ANY_TAGS)
def test_a_stray_inside_tag_begins_an_entity_and_is_counted(tags: list[str]) -> None:
    converted = to_iob2([tags], "IOB2")
    changed = [(old, new) for old, new in zip(tags, converted.tags[0], strict=True) if old != new]
    assert all(old[0] == "I" and new == f"B{old[1:]}" for old, new in changed)
    assert converted.stray == len(changed)


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        (["O", "O"], "IOB2"),
        (["B-PER", "O"], "IOB2"),
        (["I-PER", "O"], "IOB1"),
        (["I-PER", "B-PER"], "IOB1"),
        (["I-PER", "B-LOC"], "IOB2"),
        (["O", "B-PER", "I-PER"], "IOB2"),
        (["S-PER", "O"], "IOBES"),
        (["B-PER", "E-PER"], "IOBES"),
        (["U-PER", "O"], "BILOU"),
        (["B-PER", "L-PER"], "BILOU"),
        (["B-PER", "M-PER", "E-PER"], "BMES"),
        (["PER", "PER", "O"], "IO"),
        (["PER", "B-LOC"], "IOB2"),
        ([], "IOB2"),
    ],
)
def test_recognise(tags: list[str], scheme: str) -> None:
    assert recognise([tags]) == scheme


def test_bare_types_join_while_they_are_the_same() -> None:
    converted = to_iob2([["PER", "PER", "LOC", "O", "LOC"]])
    assert converted.tags == [["B-PER", "I-PER", "B-LOC", "O", "B-LOC"]]
    assert (converted.scheme, converted.stray, converted.bare) == ("IO", 0, 0)


def test_bare_types_among_others_are_counted() -> None:
    converted = to_iob2([["B-PER", "PER", "O", "LOC"]])
    assert converted.tags == [["B-PER", "I-PER", "O", "B-LOC"]]
    assert (converted.scheme, converted.stray, converted.bare) == ("IOB2", 0, 2)


def test_neighbours_in_a_scheme_with_ends_stay_apart_even_without_a_begin() -> None:
    """``E- I-`` and ``S- I-``: what has ended does not go on."""
    converted = to_iob2([["B-PER", "E-PER", "I-PER", "S-PER", "I-PER"]])
    assert entities(converted.tags[0]) == [Entity(0, 2, "PER"), *(Entity(i, i + 1, "PER") for i in (2, 3, 4))]
    assert converted.stray == 2


@pytest.mark.parametrize(
    ("tag", "parts"),
    [
        ("O", ("O", "")),
        ("B-PER", ("B", "PER")),
        ("I-creative-work", ("I", "creative-work")),
        ("PER", ("I", "PER")),
        ("X-PER", ("I", "X-PER")),
        ("e-mail", ("I", "e-mail")),
        ("B-LOCderiv", ("B", "LOCderiv")),
    ],
)
def test_split_tag(tag: str, parts: tuple[str, str]) -> None:
    assert split_tag(tag) == parts


@pytest.mark.parametrize("tag", ["B_PER", "b-PER", "b_per", "B/PER", "B:PER", "B.PER", "B|PER", "B", "b", "B-"])
def test_what_looks_like_a_prefix_and_is_none_is_odd(tag: str) -> None:
    assert is_odd(tag)


@pytest.mark.parametrize("tag", ["O", "B-PER", "I-per", "PER", "Building", "e-mail", "I-b-per", "back-pain"])
def test_other_tags_are_not_odd(tag: str) -> None:
    assert not is_odd(tag)


def test_the_label_set_holds_both_tags_of_each_type_in_a_stable_order() -> None:
    sentences: Sequence[Sequence[str]] = [["O", "B-PER"], ["I-creative-work"], ["B-LOC", "I-LOC"]]
    expected = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER", "B-creative-work", "I-creative-work"]
    assert label_set(sentences) == label_set(sentences[::-1]) == expected
    assert label_set([["O"]]) == label_set([]) == ["O"]
