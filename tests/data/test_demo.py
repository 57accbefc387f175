"""The embedded data set: what a named-entity corpus needs, and the same on every machine."""

import re
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from finesweep.data.demo import demo_splits
from finesweep.data.demo.entities import sentences
from finesweep.data.demo.world import DOMAINS, make_world

Rows = list[dict[str, list[str]]]
SIZES: Any = {"train": 2000, "validation": 400, "test": 400}
written = partial(demo_splits, "entities.sentences")
TYPES = {"PER", "LOC", "ORG", "MISC"}


@pytest.fixture(scope="module")
def splits() -> dict[str, Rows]:
    return written(0, SIZES, unseen=0.8)


def names(rows: Rows) -> Iterator[tuple[str, str]]:
    """The surface form and type of every mention, read off the tags without finesweep's help."""
    for row in rows:
        marks = "".join({"O": "o", "B": "b", "I": "i"}[tag[0]] for tag in row["tags"])
        for found in re.finditer("bi*", marks):
            yield " ".join(row["tokens"][found.start() : found.end()]), row["tags"][found.start()][2:]


def test_one_seed_is_one_corpus_and_another_is_another() -> None:
    sizes: Any = {"train": 50, "validation": 10, "test": 10}
    assert written(3, sizes, unseen=0.8) == written(3, sizes, unseen=0.8)
    assert written(3, sizes, unseen=0.8)["train"] != written(4, sizes, unseen=0.8)["train"]


def test_a_larger_split_begins_with_the_smaller(splits: dict[str, Rows]) -> None:
    assert written(0, {"train": 30, "test": 20}, unseen=0.8) == {
        "train": splits["train"][:30],
        "test": splits["test"][:20],
    }


def test_the_splits_have_their_sizes_and_differ(splits: dict[str, Rows]) -> None:
    assert {split: len(rows) for split, rows in splits.items()} == SIZES
    texts = {split: {" ".join(row["tokens"]) for row in rows} for split, rows in splits.items()}
    assert not texts["train"] & (texts["validation"] | texts["test"])
    assert not texts["validation"] & texts["test"]
    assert len(texts["train"]) > 0.99 * SIZES["train"]


def test_tags_are_iob2_and_as_many_as_tokens(splits: dict[str, Rows]) -> None:
    for rows in splits.values():
        for row in rows:
            assert len(row["tokens"]) == len(row["tags"]) > 0
            assert all(token and not re.search(r"[\s{}]", token) for token in row["tokens"])
            assert all(re.fullmatch(r"O|[BI]-(PER|LOC|ORG|MISC)", tag) for tag in row["tags"])
            for before, tag in pairwise(["O", *row["tags"]]):
                assert tag[0] != "I" or before[2:] == tag[2:]
        assert {kind for _, kind in names(rows)} == TYPES


def test_every_domain_has_its_share(splits: dict[str, Rows]) -> None:
    for split, rows in splits.items():
        told = [row["domain"][0] for row in rows]
        assert {domain: told.count(domain) for domain in DOMAINS} == dict.fromkeys(DOMAINS, SIZES[split] // 4)
    only = list(sentences(make_world(0), 8, seed=1, unseen=0.0, domains=("sport",)))
    assert [row["domain"] for row in only] == [["sport"]] * 8


def test_quantum_gravity_occurs_in_physics_alone(splits: dict[str, Rows]) -> None:
    for rows in splits.values():
        found = {row["domain"][0] for row in rows if "quantum gravity" in " ".join(row["tokens"]).lower()}
        assert found == {"physics"}


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_most_names_of_validation_and_test_are_unseen_in_training(seed: int, split: str) -> None:
    drawn = written(seed, SIZES, unseen=0.8)
    known = {form for form, _ in names(drawn["train"])}
    mentions = [form for form, _ in names(drawn[split])]
    assert sum(form not in known for form in set(mentions)) > 0.65 * len(set(mentions))
    assert sum(form not in known for form in mentions) > 0.7 * len(mentions)


def test_how_many_are_unseen_can_be_chosen(splits: dict[str, Rows]) -> None:
    known = {form for form, _ in names(splits["train"])}

    def share(unseen: float) -> float:
        mentions = [form for form, _ in names(written(0, {"test": 400}, unseen=unseen)["test"])]
        return sum(form not in known for form in mentions) / len(mentions)

    assert share(0.0) < 0.05 < 0.4 < share(0.5) < 0.6 < 0.9 < share(1.0)


def test_some_names_are_of_several_types(splits: dict[str, Rows]) -> None:
    """A person or a club with the name of a town: only the sentence tells."""
    for rows in splits.values():
        types: dict[str, set[str]] = {}
        for form, kind in names(rows):
            types.setdefault(form, set()).add(kind)
        several = [kinds for kinds in types.values() if len(kinds) > 1]
        assert len(several) > 0.02 * len(types)
    assert {"LOC", "PER"} in several
    assert {"LOC", "ORG"} in several


def test_a_type_is_neither_rare_nor_all(splits: dict[str, Rows]) -> None:
    kinds = [kind for _, kind in names(splits["train"])]
    assert all(0.1 < kinds.count(kind) / len(kinds) < 0.5 for kind in TYPES)
    long = [form for form, _ in names(splits["train"]) if " " in form]
    assert 0.2 < len(long) / len(kinds) < 0.8


def test_the_world_hangs_together() -> None:
    world = make_world(5, size=80)
    assert make_world(5, size=80) == world != make_world(6, size=80)
    for person in world.people:
        assert person.employer in world.organisations
        assert person.employer.domain == person.domain
        assert person.held_out == person.employer.held_out == person.birthplace.held_out
    for work in world.works:
        assert (work.author.domain, work.author.held_out) == (work.domain, work.held_out)
    for organisation in world.organisations:
        assert organisation.seat.held_out == organisation.held_out
    places = [place.name for place in world.places]
    assert len(set(places)) == len(places) == 80


@pytest.mark.parametrize("held_out", [0.25, 0.5])
def test_the_world_holds_out_the_fraction_that_it_is_told(held_out: float) -> None:
    world = make_world(0, size=80, held_out=held_out)
    for things in (world.places, world.organisations, world.people, world.works):
        assert sum(thing.held_out for thing in things) == held_out * len(things)
