"""Questions on a context: answers in every form, windows that label what they hold, spans that become text again."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForQuestionAnswering, AutoTokenizer

from finesweep.config.errors import UserError
from finesweep.tasks.base import Feature, Row
from finesweep.tasks.question_answering import QuestionAnswering, answers_of
from tests.conftest import tiny_files
from tests.tasks.making import frame_of, read_files, task_of

TOKENIZER = AutoTokenizer.from_pretrained(tiny_files())
CONTEXT = "Klosen met Feis in Brunburg . Feis was glad ."
#: Of logits that say nothing for a position.
NOTHING = -50.0


def task(**changes: Any) -> QuestionAnswering:
    return task_of("question_answering", **{"window_overlap": 8, "max_question_length": 8, **changes})


def row(answer: str | None, context: str = CONTEXT, question: str = "Who ?") -> Row:
    return {"question": question, "context": context, "answers": answers_of(answer, context, "")}


def encode(rows: Sequence[Row], max_length: int = 32, **changes: Any) -> list[Feature]:
    return task(**changes).encode(rows, frame_of(TOKENIZER, max_length=max_length))


def logits_of(feature: Feature, *scored: tuple[int, int, float]) -> np.ndarray:
    """Logits that give each (start, end) its score, half of it from either side."""
    made = np.full((2, len(feature)), NOTHING)
    for start, end, score in scored:
        made[0, start] = made[1, end] = score / 2
    return made


def gold_logits(feature: Feature) -> np.ndarray:
    return logits_of(feature, (feature.extra["start"], feature.extra["end"], 20.0))


# --- answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ([{"text": "Feis", "answer_start": 30}], [("Feis", 30)]),
        ([{"text": "Feis", "answer_start": 11}, {"text": "met", "answer_start": 7}], [("Feis", 11), ("met", 7)]),
        ({"text": ["Feis"], "answer_start": [30]}, [("Feis", 30)]),
        ({"text": ["Feis", "Klosen"], "answer_start": [11, 0]}, [("Feis", 11), ("Klosen", 0)]),
        ("Feis", [("Feis", 11)]),
        ({"text": [], "answer_start": []}, []),
        ([], []),
        ("", []),
        (None, []),
    ],
)  # fmt: skip
def test_answers_in_every_form(cell: Any, expected: list[tuple[str, int]]) -> None:
    assert answers_of(cell, CONTEXT, "") == [{"text": text, "start": start} for text, start in expected]


def _squad(rows: Sequence[dict[str, Any]]) -> str:
    """As SQuAD nests them: all questions under their context."""
    qas = [{"id": each["id"], "question": each["question"], "answers": each["answers"]} for each in rows]
    return json.dumps({"version": "v2.0", "data": [{"title": "x", "paragraphs": [{"context": CONTEXT, "qas": qas}]}]})


def _hub(answers: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [answer[name] for answer in answers] for name in ("text", "answer_start")}


ASKED: list[dict[str, Any]] = [
    {"id": "a", "question": "Who ?", "context": CONTEXT, "answers": [{"text": "Feis", "answer_start": 11}]},
    {"id": "b", "question": "When ?", "context": CONTEXT, "answers": []},
]
LAYOUTS = {
    "train.json": _squad(ASKED),
    "train.jsonl": "\n".join(json.dumps({**each, "answers": _hub(each["answers"])}) for each in ASKED),
    "train.csv": f"id,question,context,answer\na,Who ?,{CONTEXT},Feis\nb,When ?,{CONTEXT},\n",
    "train.tsv": f"id\tquestion\tpassage\tanswer\na\tWho ?\t{CONTEXT}\tFeis\nb\tWhen ?\t{CONTEXT}\t\n",
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    examples = read_files(task(), tmp_path, {name: LAYOUTS[name]})
    assert list(examples.splits["train"]) == [
        {"id": "a", "question": "Who ?", "context": CONTEXT, "answers": [{"text": "Feis", "start": 11}]},
        {"id": "b", "question": "When ?", "context": CONTEXT, "answers": []},
    ]
    assert examples.labels == []


def test_an_impossible_question_of_squad_has_no_answer_though_it_looks_like_one(tmp_path: Path) -> None:
    qas = [{"id": "a", "question": "Who ?", "is_impossible": True, "answers": [{"text": "Feis", "answer_start": 11}]}]
    content = json.dumps({"data": [{"paragraphs": [{"context": CONTEXT, "qas": qas}]}]})
    assert read_files(task(), tmp_path, {"train.json": content}).splits["train"][0]["answers"] == []


def test_a_file_need_not_have_ids(tmp_path: Path) -> None:
    content = f"question,context,answer\nWho ?,{CONTEXT},Feis\n"
    assert "id" not in read_files(task(), tmp_path, {"train.csv": content}).splits["train"][0]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([{"text": "Feis", "answer_start": 12}], "the answer 'Feis' is not in its place: at 12 stands 'eis '"),
        ([{"text": "Feis", "answer_start": -1}], "the answer 'Feis' is not in its place: it is nowhere"),
        ([{"text": "Feis", "answer_start": 999}], "the answer 'Feis' is not in its place: it is nowhere"),
        ("Lummen", "the answer 'Lummen' is not in its place: it is nowhere in the context"),
        ([{"text": "Feis"}], "the answer 'Feis' has no whole number 'answer_start'"),
        ([{"text": "Feis", "answer_start": "11"}], "the answer 'Feis' has no whole number 'answer_start'"),
        ([{"text": "Feis", "answer_start": True}], "the answer 'Feis' has no whole number 'answer_start'"),
        ([{"answer_start": 11}], "the answer is missing"),
        ([{"text": " ", "answer_start": 6}], "the answer is empty"),
        ({"text": ["Feis"], "answer_start": []}, "'text' and 'answer_start' of the answers are not equally long"),
        ({"text": ["Feis"]}, "'text' and 'answer_start' of the answers are not equally long"),
        ({"text": "Feis", "answer_start": 11}, "the answers should be a list of objects"),
        (["Feis"], "the answers should be a list of objects with 'text' and 'answer_start'"),
        (11, "the answers should be a list of objects"),
    ],
)
def test_a_wrong_answer_is_one_message_with_its_place(tmp_path: Path, answers: Any, message: str) -> None:
    lines = [ASKED[0], {**ASKED[1], "answers": answers}]
    with pytest.raises(UserError) as caught:
        read_files(task(), tmp_path, {"train.jsonl": "\n".join(map(json.dumps, lines))})
    assert f"train.jsonl:2: {message}" in str(caught.value)


def test_an_answer_out_of_its_place_names_its_row_where_there_are_no_lines(tmp_path: Path) -> None:
    wrong = [ASKED[0], {**ASKED[1], "answers": [{"text": "Feis", "answer_start": 0}]}]
    with pytest.raises(UserError, match=r"train\.json, row 2: the answer 'Feis' is not in its place: at 0 stands"):
        read_files(task(), tmp_path, {"train.json": _squad(wrong)})


@pytest.mark.parametrize("name", ["question", "context"])
def test_an_empty_question_or_context_is_one_message_with_its_place(tmp_path: Path, name: str) -> None:
    lines = [ASKED[0], {**ASKED[1], name: " "}]
    with pytest.raises(UserError, match=rf"train\.jsonl:2: the {name} is empty"):
        read_files(task(), tmp_path, {"train.jsonl": "\n".join(map(json.dumps, lines))})


def test_what_does_not_go_with_no_answer_is_noted(tmp_path: Path) -> None:
    files = {"train.jsonl": "\n".join(map(json.dumps, ASKED))}
    assert any(
        "1 questions have no answer" in note for note in read_files(task(no_answer=False), tmp_path, files).notes
    )
    assert read_files(task(), tmp_path, files).notes == []
    files = {"train.jsonl": json.dumps(ASKED[0])}
    assert any("every training question has an answer" in note for note in read_files(task(), tmp_path, files).notes)


# --- windows ------------------------------------------------------------------------------------------------------

#: Words that become one sub-word, several, and none that the vocabulary knows.
WORDS = st.lists(st.sampled_from(["a", "in", "Klosen", "met", ",", "Brunburg", "1912", "中文", "é"]), min_size=1)
GAP = st.sampled_from([" ", "  ", "\n"])


@given(
    before=WORDS | st.just([]),
    answer=WORDS.map(lambda words: words[:3]),
    after=WORDS | st.just([]),
    gap=GAP,
    max_length=st.integers(24, 40),
)
def test_gold_logits_give_the_gold_answer_back(
    before: list[str], answer: list[str], after: list[str], gap: str, max_length: int
) -> None:
    context, text = gap.join([*before, *answer, *after]), gap.join(answer)
    start = len(gap.join([*before, ""])) if before else 0
    rows: list[Row] = [{"question": "Who ?", "context": context, "answers": [{"text": text, "start": start}]}]
    length = len(TOKENIZER(text, add_special_tokens=False)["input_ids"])
    features = encode(rows, max_length, window_overlap=12, max_answer_length=length)
    assert length <= 12  # what fits into the overlap is whole in at least one window
    labelled = 0
    for feature in features:
        assert len(feature) <= max_length
        spans = [span for span in feature.extra["spans"] if span is not None]
        first, last = feature.extra["start"], feature.extra["end"]
        if spans[0][0] <= start and start + len(text) <= spans[-1][1]:
            labelled += 1
            assert context[feature.extra["spans"][first][0] : feature.extra["spans"][last][1]] == text
        else:
            assert first == last == feature.extra["none"] == 0
    assert labelled
    for no_answer in (True, False):
        decoder = task(no_answer=no_answer, max_answer_length=length)
        raw = [gold_logits(feature) for feature in features]
        (found,) = decoder.decode(rows, features, raw, frame_of(TOKENIZER))
        assert (found["answer"], found["start"], found["end"]) == (text, start, start + len(text))


def test_the_windows_of_a_context_cover_it_and_overlap() -> None:
    words = [f"w{number}" for number in range(60)]
    features = encode([row(None, " ".join(words))], max_length=32, window_overlap=8)
    spans = [[tuple(span) for span in feature.extra["spans"] if span is not None] for feature in features]
    every = TOKENIZER(" ".join(words), add_special_tokens=False).encodings[0].offsets
    assert sorted({span for window in spans for span in window}) == every
    for one, two in pairwise(spans):
        assert len(set(one) & set(two)) == 8
    assert {feature.row for feature in features} == {0}


def test_a_question_without_an_answer_points_to_the_first_token() -> None:
    (feature,) = encode([row(None)])
    assert (feature.extra["start"], feature.extra["end"], feature.extra["none"]) == (0, 0, 0)
    assert feature.input_ids[0] == TOKENIZER.cls_token_id


def test_only_the_first_of_several_answers_is_learned() -> None:
    answers = [{"text": "Brunburg", "answer_start": 19}, {"text": "Feis", "answer_start": 11}]
    (feature,) = encode([{**row(None), "answers": answers_of(answers, CONTEXT, "")}])
    assert feature.extra["spans"][feature.extra["start"]][0] == 19


def test_an_answer_inside_a_word_takes_the_sub_words_that_it_touches() -> None:
    context = "In 1912-1914 ."
    (feature,) = encode([row("12-19", context)])
    spans = feature.extra["spans"]
    begin, end = spans[feature.extra["start"]][0], spans[feature.extra["end"]][1]
    assert "12-19" in context[begin:end]
    assert begin >= 3
    assert end <= 12


def test_a_long_question_is_cut_and_counted() -> None:
    question = "a b c d e f g h i j ?"
    features = encode([row("Feis", question=question), row("Feis")], max_question_length=8)
    cut, whole = (TOKENIZER(text, CONTEXT)["input_ids"] for text in ("a b c d e f g h", "Who ?"))
    assert [feature.input_ids for feature in features] == [cut, whole]
    assert [feature.cut for feature in features] == [3, 0]


def test_a_question_does_not_hold_the_answer_to_itself() -> None:
    (feature,) = encode([row("Feis", question="Feis ?")])
    segment = feature.input_ids.index(TOKENIZER.sep_token_id)
    assert feature.extra["start"] > segment
    assert all(span is None for span in feature.extra["spans"][: segment + 1])
    assert feature.extra["token_type_ids"][feature.extra["start"]] == 1


def test_no_rows_give_no_features() -> None:
    assert encode([]) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"max_question_length": 50}, ["task.max_question_length"]),
        ({"window_overlap": 60}, ["task.window_overlap"]),
    ],
)
def test_too_little_room_for_a_context_is_found_before_the_run(changes: dict[str, int], expected: list[str]) -> None:
    cfg = {"objective": {"metric": "f1"}, "data": {"max_length": 64}}
    assert [key for key, _ in task(**changes).problems(cfg)] == expected


# --- answers told -------------------------------------------------------------------------------------------------


def at(feature: Feature, word: str, context: str = CONTEXT) -> tuple[int, int]:
    """The first and the last sub-word of a word's first place."""
    begin = context.index(word)
    covered = [
        i
        for i, span in enumerate(feature.extra["spans"])
        if span and span[0] < begin + len(word) and span[1] > begin and span[1] > span[0]
    ]
    return covered[0], covered[-1]


def told(feature: Feature, scored: dict[str, float], **changes: Any) -> Row:
    """The prediction where a few words have scores; the empty word stands for no answer."""
    places = [(*(at(feature, word) if word else (0, 0)), score) for word, score in scored.items()]
    (found,) = task(**changes).decode([row(None)], [feature], [logits_of(feature, *places)], frame_of(TOKENIZER))
    return found


def test_the_n_best_come_best_first_with_shares_of_one() -> None:
    (feature,) = encode([row(None)])
    found = told(feature, {"Feis": 8.0, "Klosen": 6.0, "Brunburg": 9.0}, no_answer=False, max_answer_length=3, n_best=3)
    assert [each["answer"] for each in found["n_best"]] == ["Brunburg", "Feis", "Klosen"]
    shares = [each["score"] for each in found["n_best"]]
    weights = np.exp([9.0, 8.0, 6.0]) / np.exp([9.0, 8.0, 6.0]).sum()
    assert shares == pytest.approx(weights, abs=1e-4)
    assert {name: found[name] for name in ("answer", "start", "end", "score")} == found["n_best"][0]
    assert found["answer"] == CONTEXT[found["start"] : found["end"]]


def test_no_more_than_n_best_are_told_and_none_twice() -> None:
    (feature,) = encode([row(None)])
    twice = CONTEXT.rindex("Feis")
    second = next(i for i, span in enumerate(feature.extra["spans"]) if span and span[0] == twice)
    logits = logits_of(feature, (*at(feature, "Feis"), 8.0), (*at(feature, "Klosen"), 6.0))
    logits[0, second] = logits[1, second + at(feature, "Feis")[1] - at(feature, "Feis")[0]] = 4.5
    (found,) = task(no_answer=False, max_answer_length=3, n_best=2).decode(
        [row(None)], [feature], [logits], frame_of(TOKENIZER)
    )
    assert [each["answer"] for each in found["n_best"]] == ["Feis", "Klosen"]
    assert found["start"] == twice  # the place where it is likelier


def test_no_answer_is_told_if_it_is_likelier_by_the_threshold() -> None:
    (feature,) = encode([row(None)])
    scores = {"Feis": 8.0, "": 10.0}
    empty = told(feature, scores)
    assert (empty["answer"], empty["start"], empty["end"]) == ("", None, None)
    assert empty["n_best"][1]["answer"] == "Feis"
    assert told(feature, scores, no_answer_threshold=3.0)["answer"] == "Feis"
    assert told(feature, scores, no_answer_threshold=1.9)["answer"] == ""
    assert told(feature, {"Feis": 8.0, "": 7.0})["answer"] == "Feis"
    assert told(feature, {"Feis": 8.0, "": 7.0}, no_answer_threshold=-2.0)["answer"] == ""
    never = told(feature, scores, no_answer=False)
    assert all(each["answer"] for each in never["n_best"])


def test_an_answer_is_no_longer_than_it_may_be_and_never_backwards() -> None:
    (feature,) = encode([row(None)])
    start, end = at(feature, "met")[0], at(feature, "Brunburg")[1]
    logits = logits_of(feature, (start, end, 20.0))
    found = {
        length: task(no_answer=False, max_answer_length=length).decode(
            [row(None)], [feature], [logits], frame_of(TOKENIZER)
        )[0]["answer"]
        for length in (end - start + 1, end - start)
    }
    assert found[end - start + 1] == "met Feis in Brunburg"
    assert found[end - start] != "met Feis in Brunburg"
    backwards = logits_of(feature, (end, start, 20.0))
    for each in task(no_answer=False).decode([row(None)], [feature], [backwards], frame_of(TOKENIZER))[0]["n_best"]:
        assert each["start"] < each["end"]


def test_the_best_of_all_windows_is_told_and_no_answer_only_if_no_window_has_one() -> None:
    context = " ".join(f"w{number}" for number in range(60))
    rows = [row("w3", context), row("w50", context)]
    features = encode(rows, max_length=32)
    raw = [gold_logits(feature) for feature in features]
    for feature, logits in zip(features, raw, strict=True):
        if feature.extra["start"] == 0:
            logits[:, 0] = 20.0  # windows without the answer are surer of it than the one with it
    predictions = task(max_answer_length=3).decode(rows, features, raw, frame_of(TOKENIZER))
    assert [each["answer"] for each in predictions] == ["w3", "w50"]
    nowhere = [logits_of(feature, (0, 0, 20.0)) for feature in features]
    assert [each["answer"] for each in task().decode(rows, features, nowhere, frame_of(TOKENIZER))] == ["", ""]


def test_logits_of_a_padded_batch_are_read_like_those_of_a_row_alone() -> None:
    (feature,) = encode([row("Brunburg")])
    padded = np.concatenate([gold_logits(feature), np.full((2, 7), 99.0)], axis=1)
    (found,) = task().decode([row(None)], [feature], [padded], frame_of(TOKENIZER))
    assert found["answer"] == "Brunburg"


def test_predictions_are_told_and_scored() -> None:
    rows = [row("Feis"), row(None)]
    (feature,) = encode(rows[:1])
    found = told(feature, {"Feis": 8.0})
    assert task().readable(rows[0], found) == {"question": "Who ?", **found}
    assert task().lines(rows[0], found) == "Who ?\tFeis"
    assert task().score(rows, [{"answer": "the Feis"}, {"answer": ""}], 0.0).metrics == {"exact_match": 1.0, "f1": 1.0}
    assert task().score(rows, [{"answer": "Feis ."}, {"answer": "x"}], 0.0).metrics == {"exact_match": 0.5, "f1": 0.5}
    assert [task().classes_of_row(each) for each in rows] == [["answer"], ["no answer"]]


def test_what_is_to_be_answered_needs_a_question_and_a_context() -> None:
    asked = {"question": "Who ?", "context": CONTEXT}
    assert task().row_from_object(asked, "in:1") == {**asked, "answers": []}
    with pytest.raises(UserError, match="in:3: the context is missing"):
        task().row_from_object({"question": "Who ?"}, "in:3")
    with pytest.raises(UserError, match="in:3: a question needs its context beside it"):
        task().row_from_text("Who ?", "in:3")


# --- model --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_padding_changes_neither_the_loss_of_a_row_nor_its_answer() -> None:
    torch.manual_seed(0)
    model = AutoModelForQuestionAnswering.from_config(
        AutoConfig.from_pretrained(tiny_files(), **task().head([]))
    ).eval()
    rows = [row("Feis"), row("Klosen met", "Klosen met Feis ."), row(None, "It rained .", "When ?")]
    features, frame = encode(rows), frame_of(TOKENIZER)

    def run(chosen: Sequence[Feature]) -> tuple[list[float], list[float], list[Any]]:
        batch = task().collate(chosen, frame)
        logits = task().forward(model, batch)
        losses, weights = task().loss(logits, batch, smooth=True)
        return losses.tolist(), weights.tolist(), task().predict(model, logits, batch, frame)

    losses, weights, raw = run(features)
    alone = [run([feature]) for feature in features]
    assert losses == pytest.approx([each[0][0] for each in alone], abs=1e-5)
    assert weights == [1, 1, 1] == [task().weight(feature) for feature in features]
    together = task().decode(rows, features, raw, frame)
    apart = task().decode(rows, features, [each[2][0] for each in alone], frame)
    assert [each["answer"] for each in together] == [each["answer"] for each in apart]


@torch.no_grad()
def test_the_loss_is_that_of_transformers() -> None:
    torch.manual_seed(0)
    model = AutoModelForQuestionAnswering.from_config(
        AutoConfig.from_pretrained(tiny_files(), **task().head([]))
    ).eval()
    frame = frame_of(TOKENIZER)
    batch = task().collate(encode([row("Feis"), row("Brunburg .")]), frame)
    theirs = model(
        **{name: batch[name] for name in task().model_inputs},
        start_positions=batch["start"],
        end_positions=batch["end"],
    )
    losses, _ = task().loss(task().forward(model, batch), batch, smooth=True)
    assert float(losses.mean()) == pytest.approx(float(theirs.loss), abs=1e-5)


def test_a_tokenizer_without_a_first_token_has_no_answer_at_its_first() -> None:
    bare = AutoTokenizer.from_pretrained(tiny_files().parent / "tiny_causal_files")
    (feature,) = task().encode([row(None)], frame_of(bare, max_length=64))
    assert (feature.extra["none"], feature.extra["start"], feature.extra["end"]) == (0, 0, 0)


def test_evaluation_alone_says_nothing_of_training_questions(tmp_path: Path) -> None:
    content = json.dumps({"question": "q", "context": "Klosen .", "answers": [{"text": "Klosen", "answer_start": 0}]})
    told = [read_files(task(), tmp_path, {f"{split}.jsonl": content + "\n"}).notes for split in ("train", "test")]
    assert [any("every training question" in note for note in notes) for notes in told] == [True, False]
