"""Sentences about the embedded world, with their named entities."""

import random
from collections.abc import Iterator

from finesweep.data.demo.cast import scenes
from finesweep.data.demo.world import DOMAINS, Domain, World

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
    for cast, domain, rng in scenes(world, count, writer="sentences", seed=seed, unseen=unseen, domains=domains):
        tokens, tags = _fill(_template(rng, domain), cast.draw(rng))
        yield {"tokens": tokens, "tags": tags, "domain": [domain]}


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
