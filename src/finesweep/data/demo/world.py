"""A small invented world of people, places, organisations and other names, drawn from one seed.

It holds things and how they belong together (who works where, which club plays in which town, who proposed which
theory), no sentences: :mod:`finesweep.data.demo` writes those, and every embedded data set is made of this one world.
Each thing is marked ``held_out`` or not, so that a data set can keep names of its test split out of training.
"""

import random
from dataclasses import dataclass
from typing import Literal

Domain = Literal["newswire", "physics", "medicine", "sport"]
DOMAINS: tuple[Domain, ...] = ("newswire", "physics", "medicine", "sport")

_ONSETS = "b br c ch d dr f fl g gr h j k kl l m n p pr r s sch st t tr v w z".split()
_VOWELS = "a e i o u ae ei ia ou".split()
_CODAS = ["", "l", "n", "r", "s", "th", "nd", "rk", "m", "x"]
_PLACE_ENDINGS = "burg dorf stad ford ville haven mouth holm field ey".split()
_FAMILY_ENDINGS = "sen man ova ini ez ley ford burg er ak".split()
_DRUG_ENDINGS = "mab tinib prazole statin cillin vir olol".split()
_THEORY_NOUNS = "conjecture foam equation operator lattice duality effect ansatz".split()
_TRIAL_NOUNS = "trial study protocol score".split()
_CUP_NOUNS = "Cup Open Trophy Classic Marathon".split()
_PAPER_NOUNS = "Treaty Accord Award Act Festival".split()

_KINDS_OF_ORGANISATION: dict[Domain, tuple[str, ...]] = {
    "newswire": ("{} Bank", "{} Airlines", "{} Motors", "Ministry of {}", "{} Holdings"),
    "physics": ("{} Institute", "University of {}", "{} Observatory", "{} Laboratory"),
    "medicine": ("{} Hospital", "{} Clinic", "{} Pharma", "{} Medical School"),
    # A club that bears the name of its town alone is the ambiguous case: only the sentence tells the two apart.
    "sport": ("{} United", "{} Rovers", "FC {}", "{}"),
}


@dataclass(frozen=True)
class Place:
    """A town; ``country`` is the country's name."""

    name: str
    country: str
    held_out: bool


@dataclass(frozen=True)
class Organisation:
    """An organisation of one domain with its seat. A sport club may bear the bare name of its town."""

    name: str
    domain: Domain
    seat: Place
    held_out: bool


@dataclass(frozen=True)
class Person:
    """A person of one domain, with family name (sometimes also a town's), birthplace and employer."""

    given: str
    family: str
    domain: Domain
    birthplace: Place
    employer: Organisation
    held_out: bool

    @property
    def name(self) -> str:
        return f"{self.given} {self.family}"


@dataclass(frozen=True)
class Work:
    """Something else that has a name: a treaty, a theory, a drug, a trial, a tournament; ``author`` brought it up."""

    name: str
    kind: Literal["event", "theory", "drug", "trial", "tournament"]
    domain: Domain
    author: Person
    held_out: bool


@dataclass(frozen=True)
class World:
    """All things of one world. The same seed gives the same world, on every machine and Python."""

    places: tuple[Place, ...]
    organisations: tuple[Organisation, ...]
    people: tuple[Person, ...]
    works: tuple[Work, ...]


def make_world(seed: int, size: int = 300, held_out: float = 0.5) -> World:
    """Draw a world.

    Args:
        seed: decides every name and every tie.
        size: towns; there are as many organisations, twice as many people, and as many works.
        held_out: the fraction of things that training data does not mention.
    """
    rng = random.Random(f"finesweep-world-{seed}")
    names = Names(rng)
    countries = [names.fresh("", 2) for _ in range(12)]

    def hidden(index: int, count: int) -> bool:
        return index >= count * (1 - held_out)

    places = tuple(
        Place(names.fresh(rng.choice(_PLACE_ENDINGS)), rng.choice(countries), hidden(i, size)) for i in range(size)
    )
    organisations = tuple(_organisation(rng, names, places, i, hidden(i, size)) for i in range(size))
    # Given names repeat, as they do among people: they tell a person where the family name is new or a town's.
    given = [names.fresh("", 1 + i % 2) for i in range(size // 5)]
    people = tuple(_person(rng, names, given, places, organisations, i, hidden(i, 2 * size)) for i in range(2 * size))
    works = tuple(_work(rng, names, people, i, hidden(i, size)) for i in range(size))
    return World(places, organisations, people, works)


class Names:
    """Pronounceable names that never repeat."""

    def __init__(self, rng: random.Random) -> None:
        self._rng, self._used = rng, set[str]()

    def fresh(self, ending: str, syllables: int | None = None) -> str:
        while True:
            count = syllables or self._rng.choice((1, 1, 2))
            name = "".join(self._syllable() for _ in range(count)) + ending
            name = name[0].upper() + name[1:]
            if len(name) > 3 and name not in self._used:
                self._used.add(name)
                return name

    def _syllable(self) -> str:
        return self._rng.choice(_ONSETS) + self._rng.choice(_VOWELS) + self._rng.choice(_CODAS)


def _same(rng: random.Random, things: tuple, held_out: bool):  # type: ignore[no-untyped-def]
    return rng.choice([thing for thing in things if thing.held_out == held_out])


def _organisation(
    rng: random.Random, names: Names, places: tuple[Place, ...], index: int, held_out: bool
) -> Organisation:
    domain = DOMAINS[index % len(DOMAINS)]
    seat = _same(rng, places, held_out)
    pattern = rng.choice(_KINDS_OF_ORGANISATION[domain])
    bearer = seat.name if pattern == "{}" or rng.random() < 0.5 else names.fresh("")
    return Organisation(pattern.format(bearer), domain, seat, held_out)


def _person(
    rng: random.Random,
    names: Names,
    given: list[str],
    places: tuple[Place, ...],
    organisations: tuple[Organisation, ...],
    index: int,
    held_out: bool,
) -> Person:
    domain = DOMAINS[index % len(DOMAINS)]
    peers = [o for o in organisations if o.domain == domain and o.held_out == held_out]
    birthplace = _same(rng, places, held_out)
    # Every fifth person bears the name of a town: a name alone does not tell its type.
    family = _same(rng, places, held_out).name if rng.random() < 0.2 else names.fresh(rng.choice(_FAMILY_ENDINGS))
    return Person(rng.choice(given), family, domain, birthplace, rng.choice(peers), held_out)


def _work(rng: random.Random, names: Names, people: tuple[Person, ...], index: int, held_out: bool) -> Work:
    domain = DOMAINS[index % len(DOMAINS)]
    author = rng.choice([p for p in people if p.domain == domain and p.held_out == held_out])
    bearer = rng.choice((author.family, author.birthplace.name, names.fresh("")))
    if domain == "physics":
        return Work(f"{bearer} {rng.choice(_THEORY_NOUNS)}", "theory", domain, author, held_out)
    if domain == "medicine" and index % 8 < 4:
        return Work(names.fresh(rng.choice(_DRUG_ENDINGS)), "drug", domain, author, held_out)
    if domain == "medicine":
        return Work(f"{bearer} {rng.choice(_TRIAL_NOUNS)}", "trial", domain, author, held_out)
    if domain == "sport":
        return Work(f"{bearer} {rng.choice(_CUP_NOUNS)}", "tournament", domain, author, held_out)
    return Work(f"{bearer} {rng.choice(_PAPER_NOUNS)}", "event", domain, author, held_out)
