"""What stands around a sentence in its document: a model that sees it tags the sentence better.

Devlin et al. (2019, https://arxiv.org/abs/1810.04805) tag named entities so, and Schweter and Akbik (2020,
https://arxiv.org/abs/2011.06993) measure what it is worth. A row keeps its neighbours' words under ``_left`` and
``_right``: keys that begin with ``_`` are no part of the row itself, and not written with its prediction.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from finesweep.data.table import Table
from finesweep.tasks.base import Row

#: Begins a document where a file gives it as a sentence.
_BEGIN = "-DOCSTART-"
Words = Sequence[str]


def neighbours(table: Table, sentences: Sequence[Words], most: int) -> Iterator[tuple[list[str], list[str]]]:
    """For each row of a table the words before and behind it in its document, ``most`` of each at the most.

    Args:
        table: with its rows' places in the whole of the file.
        sentences: the words of every row of the whole.
    """
    documents = (table.whole or table).documents

    def begins(i: int) -> bool:
        known = bisect_left(documents, i)
        return documents[known : known + 1] == [i] or sentences[i][:1] == [_BEGIN]

    def before(place: int) -> Iterator[Words]:
        while place > 0 and not begins(place):
            place -= 1
            yield sentences[place]

    def behind(place: int) -> Iterator[Words]:
        while (place := place + 1) < len(sentences) and not begins(place):
            yield sentences[place]

    for place in table.places if table.places is not None else range(len(sentences)):
        left, right = (_joined(each(place), most) for each in (before, behind))
        yield [word for words in reversed(left) for word in words][-most:], [w for words in right for w in words][:most]


def _joined(sentences: Iterable[Words], most: int) -> list[Words]:
    """So many sentences that they have ``most`` words, if there are as many."""
    taken: list[Words] = []
    count = 0
    for words in sentences:
        if count >= most:
            break
        taken.append(words)
        count += len(words)
    return taken


def in_document(rows: Iterable[Row], most: int) -> Iterator[Row]:
    """Rows of a stream, each with the words around it; one without words parts two documents.

    A row waits until the words behind it are there.
    """
    waiting: list[Row] = []
    left: list[str] = []

    def ready(*, all_of_them: bool) -> Iterator[Row]:
        nonlocal left
        while waiting and (all_of_them or sum(len(each["tokens"]) for each in waiting[1:]) >= most):
            row = waiting.pop(0)
            right = [word for words in _joined((each["tokens"] for each in waiting), most) for word in words][:most]
            yield {**row, "_left": left, "_right": right}
            left = [*left, *row["tokens"]][-most:]

    for row in rows:
        if row["tokens"]:
            waiting.append(row)
            yield from ready(all_of_them=False)
            continue
        yield from ready(all_of_them=True)
        left = []
        yield {**row, "_left": [], "_right": []}
    yield from ready(all_of_them=True)


def filled(body: Sequence[int], left: Sequence[int], right: Sequence[int], capacity: int) -> tuple[list[int], int]:
    """A sentence's sub-words with so many of those around it that the window is full, half of them on each side.

    Returns:
        the sub-words, and how many of them stand before the sentence.
    """
    room = max(0, capacity - len(body))
    before = min(len(left), max(room // 2, room - len(right)))
    behind = min(len(right), room - before)
    return [*left[len(left) - before :], *body, *right[:behind]], before
