"""Texts with classes or numbers: topics, kinds of names in a text, what follows from what, how alike two texts are."""

from collections.abc import Iterator
from typing import Any

from finesweep.data.demo.cast import scenes
from finesweep.data.demo.entities import sentences
from finesweep.data.demo.facts import TIES, facts_about
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
    """``{"text", "text_pair", "label"}``: how the second text stands to the first."""
    for label, pair in _pairs(world, count, "entailment", seed, unseen):
        yield {**pair, "label": label}


def similarity(world: World, count: int, *, seed: int, unseen: float) -> Iterator[dict[str, Any]]:
    """``{"text", "text_pair", "score"}``: 2 for the same in other words, 1 for its denial, 0 for else."""
    scores = {"entailment": 2.0, "contradiction": 1.0, "neutral": 0.0}
    for label, pair in _pairs(world, count, "similarity", seed, unseen):
        yield {**pair, "score": scores[label]}


def _pairs(world: World, count: int, writer: str, seed: int, unseen: float) -> Iterator[tuple[str, dict[str, str]]]:
    """Two texts, and how the second stands to the first."""
    for cast, _, rng in scenes(world, count, writer=writer, seed=seed, unseen=unseen):
        label = rng.choice(("entailment", "neutral", "contradiction"))
        fact, unrelated = facts_about(cast, rng, 2, ties=rng.sample(list(TIES), 2))
        said = fact.template(rng)
        if label == "contradiction":
            second = fact.deny(rng)
        else:
            second = (fact if label == "entailment" else unrelated).say(rng, other_than=said)
        yield label, {"text": fact.fill(said, rng), "text_pair": second}
