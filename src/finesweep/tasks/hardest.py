"""The hardest errors of a run: where its model was surest, and wrong."""

from collections.abc import Sequence
from typing import Any

from finesweep.results.tables import ReportTable

#: How many are shown, and how many letters of a text and words around a word.
_SHOWN, _LETTERS, _AROUND = 20, 240, 8


def hardest_words(
    tokens: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    probabilities: Sequence[Sequence[float]],
) -> ReportTable:
    """Of each sentence with a wrong tag the word whose tag was given with the highest probability."""
    found = []
    for words, truth, guess, sure in zip(tokens, gold, predicted, probabilities, strict=True):
        wrong = [i for i, (a, b) in enumerate(zip(truth, guess, strict=True)) if a != b]
        if wrong:
            at = max(wrong, key=lambda i: sure[i])
            begin = max(0, at - _AROUND)
            inside = " ".join(words[begin : at + _AROUND + 1])
            found.append([words[at], inside, truth[at], guess[at], float(sure[at])])
    note = "Wrong tags that the model was surest of, one of each sentence."
    return ReportTable("Hardest errors", note, ["word", "in", "gold", "predicted", "probability"], _worst(found))


def hardest_rows(
    texts: Sequence[str], gold: Sequence[Any], predicted: Sequence[Any], size: Sequence[float],
    by: str = "probability", note: str = "Wrong rows that the model was surest of.",
) -> ReportTable:  # fmt: skip
    """Rows whose prediction is not the gold one, the largest error first.

    Args:
        size: of each row's error, if it is one; ``by`` is what that is called, and ``note`` what it means.
    """
    found = [
        [_excerpt(text), _text(truth), _text(guess), float(how)]
        for text, truth, guess, how in zip(texts, gold, predicted, size, strict=True)
        if truth != guess
    ]
    return ReportTable("Hardest errors", note, ["text", "gold", "predicted", by], _worst(found))


def _worst(found: list[list[Any]]) -> list[list[Any]]:
    return sorted(found, key=lambda row: -row[-1])[:_SHOWN]


def _excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LETTERS else f"{line[: _LETTERS - 1]}…"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(each) for each in value) or "none"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
