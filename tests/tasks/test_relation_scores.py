"""Relations are counted as the scorer of SemEval-2010 task 8 counts them: figures recorded from its version 1.2."""

import random

import pytest

from finesweep.tasks.relation_scores import score_relations

C, C2, E, M = "Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)", "Entity-Origin(e1,e2)", "Message-Topic(e2,e1)"
OTHER = "Other"
RELATIONS = [
    "Cause-Effect", "Component-Whole", "Content-Container", "Entity-Destination", "Entity-Origin",
    "Instrument-Agency", "Member-Collection", "Message-Topic", "Product-Producer",
]  # fmt: skip
LABELS = [f"{relation}({direction})" for relation in RELATIONS for direction in ("e1,e2", "e2,e1")] + [OTHER]

#: (gold, predicted, macro precision, recall, F1, micro F1)
CASES: list[tuple[list[str], list[str], float, float, float, float]] = [
    ([C], [C], 1, 1, 1, 1),
    ([C], [C2], 0, 0, 0, 0),
    ([C], [OTHER], 0, 0, 0, 0),
    ([C, OTHER], [C, C], 0.5, 1, 0.66666667, 0.66666667),
    ([C, OTHER], [OTHER, C], 0, 0, 0, 0),
    ([C, C2], [C, C], 0.5, 0.5, 0.5, 0.5),
    ([C, E], [E, C], 0, 0, 0, 0),
    ([C, E, OTHER], [C, M, M], 0.5, 0.5, 0.5, 0.66666667),  # M is in no gold label
    ([C, C, OTHER], [C2, C2, OTHER], 0, 0, 0, 0),
    ([C, E, M, OTHER], [C, E, M, OTHER], 1, 1, 1, 1),
    ([C, E, M, OTHER], [OTHER, OTHER, OTHER, OTHER], 0, 0, 0, 0),
    ([C, C2, E], [C2, C, E], 0.5, 0.5, 0.5, 0.33333333),
]
#: (seed, macro precision, recall, F1, micro F1) of :func:`drawn`.
DRAWN = [
    (0, 0.36186067, 0.36794533, 0.35068882, 0.36697248),
    (1, 0.16666667, 0.33333333, 0.22222222, 0.18181818),
    (2, 0.93148148, 0.94691358, 0.93408768, 0.94642857),
    (3, 0.51851852, 0.59259259, 0.4968254, 0.47058824),
    (4, 0.2962963, 0.38888889, 0.32962963, 0.4),
    (5, 0.37716049, 0.41975309, 0.3652286, 0.39506173),
    (6, 0.64484127, 0.69695767, 0.65189255, 0.64646465),
    (7, 1.0, 1.0, 1.0, 1.0),
    (8, 0.39047619, 0.28571429, 0.2952381, 0.38709677),
    (9, 0.63835979, 0.64074074, 0.59377104, 0.64516129),
    (10, 0.02222222, 0.02222222, 0.02222222, 0.02739726),
    (11, 0.84814815, 0.90899471, 0.8647587, 0.84745763),
]


def drawn(seed: int) -> tuple[list[str], list[str]]:
    """Gold and predicted labels of which a random share agrees."""
    rng = random.Random(seed)
    count, agreement = rng.randrange(3, 60), rng.random()
    gold = [rng.choice(LABELS) for _ in range(count)]
    return gold, [label if rng.random() < agreement else rng.choice(LABELS) for label in gold]


def measured(gold: list[str], predicted: list[str]) -> list[float]:
    metrics = score_relations(gold, predicted, OTHER).metrics
    return [metrics[name] for name in ("precision", "recall", "f1", "micro_f1")]


@pytest.mark.parametrize("case", CASES)
def test_edge_cases_score_as_the_scorer_says(case: tuple[list[str], list[str], float, float, float, float]) -> None:
    assert measured(case[0], case[1]) == pytest.approx(list(case[2:]), abs=1e-7)


@pytest.mark.parametrize("case", DRAWN)
def test_drawn_cases_score_as_the_scorer_says(case: tuple[int, float, float, float, float]) -> None:
    assert measured(*drawn(case[0])) == pytest.approx(list(case[1:]), abs=1e-7)


def test_without_a_negative_label_all_count() -> None:
    assert score_relations([C, OTHER], [C, OTHER], None).metrics["f1"] == 1.0
    assert score_relations([OTHER, OTHER], [OTHER, C], OTHER).metrics["f1"] == 0.0
    assert score_relations([OTHER, OTHER], [OTHER, C], OTHER).metrics["accuracy"] == 0.5
