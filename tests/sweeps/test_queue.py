"""Which jobs are taken from a source for those that are at work."""

from typing import Any

from finesweep.sweeps.queue import Queue
from finesweep.sweeps.source import Source


class Trials(Source):
    """Makes numbers, one after the other."""

    ready = False


class Parity:
    """Two kinds of numbers."""

    def of(self, job: Any) -> str:
        return str(job % 2)


def taken(source: type[Source], wanted: int, *, ahead: int = 4, again: tuple[int, ...] = ()) -> tuple[list[int], Any]:
    numbers: Any = range(10)
    parity: Any = Parity()
    queue: Any = Queue(source(numbers, None), parity)
    queue.again.extend(again)
    found: list[int] = []
    for job in queue.alike("0", ahead):
        found.append(job)
        if len(found) == wanted:
            break
    return found, queue


def test_of_a_list_all_are_looked_at() -> None:
    found, queue = taken(Source, 4)
    assert found == [0, 2, 4, 6]
    assert [queue.next() for _ in range(6)] == [1, 3, 5, 7, 8, 9]


def test_trials_are_not_made_to_lie_about() -> None:
    found, queue = taken(Trials, 4)
    assert found == [0, 2]
    assert [*queue.alike("1", 4)] == [1, 3, 5, 7]
    assert [*queue.alike("1", 2)] == []
    assert [queue.next() for _ in range(4)] == [4, 6, 8, 9]
    assert not queue


def test_one_of_a_kind_is_found_behind_another() -> None:
    """Or a job would go on alone for all its time."""
    numbers: Any = range(1, 10)
    parity: Any = Parity()
    queue: Any = Queue(Trials(numbers, None), parity)
    assert next(queue.alike("0", 4)) == 2
    assert queue.next() == 1


def test_those_that_are_to_begin_again_come_first() -> None:
    found, _ = taken(Trials, 2, again=(11, 12))
    assert found == [12, 0]
