"""Sentences about the embedded world, with their named entities: the data set that needs no network and no files.

A template is a line of words and slots. ``{person}`` … are filled from one :class:`~finesweep.data.world.World` with
things that belong together (a person, their employer, its seat, …), so later tasks can ask for those ties.
"""

import random
from collections.abc import Iterator
from typing import Literal

from finesweep.data.world import DOMAINS, Domain, Organisation, Person, Place, Work, World, make_world

Split = Literal["train", "validation", "test"]

#: Which entity type a slot's words bear.
_TYPE_OF_SLOT = {
    "person": "PER", "family": "PER", "other_person": "PER", "other_family": "PER",
    "place": "LOC", "other_place": "LOC", "country": "LOC", "seat": "LOC",
    "org": "ORG", "other_org": "ORG", "work": "MISC", "other_work": "MISC",
}  # fmt: skip

_TEMPLATES: dict[Domain, tuple[str, ...]] = {
    "newswire": (
        "{person} , chairman of {org} , resigned on {day} after talks in {place} .",
        "Shares in {org} rose {number} percent , the exchange in {place} said .",
        "The government of {country} signed the {work} despite protests in {place} .",
        "{family} told reporters in {place} that {org} would cut {number} jobs .",
        "{org} said on {day} it would move its offices from {seat} to {place} .",
        "Police in {place} arrested {number} people at a rally of {person} .",
        "Mayor {family} of {place} met {other_person} , who works for {org} .",
        "{country} and its neighbours will vote on the {work} next {day} .",
        "Heavy rain cut the road from {place} to {other_place} , officials said .",
        "Analysts at {org} expect the {work} to cost {number} million .",
        "Former minister {person} was born in {place} , not in {other_place} .",
        "{org} hired {person} , a rival of {other_family} , for its unit in {country} .",
    ),
    "physics": (
        "{person} of the {org} proposed the {work} as a road to quantum gravity .",
        "In quantum gravity the {work} removes the singularity , {family} argued .",
        "A detector near {place} saw {number} events that the {work} does not explain .",
        "{family} and {other_family} derived the {work} while visiting {place} .",
        "Physicists at the {org} in {seat} measured a phase of {number} degrees .",
        "The {work} predicts loops of space , wrote {person} in a paper .",
        "Data taken by the {org} rule out the {other_work} , said {family} .",
        "After a talk in {place} , {person} compared the {work} with the {other_work} .",
        "Neutrinos sent from {place} to {other_place} support the {work} .",
        "The {org} in {country} will test quantum gravity with {number} atoms .",
    ),
    "medicine": (
        "Doctors at {org} in {seat} treated {number} patients with {drug} .",
        "{person} , a surgeon from {place} , led the {trial} .",
        "The {trial} found that {drug} halves the risk of stroke , {family} said .",
        "{org} recalled {number} packs of {drug} sold in {country} .",
        "Patients in {place} were given {drug} for {number} weeks .",
        "{family} reported side effects of {drug} to the {org} .",
        "A clinic near {place} joined the {trial} of {person} .",
        "The {org} paid for the {trial} , {other_person} confirmed .",
        "Nurses at the {org} vaccinated {number} children in {place} .",
        "According to {family} , {drug} acts faster than {other_drug} .",
    ),
    "sport": (
        "{org} beat {other_org} {score} in {place} on {day} .",
        "{person} scored twice as {org} won {score} at home .",
        "Striker {family} left {org} for {other_org} after the {work} .",
        "{family} , born in {place} , won the {work} in straight sets .",
        "Results of the {work} : {org} {score} {other_org} .",
        "Coach {person} of {org} praised the fans in {place} .",
        "{org} travel to {place} to face {other_org} in the {work} .",
        "{family} beat {other_family} {score} in the final of the {work} .",
        "Defender {person} will miss the match between {org} and {other_org} .",
        "The {work} returns to {place} after {number} years .",
    ),
}

_OPENINGS = ("Meanwhile ,", "In brief :", "Later ,", "On {day} ,", "Last {day} ,")
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def sentences(
    world: World, count: int, *, seed: int, unseen: float, domains: tuple[Domain, ...] = DOMAINS
) -> Iterator[dict[str, list[str]]]:
    """Sentences with their tags.

    Args:
        world: the things to write about.
        count: how many sentences.
        seed: decides what is written; two seeds give two texts about one world.
        unseen: the fraction of sentences that are about held-out things.
        domains: what to write about, in equal shares.

    Yields:
        ``{"tokens": [...], "tags": [...], "domain": [...]}``, the tags in IOB2 with the types PER, LOC, ORG, MISC.
    """
    rng = random.Random(f"finesweep-sentences-{seed}")
    casts = {(domain, held): _Cast(world, domain, held) for domain in domains for held in (False, True)}
    for index in range(count):
        domain = domains[index % len(domains)]
        cast = casts[domain, rng.random() < unseen]
        tokens, tags = _fill(_template(rng, domain), cast.draw(rng))
        yield {"tokens": tokens, "tags": tags, "domain": [domain]}


def demo_splits(seed: int, sizes: dict[Split, int], unseen: float) -> dict[str, list[dict[str, list[str]]]]:
    """The named-entity data set: training about known things, ``unseen`` of the other sentences about held-out ones."""
    world = make_world(seed)
    # By name: a split must not change with what stands beside it.
    offsets: dict[Split, int] = {"train": 0, "validation": 1, "test": 2}
    return {
        split: list(
            sentences(world, count, seed=seed * 1000 + offsets[split], unseen=0.0 if split == "train" else unseen)
        )
        for split, count in sizes.items()
    }


class _Cast:
    """The things of one domain, known or held out, from which a sentence draws its players."""

    def __init__(self, world: World, domain: Domain, held_out: bool) -> None:
        def mine(thing: Person | Organisation | Work) -> bool:
            return thing.domain == domain and thing.held_out == held_out

        self.places: list[Place] = [p for p in world.places if p.held_out == held_out]
        self.people = [p for p in world.people if mine(p)]
        self.organisations = [o for o in world.organisations if mine(o)]
        self.works = [w for w in world.works if mine(w)]

    def draw(self, rng: random.Random) -> dict[str, str]:
        """A value for every slot; the person's employer and its seat belong together."""
        person, other = rng.sample(self.people, 2)
        other_org = rng.choice([o for o in self.organisations if o.name != person.employer.name])
        place, other_place = rng.sample(self.places, 2)
        work, other_work = rng.sample(self.works, 2)
        slots = {
            "person": person.name, "family": person.family,
            "other_person": other.name, "other_family": other.family,
            "org": person.employer.name, "other_org": other_org.name, "seat": person.employer.seat.name,
            "place": place.name, "other_place": other_place.name, "country": place.country,
            "work": work.name, "other_work": other_work.name,
            "day": rng.choice(_DAYS), "number": str(rng.randrange(2, 900)),
            "score": f"{rng.randrange(5)} - {rng.randrange(5)}",
        }  # fmt: skip
        for kind in ("drug", "trial"):
            named = [w.name for w in self.works if w.kind == kind]
            if len(named) > 1:
                slots[kind], slots[f"other_{kind}"] = rng.sample(named, 2)
        return slots


def _template(rng: random.Random, domain: Domain) -> str:
    template = rng.choice(_TEMPLATES[domain])
    if rng.random() < 0.5:
        return template
    openings = [o for o in _OPENINGS if "{day}" not in o or "{day}" not in template]
    return f"{rng.choice(openings)} {template[0].lower()}{template[1:]}"


def _fill(template: str, slots: dict[str, str]) -> tuple[list[str], list[str]]:
    tokens, tags = [], []
    for piece in template.split():
        slot = piece.strip("{}") if piece.startswith("{") else None
        words = slots[slot].split() if slot else [piece]
        kind = "MISC" if slot and slot.endswith(("drug", "trial")) else _TYPE_OF_SLOT.get(slot or "")
        tokens += words
        tags += [f"{'I' if i else 'B'}-{kind}" if kind else "O" for i in range(len(words))]
    return tokens, tags
