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
from finesweep.data.lines import opened
from finesweep.data.table import Mapped, Reading, Table
from finesweep.deploy.predictor import Predictor
from finesweep.deploy.progress import progress
from finesweep.tasks.base import Row, Task
from finesweep.tasks.context import neighbours

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
    int8: bool = False,
) -> None:
    """Predict whatever comes and write it as it is done.

    Args:
        run: the run's folder.
        texts: given on the command line; None reads ``path``, or standard input where that is None or ``-``.
        input_format: ``text``, ``jsonl``, ``columns`` or ``auto``.
        output: a file; None writes to standard output.
        output_format: ``jsonl`` or ``columns``.
        int8: see :meth:`Predictor.load`.

    Raises:
        UserError: the run has no model, or the input cannot be read.
    """
    if path is not None and path != "-" and (not Path(path).exists() or Path(path).is_dir()):
        raise UserError("there is no such file", where=path)
    if output is not None and path is not None and Path(output).resolve() == Path(path).resolve():
        raise UserError("is the input file, which it would overwrite", where=f"--output {output}")
    predictor = Predictor.load(run, int8=int8)
    if batch_size is not None:
        predictor = dataclasses.replace(predictor, batch_size=batch_size)
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(_opened(Path(output))) if output else sys.stdout
        # On a terminal that shows the predictions, they are the progress.
        shown = sys.stderr.isatty() and (output is not None or not sys.stdout.isatty())
        rows, total = _rows_of_texts(predictor, texts) if texts else _rows(predictor, path, input_format, count=shown)
        done = stack.enter_context(progress("predict", total, shown=shown))
        for row, prediction in predictor.in_windows(rows, done):
            _write(sink, predictor.task, row, prediction, output_format)
        sink.flush()


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


def _rows(
    predictor: Predictor, path: str | None, input_format: str, *, count: bool
) -> tuple[Iterator[Row], int | None]:
    """Rows, and how many there are at the most, where that can be known; lines are counted if ``count`` says so."""
    name = path if path not in (None, "-") else None
    if input_format == "columns" or (input_format == "auto" and name and name.endswith(_COLUMN_ENDINGS)):
        if name is None:
            raise UserError("columns are read from a file: --input FILE", where="--input-format columns")
        table = read(name, Reading(format="columns"))
        return _rows_of_columns(predictor, table), len(table.rows)
    total = None
    if count and name and Path(name).is_file():
        with opened(Path(name)) as stream:
            total = sum(1 for _ in stream)
    return predictor.in_context(_rows_of_lines(predictor.task, name, input_format)), total


def _rows_of_texts(predictor: Predictor, texts: list[str]) -> tuple[Iterator[Row], int]:
    return predictor.in_context(predictor.task.row_from_text(text, "--text") for text in texts), len(texts)


def _rows_of_columns(predictor: Predictor, table: Table) -> Iterator[Row]:
    document = predictor.context == "document"
    sentences = Mapped(table.rows, lambda cells: cells[0])
    around = neighbours(table, sentences, predictor.frame.max_length) if document else None
    for index, tokens in enumerate(sentences):
        row = predictor.task.row_from_object({"tokens": tokens}, table.where(index))
        left, right = next(around) if around else ([], [])
        yield {**row, "_left": left, "_right": right} if around else row


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
