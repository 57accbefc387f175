"""Texts with classes or numbers: topics, kinds of names in a text, what follows from what, how alike two texts are."""

import random
from collections.abc import Iterator
from typing import Any

from finesweep.data.demo.cast import scenes
from finesweep.data.demo.entities import sentences
from finesweep.data.demo.facts import Fact, another, fact_about, facts_about
from finesweep.data.demo.world import World


def topics(world: World, count: int, *, seed: int, unseen: float) -> Iterator[dict[str, Any]]:
    """``{"text", "label"}``: a sentence, and which of the four domains it comes from."""
    for row in sentences(world, count, seed=seed, unseen=unseen):
        yield {"text": " ".join(row["tokens"]), "label": row["domain"][0]}


def mentions(world: World, count: int, *, seed: int, unseen: float) -> Iterator[dict[str, Any]]:
    """``{"text", "labels"}``: a sentence, and the types of the names in it."""
    for row in sentences(world, count, seed=seed, unseen=unseen):
        yield {"text": " ".join(row["tokens"]), "labels": sorted({tag[2:] for tag in row["tags"]} - {""})}


def entailment(world: World, count: int, *, seed: int, unseen: float) -> Iterator[dict[str, Any]]:
    """``{"text", "text_pair", "label"}``: the second text follows from the first, contradicts it, or neither."""
    for cast, _, rng in scenes(world, count, writer="entailment", seed=seed, unseen=unseen):
        label = rng.choice(("entailment", "neutral", "contradiction"))
        fact = fact_about(cast, rng)
        said = fact.template(rng)
        other = fact if label == "entailment" else another(fact, cast, rng)
        if label == "contradiction":
            other = Fact(fact.tie, fact.a, other.b)
        yield {"text": fact.fill(said, rng), "text_pair": other.say(rng, other_than=said), "label": label}


def similarity(world: World, count: int, *, seed: int, unseen: float) -> Iterator[dict[str, Any]]:
    """``{"text", "text_pair", "score"}``: two texts of three facts each; the score is how many they share."""
    for cast, _, rng in scenes(world, count, writer="similarity", seed=seed, unseen=unseen):
        shared = rng.randrange(4)
        facts = facts_about(cast, rng, 6 - shared)
        first, second = facts[:3], [*facts[:shared], *facts[3:]]
        yield {"text": _said(first, rng), "text_pair": _said(second, rng), "score": float(shared)}


def _said(facts: list[Fact], rng: random.Random) -> str:
    return " ".join(fact.say(rng) for fact in rng.sample(facts, len(facts)))
