"""Cells of a table as the texts, classes and numbers that tasks want."""

import math
import re
from typing import Any

from finesweep.config.errors import UserError

#: JSON can hold half of a pair of surrogates, which is no character and no tokenizer takes.
HALF_CHARACTER = re.compile("[\ud800-\udfff]")


def text_of(cell: Any, name: str, where: str, *, empty: bool = False) -> str:
    """A cell as text.

    Args:
        name: what the task calls the cell, for the message.
        empty: whether nothing but blanks is a text too.

    Raises:
        UserError: the cell is missing, empty or no text.
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        raise UserError(f"the {name} is missing", where=where)
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        cell = str(cell)
    if not isinstance(cell, str):
        raise UserError(f"the {name} should be text, not {type(cell).__name__}", where=where)
    if HALF_CHARACTER.search(cell):
        raise UserError(f"the {name} holds half a character: {cell[:60]!r}", where=where)
    if not empty and not cell.strip():
        raise UserError(f"the {name} is empty", where=where)
    return cell


def class_of(cell: Any, names: list[str], where: str) -> str:
    """A cell as the name of a class: numbers, also those that a file gives as text, by ``data.label_names``.

    Raises:
        UserError: the cell is missing or empty, or a number beyond the names.
    """
    if isinstance(cell, bool):
        cell = int(cell) if names else str(cell)
    text = re.sub(r"^(-?\d+)\.0$", r"\1", text_of(cell, "label", where).strip())
    if names and text not in names and re.fullmatch(r"-?\d+", text):
        if not 0 <= int(text) < len(names):
            raise UserError(f"the label is {text}, and data.label_names has {len(names)}", where=where)
        return names[int(text)]
    return text


def number_of(cell: Any, name: str, where: str) -> float:
    """A cell as a number.

    Raises:
        UserError: it is none, or not a finite one.
    """
    try:
        value = float(cell)
    except (TypeError, ValueError):
        value = float("nan")
    if not abs(value) < float("inf"):
        raise UserError(f"the {name} should be a number, not {cell!r}", where=where)
    return value


def classes_of(cell: Any, names: list[str], where: str, *, flags: bool = False) -> list[str]:
    """A cell as names of classes: a list, or a text with a list in it or with commas between; may be empty.

    Args:
        flags: whether the list says 0 or 1 of each class in ``names``, see :func:`is_flags`.

    Raises:
        UserError: as in :func:`class_of`.
    """
    if cell is None:
        raise UserError("the label is missing", where=where)
    cells = _parts(cell)
    if flags:
        return [name for name, part in zip(names, cells, strict=True) if _flag(part) == "1"]
    found = [_flag(part) for part in cells]
    if len(set(found)) < len(found) and set(found) <= {"0", "1"}:
        message = f"the label is 0 or 1 for each of {len(found)} classes"
        raise UserError(f"{message}, and data.label_names has {len(names)} names", where=where)
    return [class_of(part, names, where) for part in cells]


def is_flags(cell: Any, count: int) -> bool:
    """Whether a cell is a list that says 0 or 1 of each of ``count`` classes."""
    found = [_flag(part) for part in _parts(cell)]
    return len(found) == count > 1 and set(found) <= {"0", "1"}


def _flag(part: Any) -> str:
    return str(int(part)) if isinstance(part, bool) else str(part).strip().removesuffix(".0")


def _parts(cell: Any) -> list[Any]:
    if isinstance(cell, str):
        text = cell.strip()
        in_list = text.startswith("[") and text.endswith("]")
        parts = [part.strip() for part in (text[1:-1] if in_list else text).split(",")]
        return [part.strip("'\"") if in_list else part for part in parts if part]
    return list(cell) if isinstance(cell, list | tuple) else [cell]
