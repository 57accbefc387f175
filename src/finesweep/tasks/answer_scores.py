"""Exact match and F1 of answers, counted as the script of SQuAD 2.0 does (Rajpurkar et al. 2018)."""

import re
import string
from collections import Counter
from collections.abc import Sequence

from finesweep.results.tables import ReportTable, Scores

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(answer: str) -> str:
    """Lower case, without punctuation, English articles and superfluous blanks."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact_match(gold: str, predicted: str) -> float:
    """1 if both are the same once normalised."""
    return float(normalised(gold) == normalised(predicted))


def f1(gold: str, predicted: str) -> float:
    """The harmonic mean of precision and recall over words; where one side has none, 1 if the other has none too."""
    truth, guess = normalised(gold).split(), normalised(predicted).split()
    if not truth or not guess:
        return float(truth == guess)
    shared = sum((Counter(truth) & Counter(guess)).values())
    return 2 * shared / (len(truth) + len(guess))


def score_answers(gold: Sequence[Sequence[str]], predicted: Sequence[str]) -> Scores:
    """``exact_match`` and ``f1``, each the mean over questions of the best among their gold answers.

    Args:
        gold: the answers of each question; none means that it has no answer, which an empty prediction hits.
        predicted: one for each question.
    """
    # Answers that are nothing but articles and punctuation do not count as answers.
    answers = [[text for text in texts if normalised(text)] or [""] for texts in gold]
    exact, overlap = (
        [max(of(text, guess) for text in texts) for texts, guess in zip(answers, predicted, strict=True)]
        for of in (exact_match, f1)
    )
    answered = [texts != [""] for texts in answers]
    rows = []
    for name, which in (("all", {True, False}), ("with an answer", {True}), ("without one", {False})):
        chosen = [i for i, has in enumerate(answered) if has in which]
        if chosen:
            means = [round(sum(values[i] for i in chosen) / len(chosen), 4) for values in (exact, overlap)]
            rows.append([name, *means, len(chosen)])
    table = ReportTable(
        "Answers", "As the script of SQuAD 2.0 counts them.", ["questions", "exact match", "f1", "support"], rows
    )
    count = max(1, len(exact))
    return Scores({"exact_match": sum(exact) / count, "f1": sum(overlap) / count}, [table])
