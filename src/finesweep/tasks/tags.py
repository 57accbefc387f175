"""Tag schemes of named entities: recognise IOB1, IOB2, IOBES, BILOU, BMES or bare types, and turn them into IOB2."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Scheme = Literal["IOB1", "IOB2", "IOBES", "BILOU", "BMES", "IO"]

_PREFIXED = re.compile(r"([BIESLUM])-(.+)")
#: What is meant as a prefix and is none: ``B_PER``, ``b-per``, a ``B`` without a type. No scheme has it.
_ODD = re.compile(r"b-.+|[bB]([_/:.|].+|-?)")


@dataclass(frozen=True)
class Converted:
    """Tags in IOB2.

    Attributes:
        tags: one list per sentence, as long as the one that came in.
        scheme: the scheme they were in.
        stray: entities that began with an inside tag (``I-`` without its ``B-``); each now begins with ``B-``.
        bare: tags without a prefix among others that have one, read as inside tags.
    """

    tags: list[list[str]]
    scheme: Scheme
    stray: int
    bare: int


@dataclass(frozen=True, order=True)
class Entity:
    """Words ``start`` up to but not including ``end`` of a sentence."""

    start: int
    end: int
    type: str


def split_tag(tag: str) -> tuple[str, str]:
    """``("B", "PER")`` of ``"B-PER"``; a bare ``"PER"`` counts as inside, ``"O"`` has no type."""
    if tag == "O":
        return "O", ""
    match = _PREFIXED.fullmatch(tag)
    return (match[1], match[2]) if match else ("I", tag)


def is_prefixed(tag: str) -> bool:
    """``B-PER`` is, ``PER`` and ``O`` are not."""
    return _PREFIXED.fullmatch(tag) is not None


def is_odd(tag: str) -> bool:
    """Whether a tag has the look of a prefix that no scheme knows, so that it must not be read as a type."""
    return _ODD.fullmatch(tag) is not None


def recognise(sentences: Iterable[Sequence[str]]) -> Scheme:
    """The scheme that tags are in. Without an E, S, L, U or M it is IOB2 if a B- ever begins an entity after another
    type or after O, and IOB1 if a B- only parts two neighbours of one type. Without any prefix it is IO."""
    seen: set[str] = set()
    iob2 = False
    for tags in sentences:
        before = "O"
        for tag in tags:
            prefix, kind = split_tag(tag)
            seen.add(tag)
            iob2 = iob2 or (prefix == "B" and split_tag(before)[1] != kind)
            before = tag
    seen.discard("O")
    if seen and not any(is_prefixed(tag) for tag in seen):
        return "IO"
    prefixes = {split_tag(tag)[0] for tag in seen}
    if "M" in prefixes:
        return "BMES"
    if prefixes & {"L", "U"}:
        return "BILOU"
    if prefixes & {"E", "S"}:
        return "IOBES"
    return "IOB2" if iob2 or "I" not in prefixes else "IOB1"


def to_iob2(sentences: Sequence[Sequence[str]], scheme: Scheme | None = None) -> Converted:
    """Turn tags of a scheme (the recognised one by default) into IOB2.

    An inside tag that follows nothing of its type begins an entity, as conlleval reads it; it is counted unless the
    scheme allows it (IOB1, bare types).
    """
    scheme = scheme or recognise(sentences)
    converted, stray = [], 0
    for tags in sentences:
        out: list[str] = []
        previous = ("O", "")
        for tag in tags:
            prefix, kind = split_tag(tag)
            if prefix == "O":
                out.append("O")
            else:
                joins = previous[1] == kind and previous[0] not in ("E", "L", "S", "U")
                begins = prefix in ("B", "S", "U") or not joins
                stray += begins and prefix not in ("B", "S", "U") and scheme != "IOB1" and is_prefixed(tag)
                out.append(f"{'B' if begins else 'I'}-{kind}")
            previous = (prefix, kind)
        converted.append(out)
    bare = 0 if scheme == "IO" else sum(tag != "O" and not is_prefixed(tag) for tags in sentences for tag in tags)
    return Converted(converted, scheme, stray, bare)


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of one sentence in IOB2; an inside tag of a new type begins one, as conlleval reads it."""
    found: list[Entity] = []
    start, current = 0, ""
    for index, tag in enumerate([*tags, "O"]):
        prefix, kind = split_tag(tag)
        if current and (prefix in ("O", "B") or kind != current):
            found.append(Entity(start, index, current))
            current = ""
        if prefix != "O" and not current:
            start, current = index, kind
    return found


def label_set(sentences: Iterable[Sequence[str]]) -> list[str]:
    """``["O", "B-LOC", "I-LOC", …]``: both tags of every type that occurs, sorted, so that the order is stable."""
    types = {split_tag(tag)[1] for tags in sentences for tag in tags} - {""}
    return ["O", *(f"{prefix}-{kind}" for kind in sorted(types) for prefix in "BI")]
