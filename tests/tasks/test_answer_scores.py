"""Answers are counted as SQuAD's own script counts them: its figures, recorded from evaluate-v2.0.py."""

import pytest

from finesweep.tasks.answer_scores import score_answers

#: (gold answers, predicted answer, exact match, F1)
CASES: list[tuple[list[str], str, float, float]] = [
    (["Denver Broncos"], "Denver Broncos", 1, 1),
    (["Denver Broncos"], "the denver broncos!", 1, 1),
    (["Denver Broncos"], "Broncos", 0, 0.666667),
    (["Denver Broncos", "The Broncos"], "Broncos", 1, 1),
    ([], "", 1, 1),
    ([], "Denver", 0, 0),
    (["Denver"], "", 0, 0),
    (["the"], "", 1, 1),
    (["the"], "the", 1, 1),
    (["The", "a"], "Denver", 0, 0),
    (["U.S."], "US", 1, 1),
    (["1,000"], "1000", 1, 1),
    (["1.5 million"], "15 million", 1, 1),
    (["a b a b"], "a b", 0, 0.666667),
    (["x x y"], "x y y", 0, 0.666667),
    (["Köln"], "koln", 0, 0),
    (["Köln"], "KÖLN", 1, 1),
    (["北京"], "北京", 1, 1),
    (["北京 大学"], "北京", 0, 0.666667),
    (["in 1990"], "1990", 0, 0.666667),
    (["new york city", "New York"], "New York City, N.Y.", 0, 0.857143),
    (["  spaced   out "], "spaced out", 1, 1),
    (["an apple a day"], "apple day", 1, 1),
    (["—"], "—", 1, 1),
    (["\u2019s"], "'s", 0, 0),
    (["thea"], "thea", 1, 1),
]


@pytest.mark.parametrize(("gold", "predicted", "exact", "f1"), CASES)
def test_each_case_scores_as_the_script_says(gold: list[str], predicted: str, exact: float, f1: float) -> None:
    assert score_answers([gold], [predicted]).metrics == pytest.approx({"exact_match": exact, "f1": f1}, abs=1e-6)


def test_all_together_are_the_mean_and_the_table_parts_them_by_whether_there_is_an_answer() -> None:
    scores = score_answers([case[0] for case in CASES], [case[1] for case in CASES])
    mean = {
        "exact_match": sum(case[2] for case in CASES) / len(CASES),
        "f1": sum(case[3] for case in CASES) / len(CASES),
    }
    assert scores.metrics == pytest.approx(mean, abs=1e-6)
    assert [row[0] for row in scores.tables[0].rows] == ["all", "with an answer", "without one"]
    assert [row[3] for row in scores.tables[0].rows] == [26, 21, 5]  # "the" alone is no answer
    assert score_answers([], []).metrics == {"exact_match": 0.0, "f1": 0.0}
