"""JSON: lines of objects, a list of them, an object of columns, one row alone, or the nested form of SQuAD."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from finesweep.config.errors import UserError
from finesweep.data.lines import numbered
from finesweep.data.spool import Kept
from finesweep.data.table import Mapped, Table


def read_json(text: str, path: str, *, of_words: bool = True) -> Table:
    """JSON lines, a JSON list of objects, ``{"data": [objects]}``, an object of equally long columns, or one row.

    Args:
        of_words: whether the cell of one row may be a list of words, so that a list of texts is no column.
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        lines = numbered(text)
        if not is_json_lines(line for _, line in lines):
            raise UserError(f"the file is no JSON: {error.msg}", where=f"{path}:{error.lineno}") from error
        return read_json_lines(lines, path, Kept.in_memory())
    if isinstance(content, dict):
        rows = _rows_of_object(content, path, of_words)
        if rows is None:
            return _from_objects([(text.count("\n", 0, text.index("{")) + 1, content)], path, Kept.in_memory())
        content = rows
    if not isinstance(content, list):
        raise UserError("the JSON is neither a list of rows nor an object", where=path)
    table = _from_objects(((0, row) for row in content), path, Kept.in_memory())
    table.lines = []
    return table


def is_json_lines(lines: Iterable[str]) -> bool:
    """Whether a file's first line is a value of its own with more behind it. Another form may be one line."""
    first, *more = islice((line for line in lines if line.strip()), 2)
    try:
        json.loads(first)
    except json.JSONDecodeError:
        return False
    return bool(more)


def read_json_lines(lines: Iterable[tuple[int, str]], path: str, kept: Kept) -> Table:
    """An object on each line that is not empty.

    Args:
        lines: of the file with their numbers.
        kept: takes the rows.
    """
    return _from_objects(_values(lines, path), path, kept)


def _values(lines: Iterable[tuple[int, str]], path: str) -> Iterator[tuple[int, Any]]:
    for number, line in lines:
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"the line is no JSON: {error.msg}", where=f"{path}:{number}") from error


def _rows_of_object(content: dict[str, Any], path: str, of_words: bool) -> list[Any] | None:
    """The rows under ``data``, or of columns whose entries are lists; None where the object itself is a row."""
    data = content.get("data")
    if isinstance(data, list) and all(isinstance(row, dict) for row in data):
        if all(isinstance(article.get("paragraphs"), list) for article in data):
            return list(_squad_rows(data, path))
        return data
    columns = list(content.values())
    if not columns or not all(isinstance(column, list) and column for column in columns):
        return None
    alone = len(columns) == 1 and isinstance(columns[0][0], dict)  # the turns of one dialogue
    if alone or (of_words and not all(isinstance(column[0], list | dict) for column in columns)):
        return None
    lengths = {name: len(column) for name, column in content.items()}
    if len(set(lengths.values())) > 1:
        raise UserError(f"the columns of the JSON object are not equally long: {lengths}", where=path)
    return [dict(zip(content, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _squad_rows(articles: list[dict[str, Any]], path: str) -> Iterator[dict[str, Any]]:
    """A row for each question of SQuAD's ``data[].paragraphs[].qas[]`` (Rajpurkar et al. 2016, 2018)."""
    for i, article in enumerate(articles):
        for j, paragraph in enumerate(article["paragraphs"]):
            where = f"{path}, data[{i}].paragraphs[{j}]"
            if (
                not isinstance(paragraph, dict)
                or "context" not in paragraph
                or not isinstance(paragraph.get("qas"), list)
            ):
                raise UserError("a paragraph needs a 'context' and a list 'qas'", where=where)
            for qa in paragraph["qas"]:
                if not isinstance(qa, dict) or "question" not in qa:
                    raise UserError("an entry of 'qas' needs a 'question'", where=where)
                answers = [] if qa.get("is_impossible") else qa.get("answers", [])
                yield {
                    "id": "" if qa.get("id") is None else str(qa["id"]),
                    "question": qa["question"],
                    "context": paragraph["context"],
                    "answers": answers,
                }


def _from_objects(objects: Iterable[tuple[int, Any]], path: str, kept: Kept) -> Table:
    columns: dict[str, None] = {}
    for index, (line, row) in enumerate(objects):
        if not isinstance(row, dict):
            raise UserError(
                f"a row must be a JSON object, not {type(row).__name__}",
                where=f"{path}:{line}" if line else f"{path}, row {index + 1}",
            )
        columns.update(dict.fromkeys(row))
        kept.add(row, line)
    rows = Mapped(kept.rows, lambda row: [row.get(name) for name in columns])
    return Table(path, [*columns], list(rows) if isinstance(kept.rows, list) else rows, kept.lines)
