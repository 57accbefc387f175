"""Where a job says what it has to say."""

import os
import sys
from pathlib import Path


class Log:
    """Inside of ``with``, what this process says goes to the end of a file, libraries in C not excepted.

    It may be entered again and again, for which the file stays open until :meth:`close`.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        self._before: list[tuple[int, int]] = []

    def __enter__(self) -> None:
        self._before.append((os.dup(1), os.dup(2)))
        _say_to(self._file, self._file)

    def __exit__(self, *_: object) -> None:
        before = self._before.pop()
        _say_to(*before)
        for file in before:
            os.close(file)

    def close(self) -> None:
        os.close(self._file)


def _say_to(*files: int) -> None:
    """Let standard output and standard error be these."""
    sys.stdout.flush()
    sys.stderr.flush()
    for number, file in enumerate(files, 1):
        os.dup2(file, number)
