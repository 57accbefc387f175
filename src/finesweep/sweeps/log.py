"""Where a job says what it has to say."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def said_to(log: Path | None) -> Iterator[None]:
    """Inside, what this process says goes to the end of a file, libraries in C not excepted; None leaves it."""
    if log is None:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    before = [os.dup(number) for number in (1, 2)]
    try:
        with log.open("a") as stream:
            _to([stream.fileno()] * 2)
        yield
    finally:
        _to(before)
        for each in before:
            os.close(each)


def _to(files: list[int]) -> None:
    """Let standard output and standard error be these."""
    sys.stdout.flush()
    sys.stderr.flush()
    for number, file in enumerate(files, 1):
        os.dup2(file, number)
