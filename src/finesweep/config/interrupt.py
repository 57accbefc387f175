"""Ctrl-C and SIGTERM as one exception that no ``except Exception`` swallows, with the exit status that is due."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal asked the command to stop."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"stopped by {signal.Signals(number).name}")

    @property
    def exit_status(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM, as shells count."""
        return 128 + self.number


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM raise :class:`Interrupted` in the main thread; once, so that clean-up can end."""

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    with _handled_by(stop):
        yield


@contextmanager
def impatient(act: Callable[[], None]) -> Iterator[None]:
    """Inside, each further signal calls something: what is cleaned up here takes its time, and somebody is in haste."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def haste(number: int, frame: FrameType | None) -> None:
        del number, frame
        act()

    with _handled_by(haste):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {each: signal.signal(each, handler) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, old in before.items():
            signal.signal(each, old)


class StopRequest:
    """SIGINT and SIGTERM held back, inside of ``with``, of several too, until the work is where it can be stopped.

    Signals reach the main thread alone; in any other, nothing is held back and nothing is ever asked. What is ignored
    stays ignored.

    Args:
        impatient: whether a second signal does not wait.
    """

    def __init__(self, *, impatient: bool = True) -> None:
        self.number: int | None = None
        self._impatient = impatient
        self._before: dict[signal.Signals, Any] = {}
        self._depth = 0

    def __enter__(self) -> "StopRequest":
        self._depth += 1
        if self._depth == 1 and threading.current_thread() is threading.main_thread():
            heard = [each for each in _SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
            self._before = {each: signal.signal(each, self._note) for each in heard}
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth:
            return
        for each, handler in self._before.items():
            signal.signal(each, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.number is not None and self._impatient:
            raise Interrupted(number)
        self.number = number

    def stop_if_asked(self) -> None:
        """
        Raises:
            Interrupted: there was a signal.
        """
        if self.number is not None:
            raise Interrupted(self.number)
