"""``finesweep predict``: texts from arguments, a file or standard input; predictions as JSON lines or columns."""

import contextlib
import dataclasses
import gzip
import json
import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from finesweep.config.errors import UserError
from finesweep.data.formats import read
from finesweep.data.table import Reading, Table
from finesweep.deploy.predictor import Predictor
from finesweep.tasks.base import Row, Task
from finesweep.tasks.context import neighbours

#: Rows that are sorted by length and predicted together: enough to fill batches, few enough to stay in memory.
_CHUNK = 2048
_COLUMN_ENDINGS = (".conll", ".iob", ".iob2", ".bio", ".col", ".columns")


def predict_stream(
    run: Path,
    *,
    texts: list[str] | None,
    path: str | None,
    input_format: str,
    output: str | None,
    output_format: str,
    batch_size: int | None,
) -> None:
    """Predict whatever comes and write it as it is done.

    Args:
        run: the run's folder.
        texts: given on the command line; None reads ``path``, or standard input where that is None or ``-``.
        input_format: ``text``, ``jsonl``, ``columns`` or ``auto``.
        output: a file; None writes to standard output.
        output_format: ``jsonl`` or ``columns``.

    Raises:
        UserError: the run has no model, or the input cannot be read.
    """
    if path is not None and path != "-" and (not Path(path).exists() or Path(path).is_dir()):
        raise UserError("there is no such file", where=path)
    if output is not None and path is not None and Path(output).resolve() == Path(path).resolve():
        raise UserError("is the input file, which it would overwrite", where=f"--output {output}")
    predictor = Predictor.load(run)
    if batch_size is not None:
        predictor = dataclasses.replace(predictor, batch_size=batch_size)
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(_opened(Path(output))) if output else sys.stdout
        rows = (
            predictor.in_context(predictor.task.row_from_text(text, "--text") for text in texts)
            if texts
            else _rows(predictor, path, input_format)
        )
        for row, prediction in predictor.in_chunks(iter(rows), _CHUNK):
            _write(sink, predictor.task, row, prediction, output_format)


def _opened(file: Path) -> TextIO:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return file.open("w", encoding="utf-8")
    except OSError as error:
        raise UserError(f"the file cannot be written: {error.strerror}", where=f"--output {file}") from error


def _write(sink: TextIO, task: Task, row: Row, prediction: Row, output_format: str) -> None:
    if output_format == "jsonl":
        sink.write(json.dumps(task.readable(row, prediction), ensure_ascii=False) + "\n")
    else:
        sink.write(task.lines(row, prediction) + "\n")
    sink.flush()


def _rows(predictor: Predictor, path: str | None, input_format: str) -> Iterator[Row]:
    name = path if path not in (None, "-") else None
    if input_format == "columns" or (input_format == "auto" and name and name.endswith(_COLUMN_ENDINGS)):
        if name is None:
            raise UserError("columns are read from a file: --input FILE", where="--input-format columns")
        yield from _rows_of_columns(predictor, read(name, Reading(format="columns")))
    else:
        yield from predictor.in_context(_rows_of_lines(predictor.task, name, input_format))


def _rows_of_columns(predictor: Predictor, table: Table) -> Iterator[Row]:
    rows = [predictor.task.row_from_object({"tokens": row[0]}, table.where(i)) for i, row in enumerate(table.rows)]
    if predictor.context == "document":
        around = neighbours(table, [row["tokens"] for row in rows], predictor.frame.max_length)
        rows = [{**row, "_left": left, "_right": right} for row, (left, right) in zip(rows, around, strict=True)]
    yield from rows


def _rows_of_lines(task: Task, name: str | None, input_format: str) -> Iterator[Row]:
    with contextlib.ExitStack() as stack:
        lines: Iterable[str]
        lines = stack.enter_context(_lines_of(name)) if name else sys.stdin
        objects, blank = input_format == "jsonl", 0
        try:
            for number, line in enumerate(lines, 1):
                text = line.rstrip("\r\n").removeprefix("\ufeff" if number == 1 else "")
                if number == 1 and input_format == "auto":
                    objects = text.lstrip().startswith("{")
                where = f"{name or 'standard input'}:{number}"
                if not text.strip() and (objects or not task.of_words):  # of words there may be none
                    blank += 1
                    continue
                yield _from_object(task, text, where) if objects else task.row_from_text(text, where)
        except UnicodeDecodeError as error:
            raise UserError(
                "the text is not UTF-8", where=name or "standard input", remedy="convert it first"
            ) from error
        if blank:
            lines_of = "1 empty line" if blank == 1 else f"{blank} empty lines"
            logging.getLogger("finesweep").warning(f"{name or 'standard input'}: {lines_of} passed over")


def _lines_of(name: str) -> TextIO:
    opened: Any = gzip.open if name.endswith(".gz") else open
    return cast("TextIO", opened(name, "rt", encoding="utf-8-sig"))


def _from_object(task: Task, line: str, where: str) -> Row:
    try:
        value: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"the line is no JSON: {error.msg}", where=where) from error
    if not isinstance(value, dict):
        raise UserError(f"the line should be a JSON object, not {type(value).__name__}", where=where)
    return task.row_from_object(value, where)
