"""Texts to learn a language from, and texts for texts: plain text, repair, translation, summaries, dialogues."""

import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from finesweep.data.demo.cast import scenes
from finesweep.data.demo.classification import topics
from finesweep.data.demo.facts import Fact, facts_about
from finesweep.data.demo.world import Names, World, make_world

#: How many texts plain text has of each world.
_PER_WORLD = 200
_MASK = "[MASK]"


def text(world: World, count: int, *, seed: int, unseen: float) -> Iterator[dict[str, Any]]:
    """``{"text"}``: sentences of every kind that the other writers use, in turn, about many other worlds.

    Of one world alone a model would learn the names by heart, and not how names are used.
    """
    kinds: tuple[Callable[..., Iterator[dict[str, Any]]], ...] = (topics, _told, dialogues, summaries)
    worlds = [world, *(make_world(1000 * (seed + 1) + number, size=100) for number in range(count // _PER_WORLD - 1))]
    writers = [write(each, count, seed=seed + 7, unseen=max(unseen, 0.5)) for each in worlds for write in kinds]
    random.Random(f"finesweep-text-{seed}").shuffle(writers)
    for index in range(count):
        row = next(writers[index % len(writers)])
        if "messages" in row:
            yield {"text": " ".join(message["content"] for message in row["messages"])}
        else:
            yield {"text": f"{row['source']} {row['target']}" if "source" in row else row["text"]}


def _told(world: World, count: int, *, seed: int, unseen: float) -> Iterator[dict[str, Any]]:
    """``{"text"}``: a few facts, a question about one of them, and its answer."""
    for cast, _, rng in scenes(world, count, writer="told", seed=seed, unseen=unseen):
        facts = facts_about(cast, rng, rng.choice((1, 2, 3)))
        asked = rng.choice(facts)
        yield {"text": " ".join([*(fact.say(rng) for fact in facts), asked.question, asked.b, "."])}


def repair(world: World, count: int, *, seed: int, unseen: float) -> Iterator[dict[str, Any]]:
    """``{"source", "target"}``: a text of which stretches are masked, and the whole of it."""
    rng = random.Random(f"finesweep-repair-{seed}")
    for row in text(world, count, seed=seed, unseen=unseen):
        words = row["text"].split()
        broken, index = [], 0
        while index < len(words):
            if rng.random() < 0.12:
                index += rng.choice((1, 1, 2, 3))
                broken.append(_MASK)
            else:
                broken.append(words[index])
                index += 1
        yield {"source": " ".join(broken), "target": row["text"]}


# --- a second language -------------------------------------------------------------------------------------------


@cache
def _word(known: str) -> str:
    """The other language's word for a word of this one, made up when it is first needed."""
    return Names(random.Random(f"finesweep-language-0-{known}")).fresh("", 1 + len(known) // 4).lower()


def translation(world: World, count: int, *, seed: int, unseen: float) -> Iterator[dict[str, Any]]:
    """``{"source", "target"}``: facts in English and in an invented language, which says the verb last and keeps names.

    Articles have no word in it, and what stands between two names goes to the end of the sentence.
    """
    for cast, _, rng in scenes(world, count, writer="translation", seed=seed, unseen=unseen):
        facts = facts_about(cast, rng, rng.choice((1, 1, 2)))
        said = [fact.template(rng) for fact in facts]
        day = {"day": rng.choice(("Monday", "Friday", "Sunday"))}
        source = " ".join(template.format(a=f.a, b=f.b, **day) for template, f in zip(said, facts, strict=True))
        target = " ".join(_verb_last(t).format(a=f.a, b=f.b, **day) for t, f in zip(said, facts, strict=True))
        yield {"source": source, "target": target}


def _verb_last(template: str) -> str:
    """A template in the other language: its names in their order, then its words, then the full stop."""
    pieces = template.split()
    slots = [piece for piece in pieces if piece.startswith("{")]
    words = [_word(p.lower()) for p in pieces if p.isalpha() and p.lower() not in ("the", "a", "an")]
    return " ".join([*slots, *words, "."])


# --- summaries and dialogues -------------------------------------------------------------------------------------

_LEADS = ("What do we know about {a} ?", "A word on {a} .", "{a} has been in the news .", "Readers asked about {a} .")
_FILLERS = (
    "Nobody expected it .", "Not everybody was pleased .", "Officials declined to comment .",
    "The news spread fast .", "More will be known next week .",
)  # fmt: skip
_HEADLINES = {
    "works_for": "{b} employs {a} .",
    "born_in": "{a} comes from {b} .",
    "based_in": "{a} sits in {b} .",
    "located_in": "{a} belongs to {b} .",
    "made_by": "{b} started the {a} .",
}


def summaries(world: World, count: int, *, seed: int, unseen: float) -> Iterator[dict[str, Any]]:
    """``{"source", "target"}``: a report that comes to its point somewhere, and a headline that says it at once."""
    for cast, _, rng in scenes(world, count, writer="summaries", seed=seed, unseen=unseen):
        (fact,) = facts_about(cast, rng, 1)
        body = [fact.say(rng), *rng.sample(_FILLERS, rng.choice((1, 2)))]
        report = [rng.choice(_LEADS).format(a=fact.a), *rng.sample(body, len(body))]
        yield {"source": " ".join(report), "target": _HEADLINES[fact.tie].format(a=fact.a, b=fact.b)}


_WELCOME = ("How can I help ?", "What would you like to know ?", "Please ask .")


def dialogues(world: World, count: int, *, seed: int, unseen: float) -> Iterator[dict[str, Any]]:
    """``{"messages"}``: a user tells facts and asks about one of them, the assistant answers in a whole sentence."""
    for cast, _, rng in scenes(world, count, writer="dialogues", seed=seed, unseen=unseen):
        facts = facts_about(cast, rng, rng.choice((1, 2)))
        asked = rng.choice(facts)
        told = " ".join(fact.say(rng) for fact in facts)
        yield {
            "messages": [
                {"role": "user", "content": f"Hello , I read this : {told}"},
                {"role": "assistant", "content": rng.choice(_WELCOME)},
                {"role": "user", "content": asked.question},
                {"role": "assistant", "content": _answer(asked)},
            ]
        }


def _answer(fact: Fact) -> str:
    return f"You wrote that {_HEADLINES[fact.tie].format(a=fact.a, b=fact.b)}"
