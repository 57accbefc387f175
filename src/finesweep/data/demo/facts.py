"""What is true in the world, as sentences: who works where, who was born where, who is behind what."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from finesweep.data.demo.cast import DAYS, Cast

#: For each tie the ways to say it, and a question whose answer is ``b``.
TIES: dict[str, tuple[tuple[str, ...], str]] = {
    "works_for": (
        ("{a} works for {b} .", "{b} hired {a} last {day} .", "{a} joined {b} .", "{b} is the employer of {a} ."),
        "Who does {a} work for ?",
    ),
    "born_in": (
        ("{a} was born in {b} .", "{b} is the birthplace of {a} .", "{a} grew up in {b} ."),
        "Where was {a} born ?",
    ),
    "based_in": (
        ("{a} has its seat in {b} .", "The offices of {a} are in {b} .", "{b} is home to {a} ."),
        "Where is {a} based ?",
    ),
    "located_in": (
        ("{a} is a town in {b} .", "{b} is the country around {a} .", "{a} lies in {b} ."),
        "In which country is {a} ?",
    ),
    "made_by": (
        ("The {a} was the idea of {b} .", "{b} is behind the {a} .", "{b} brought up the {a} ."),
        "Who is behind the {a} ?",
    ),
}

#: Sentences that deny a tie.
DENIALS: dict[str, tuple[str, ...]] = {
    "works_for": ("{a} never worked for {b} .", "{b} did not hire {a} .", "{a} is not with {b} ."),
    "born_in": ("{a} was not born in {b} .", "{b} is not the birthplace of {a} .", "{a} never lived in {b} ."),
    "based_in": ("{a} has no seat in {b} .", "The offices of {a} are not in {b} .", "{b} was never home to {a} ."),
    "located_in": ("{a} is not a town in {b} .", "{b} is not the country around {a} .", "{a} never was in {b} ."),
    "made_by": ("The {a} was not the idea of {b} .", "{b} is not behind the {a} .", "{b} never brought up the {a} ."),
}


@dataclass(frozen=True)
class Fact:
    """Two names and the tie between them."""

    tie: str
    a: str
    b: str

    def say(self, rng: random.Random, *, other_than: str = "") -> str:
        """A sentence that says it, in other words than the template ``other_than``."""
        return self.fill(self.template(rng, other_than=other_than), rng)

    def fill(self, template: str, rng: random.Random) -> str:
        """A template with the two names in it."""
        return template.format(a=self.a, b=self.b, day=rng.choice(DAYS))

    def deny(self, rng: random.Random) -> str:
        """A sentence that says the opposite."""
        return self.fill(rng.choice(DENIALS[self.tie]), rng)

    def template(self, rng: random.Random, *, other_than: str = "") -> str:
        """One of the ways to say it."""
        return rng.choice([template for template in TIES[self.tie][0] if template != other_than])

    @property
    def question(self) -> str:
        """A question whose answer is ``b``."""
        return TIES[self.tie][1].format(a=self.a)


def fact_about(cast: Cast, rng: random.Random, tie: str | None = None) -> Fact:
    """Something that is true of one of a cast."""
    tie = tie or rng.choice(list(TIES))
    person = rng.choice(cast.people)
    if tie == "works_for":
        return Fact(tie, person.name, person.employer.name)
    if tie == "born_in":
        return Fact(tie, person.name, person.birthplace.name)
    if tie == "based_in":
        organisation = rng.choice(cast.organisations)
        return Fact(tie, organisation.name, organisation.seat.name)
    if tie == "located_in":
        place = rng.choice(cast.places)
        return Fact(tie, place.name, place.country)
    work = rng.choice(cast.works)
    return Fact(tie, work.name, work.author.name)


def another(fact: Fact, cast: Cast, rng: random.Random) -> Fact:
    """A fact of the same kind about two other names."""
    while True:
        other = fact_about(cast, rng, fact.tie)
        if not {other.a, other.b} & {fact.a, fact.b}:
            return other


def facts_about(cast: Cast, rng: random.Random, count: int, *, ties: Sequence[str] = ()) -> list[Fact]:
    """Several facts, no two of them with a name in common; with ``ties``, one of each of these kinds in turn."""
    found: list[Fact] = []
    while len(found) < count:
        fact = fact_about(cast, rng, ties[len(found)] if ties else None)
        if not any({fact.a, fact.b} & {other.a, other.b} for other in found):
            found.append(fact)
    return found
