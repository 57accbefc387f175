"""Facts to be found: relations between two marked names, questions about a text, and choices of answers."""

import random
from collections.abc import Iterator
from typing import Any

from finesweep.data.demo.cast import DAYS, Cast, scenes
from finesweep.data.demo.facts import TIES, Fact, another, fact_about, facts_about
from finesweep.data.demo.world import World

#: Sentences in which two names stand in no relation.
_UNRELATED = (
    "{a} wrote a letter about {b} .",
    "{a} and {b} were mentioned on {day} .",
    "Nobody from {a} had heard of {b} .",
    "Unlike {a} , {b} was in the news last {day} .",
)


def relations(world: World, count: int, *, seed: int, unseen: float) -> Iterator[dict[str, Any]]:
    """``{"text", "label"}``: a sentence with ``<e1>`` and ``<e2>``, and their relation and its direction, or Other."""
    for cast, _, rng in scenes(world, count, writer="relations", seed=seed, unseen=unseen):
        fact = fact_about(cast, rng)
        related = rng.random() < 0.85
        template = fact.template(rng) if related else rng.choice(_UNRELATED)
        first, second = ("a", "b") if template.index("{a}") < template.index("{b}") else ("b", "a")
        names = {"a": fact.a, "b": fact.b}
        marks = {first: f"<e1>{names[first]}</e1>", second: f"<e2>{names[second]}</e2>"}
        direction = "(e1,e2)" if first == "a" else "(e2,e1)"
        label = f"{fact.tie}{direction}" if related else "Other"
        yield {"text": template.format(**marks, day=rng.choice(DAYS)), "label": label}


def questions(world: World, count: int, *, seed: int, unseen: float) -> Iterator[dict[str, Any]]:
    """``{"id", "question", "context", "answers"}``: one question in five has no answer in its context."""
    for number, (cast, _, rng) in enumerate(scenes(world, count, writer="questions", seed=seed, unseen=unseen)):
        facts = facts_about(cast, rng, rng.choice((2, 3, 4)))
        context = " ".join(fact.say(rng) for fact in facts)
        asked = rng.choice(facts)
        answers = [{"text": asked.b, "answer_start": _after(context, asked)}]
        if rng.random() < 0.2:
            asked, answers = _untold(facts, cast, rng), []
        yield {"id": f"{seed}-{number}", "question": asked.question, "context": context, "answers": answers}


def _after(context: str, fact: Fact) -> int:
    """Where the answer stands: in the sentence that also holds what was asked about."""
    start = 0
    for sentence in context.split(" ."):
        if fact.a in sentence and fact.b in sentence:
            # A name may also be a part of the other (a town's in its university's).
            masked = sentence.replace(fact.a, "#" * len(fact.a)) if fact.b in fact.a else sentence
            return start + (masked if fact.b in masked else sentence).index(fact.b)
        start += len(sentence) + len(" .")
    raise ValueError(f"'{context}' does not tell {fact}")


def _untold(facts: list[Fact], cast: Cast, rng: random.Random) -> Fact:
    """A fact that a text does not tell, though it tells others of the kind."""
    while (fact := another(rng.choice(facts), cast, rng)) in facts:
        pass
    return fact


def choices(world: World, count: int, *, seed: int, unseen: float) -> Iterator[dict[str, Any]]:
    """``{"context", "question", "choices", "label"}``: four statements, of which one says the context again."""
    for cast, _, rng in scenes(world, count, writer="choices", seed=seed, unseen=unseen):
        told, *others = facts_about(cast, rng, 4, ties=rng.sample(list(TIES), 4))
        said = told.template(rng)
        offered = rng.sample([told, *others], 4)
        yield {
            "context": told.fill(said, rng),
            "question": "What does this mean ?",
            "choices": [fact.say(rng, other_than=said) for fact in offered],
            "label": offered.index(told),
        }
