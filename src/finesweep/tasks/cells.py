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
    if names and re.fullmatch(r"-?\d+", text):
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


def classes_of(cell: Any, names: list[str], where: str) -> list[str]:
    """A cell as names of classes: a list, or a text with a list in it or with commas between; may be empty.

    Raises:
        UserError: as in :func:`class_of`.
    """
    if isinstance(cell, str):
        text = cell.strip()
        if text.startswith("[") and text.endswith("]"):
            cell = [part.strip().strip("'\"") for part in text[1:-1].split(",")]
        else:
            cell = text.split(",")
        cell = [part.strip() for part in cell if part.strip()]
    if cell is None:
        raise UserError("the label is missing", where=where)
    cells = list(cell) if isinstance(cell, list | tuple) else [cell]
    bits = [str(each).removesuffix(".0") for each in cells]
    if len(bits) > 1 and set(bits) <= {"0", "1"} and (len(set(bits)) < len(bits) or len(bits) == len(names)):
        if len(bits) != len(names):
            message = (
                f"the label is 0 or 1 for each of {len(bits)} classes, and data.label_names has {len(names)} names"
            )
            raise UserError(message, where=where)
        return [name for name, bit in zip(names, bits, strict=True) if bit == "1"]
    return [class_of(each, names, where) for each in cells]
