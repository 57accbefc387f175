"""Cells as lists of words or tags, and tags under new names."""

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

from finesweep.config.errors import UserError, did_you_mean
from finesweep.tasks.base import Row
from finesweep.tasks.cells import HALF_CHARACTER
from finesweep.tasks.tags import is_odd, is_prefixed, split_tag, to_iob2

#: An entry as NumPy prints it; its lists have no commas, and Python would read ['a' 'b'] as the one text 'ab'.
_ENTRY = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\d+)"""
_NUMPY_LIST = re.compile(rf"\[\s*{_ENTRY}(?:\s+{_ENTRY})+\s*\]")


def tokens_of(cell: Any, where: str) -> list[str]:
    """The tokens of a cell, see :func:`cells_as_list`.

    Raises:
        UserError: as there, or a token is not text.
    """
    tokens = cells_as_list(cell, where)
    for number, token in enumerate(tokens, 1):
        if not isinstance(token, str):
            raise UserError(f"token number {number} is {token!r}, not text", where=where)
        if HALF_CHARACTER.search(token):
            raise UserError(f"token number {number} holds half a character: {token!r}", where=where)
    return tokens


def tags_of(cell: Any, names: Sequence[str], where: str) -> list[str]:
    """The tags of a cell as text: numbers, also those that a file gives as text, by ``data.label_names``.

    Raises:
        UserError: as in :func:`cells_as_list`, or a tag is of no known form.
    """
    return [_tag(tag, number, names, where) for number, tag in enumerate(cells_as_list(cell, where), 1)]


def _tag(tag: Any, number: int, names: Sequence[str], where: str) -> str:
    if isinstance(tag, str):
        tag = tag.strip()
        tag = int(tag) if tag.isdecimal() else tag
    if isinstance(tag, int) and not isinstance(tag, bool):
        if 0 <= tag < len(names):
            return names[tag]
        given = f"data.label_names has {len(names)}" if names else "data.label_names is empty"
        raise UserError(
            f"tag number {number} is {tag}, and {given}",
            where=where,
            remedy="name the tags in their order: data.label_names=[O,B-PER,I-PER,…]",
        )
    if not isinstance(tag, str) or not tag:
        raise UserError(f"tag number {number} is {tag!r}, neither text nor a whole number", where=where)
    if is_odd(tag):
        raise UserError(
            f"tag number {number}, {tag!r}, is of no known scheme",
            where=where,
            remedy="write a tag as O, as a type (PER), or as B-, I-, E-, S-, L-, U- or M- and a type (B-PER)",
        )
    return tag


def cells_as_list(cell: Any, where: str) -> list[Any]:
    """The entries of a cell: a list as it is; a text as JSON or Python list if it looks like one, else by blanks.

    Raises:
        UserError: the cell is empty, or neither list nor text.
    """
    if isinstance(cell, str):
        text = cell.strip(" \t\n")
        # Only blanks part tokens: a no-break space may be one.
        blank_parted = re.split(r"[ \t\n]+", text) if text else []
        cell = _parse_list(text, where) if text.startswith("[") and text.endswith("]") else blank_parted
    elif hasattr(cell, "tolist"):
        cell = cell.tolist()
    if not isinstance(cell, list | tuple):
        given = "are missing" if cell is None else f"must be lists, not {type(cell).__name__}"
        raise UserError(f"tokens or tags {given}", where=where)
    if not cell:
        raise UserError("the row has no tokens", where=where)
    return list(cell)


def _parse_list(text: str, where: str) -> Any:
    if _NUMPY_LIST.fullmatch(text):
        return [int(entry) if entry.isdecimal() else ast.literal_eval(entry) for entry in re.findall(_ENTRY, text)]
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError):
            continue
    if "," not in text:  # words in brackets, "[ laughs ]", are no list
        return text.split()
    raise UserError(f"the list cannot be read: {text[:60]}", where=where)


def rename(splits: dict[str, list[Row]], label_map: dict[str, str], *, every_key: bool) -> list[str]:
    """Give tags in IOB2 their new names, in place: a whole tag (``B-per``) or a type (``per``), or ``O`` to drop it.

    Args:
        every_key: whether a key must occur; not so where only some of the splits are read.

    Returns:
        notes: a tag renamed without its neighbour may leave an I- without its B-.

    Raises:
        UserError: a key matches no tag of any split, or a new name is of another form than the old.
    """
    if not label_map:
        return []
    every_row = [row for rows in splits.values() for row in rows]
    tags = {tag for row in every_row for tag in row["tags"]}
    known = (tags | {split_tag(tag)[1] for tag in tags}) - {"", "O"}
    for key, new in sorted(label_map.items()):
        if every_key and key not in known:
            hint = did_you_mean(key, known, otherwise=f" There are: {', '.join(sorted(known))}.")
            raise UserError(f"'{key}' matches no tag of the data.{hint}", where="data.label_map")
        if new != "O" and (not new.strip() or is_odd(new) or is_prefixed(new) != is_prefixed(key)):
            form = "a tag such as B-PER" if is_prefixed(key) else "a type such as PER"
            raise UserError(f"'{key}' cannot become '{new}': give {form}, or O", where="data.label_map")
    stray = 0
    for row in every_row:
        converted = to_iob2([[_renamed(tag, label_map) for tag in row["tags"]]], "IOB2")
        row["tags"] = converted.tags[0]
        stray += converted.stray
    return [f"data.label_map leaves {stray} entities without their B-; they begin with I-, read as B-"] if stray else []


def _renamed(tag: str, label_map: dict[str, str]) -> str:
    if tag in label_map:
        return label_map[tag]
    prefix, kind = split_tag(tag)
    new = label_map.get(kind, kind)
    return f"{prefix}-{new}" if new != "O" and kind else "O"
