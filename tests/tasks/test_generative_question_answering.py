"""Answers in words: the forms that gold answers come in, what is learned of them, how they are scored."""

import json
from pathlib import Path
from typing import Any

import pytest

from finesweep.config.errors import UserError
from tests.tasks.making import read_files, task_of

TASK = task_of("generative_question_answering")


@pytest.mark.parametrize(
    ("cell", "answers"),
    [
        ("Klosen", ["Klosen"]),
        (["Klosen", "a Klosen"], ["Klosen", "a Klosen"]),
        ({"text": ["Klosen"], "answer_start": [0]}, ["Klosen"]),
        ([{"text": "Klosen", "answer_start": 0}], ["Klosen"]),
        ([], []),
        (None, []),
        ("", []),
    ],
)
def test_gold_answers_come_in_many_forms(tmp_path: Path, cell: Any, answers: list[str]) -> None:
    row = {"question": "Who ?", "context": "Klosen .", "answers": cell}
    (found,) = read_files(TASK, tmp_path, {"train.jsonl": json.dumps(row) + "\n"}).splits["train"]
    target = answers[0] if answers else "no answer"
    assert found == {"source": "question: Who ? context: Klosen .", "answers": answers, "target": target}


def test_a_question_may_stand_alone(tmp_path: Path) -> None:
    examples = read_files(TASK, tmp_path, {"train.csv": "question,answer\nWho ?,Klosen\n"})
    assert list(examples.splits["train"]) == [{"source": "question: Who ?", "answers": ["Klosen"], "target": "Klosen"}]
    for name, text in (("blank.csv", "question,context,answer\nWho ?,,Klosen\n"), ("bare.tsv", "Who ?\tKlosen\n")):
        (tmp_path / name).mkdir()
        (row,) = read_files(TASK, tmp_path / name, {f"train{name[-4:]}": text}).splits["train"]
        assert row == {"source": "question: Who ?", "answers": ["Klosen"], "target": "Klosen"}
    assert TASK.row_from_text("Who ?", "x") == {"source": "question: Who ?"}


def test_scores_count_the_best_gold_answer_and_what_is_left_unanswered() -> None:
    rows = [{"answers": ["Klosen", "Feis the Great"]}, {"answers": []}, {"answers": ["Feis"]}]
    predictions = [{"prediction": text} for text in ("the Feis", "no answer", "no answer")]
    scores = TASK.score(rows, predictions, 0.0).metrics
    assert scores["exact_match"] == pytest.approx(1 / 3)
    assert scores["f1"] == pytest.approx((2 / 3 + 1) / 3)


@pytest.mark.parametrize("row", [{"question": "", "answers": ["a"]}, {"question": "q", "answers": [{"start": 1}]}])
def test_what_is_missing_is_one_message_with_its_place(tmp_path: Path, row: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"train\.jsonl:1: the (question is empty|answer is missing)"):
        read_files(TASK, tmp_path, {"train.jsonl": json.dumps(row) + "\n"})
