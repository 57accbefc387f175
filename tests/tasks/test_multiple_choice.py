"""Choices: read from columns, lists and objects, labelled in every way, and as many in a row as there are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForMultipleChoice, AutoTokenizer

from finesweep.config.errors import UserError
from finesweep.tasks.base import Feature, Row
from finesweep.tasks.multiple_choice import MultipleChoice
from tests.conftest import tiny_files
from tests.tasks.making import frame_of, read_files, task_of

TASK: MultipleChoice = task_of("multiple_choice")
TOKENIZER = AutoTokenizer.from_pretrained(tiny_files())
ENDINGS = ["met Feis .", "slept .", "rained .", "was sold ."]


def read_one(tmp_path: Path, value: dict[str, Any]) -> Row:
    """The row that an object on the second line becomes."""
    first = {"question": "Who ?", "choices": ["a", "b"], "label": 0}
    content = f"{json.dumps(first)}\n{json.dumps(value)}\n"
    return list(read_files(TASK, tmp_path, {"train.jsonl": content}).splits["train"])[1]


# --- reading ------------------------------------------------------------------------------------------------------


def test_the_columns_of_swag_are_found(tmp_path: Path) -> None:
    head = ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3,label\n"
    lines = (
        "0,v1,3,x,Feis came .,Klosen,gold,met Feis .,slept .,rained .,was sold .,0\n1,v2,4,x,It rained .,Lummen,gold,"
    )
    content = f'{head}{lines}met Feis .,slept .,"rained , too .",was sold .,2\n'
    examples = read_files(TASK, tmp_path, {"train.csv": content})
    assert list(examples.splits["train"]) == [
        {"context": "Feis came .", "question": "Klosen", "choices": ENDINGS, "label": 0},
        {
            "context": "It rained .",
            "question": "Lummen",
            "choices": ["met Feis .", "slept .", "rained , too .", "was sold ."],
            "label": 2,
        },
    ]
    assert examples.labels == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.csv", "goal,sol1,sol2,label\nOpen it,push,pull,1\n"),
        ("train.csv", "query,choice_a,choice_b,answer\nOpen it,push,pull,B\n"),
        ("train.tsv", "question\toptionA\toptionB\tlabel\nOpen it\tpush\tpull\tb\n"),
        ("train.csv", "question,answer0,answer1,correct\nOpen it,push,pull,pull\n"),
        ("train.jsonl", '{"question": "Open it", "choices": ["push", "pull"], "label": 1}'),
        ("train.jsonl", '{"question": "Open it", "endings": ["push", "pull"], "label": "1"}'),
        ("train.jsonl", '{"question": "Open it", "options": ["push", "pull"], "answer": 1.0}'),
        (
            "train.jsonl",
            '{"question": "Open it", "choices": {"text": ["push", "pull"], "label": ["A", "B"]}, "answerKey": "B"}',
        ),
        (
            "train.jsonl",
            '{"question": "Open it", "choices": {"text": ["push", "pull"], "label": ["1", "2"]}, "answerKey": "2"}',
        ),
    ],
)
def test_every_layout_gives_the_same_row(tmp_path: Path, name: str, content: str) -> None:
    (row,) = read_files(TASK, tmp_path, {name: content}).splits["train"]
    assert row == {"question": "Open it", "choices": ["push", "pull"], "label": 1}


@pytest.mark.parametrize("label", [2, 2.0, "2", " 2 ", "C", "c", "rained ."])
def test_a_label_is_a_number_a_letter_or_a_text(tmp_path: Path, label: Any) -> None:
    assert read_one(tmp_path, {"question": "Klosen", "choices": ENDINGS, "label": label})["label"] == 2


def test_the_names_that_choices_bring_come_before_numbers_and_letters(tmp_path: Path) -> None:
    numbered = {"text": ENDINGS, "label": ["1", "2", "3", "4"]}
    assert read_one(tmp_path, {"question": "Klosen", "choices": numbered, "label": "1"})["label"] == 0
    backwards = {"text": ENDINGS, "label": ["D", "C", "B", "A"]}
    assert read_one(tmp_path, {"question": "Klosen", "choices": backwards, "label": "A"})["label"] == 3


def test_rows_with_fewer_choices_leave_their_last_columns_empty(tmp_path: Path) -> None:
    content = "question,ending0,ending1,ending2,label\nWho ?,a,b,,1\nWho ?,a,b,c,2\n"
    rows = read_files(TASK, tmp_path, {"train.csv": content}).splits["train"]
    assert [(row["choices"], row["label"]) for row in rows] == [(["a", "b"], 1), (["a", "b", "c"], 2)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 4}, "the label is '4', and there are 4 choices"),
        ({"label": "E"}, "the label is 'E', and there are 4 choices"),
        ({"label": -1}, "the label is '-1', and there are 4 choices"),
        ({"label": 1.5}, "the label is '1.5', and there are 4 choices"),
        ({"label": "sold"}, "the label is 'sold', and there are 4 choices"),
        ({"label": ""}, "the label is empty"),
        ({"label": None}, "the label is missing"),
        ({"label": [1]}, "the label should be text, not list"),
        ({"choices": ["only"]}, "two choices are the least, there is 1"),
        ({"choices": ["one", "", None]}, "two choices are the least, there is 1"),
        ({"choices": []}, "two choices are the least, there is 0"),
        ({"choices": "one, two"}, "the choices should be a list, not str"),
        ({"choices": None}, "the choices should be a list, not NoneType"),
        ({"choices": {"label": ["A", "B"]}}, "the choices should be a list, not NoneType"),
        ({"choices": ["one", ["two"]]}, "the choice should be text, not list"),
        ({"choices": ["one", " "]}, "the choice is empty"),
        ({"question": ""}, "there is neither a context nor a question"),
        ({"question": None}, "there is neither a context nor a question"),
        ({"question": ["a"]}, "the question should be text, not list"),
    ],
)
def test_bad_input_is_one_message_with_its_place(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_one(tmp_path, {"question": "Klosen", "choices": ENDINGS, "label": 0, **changes})
    assert f"train.jsonl:2: {message}" in str(caught.value)


def test_a_wrong_label_says_what_would_be_right(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give a number from 0 to 3, a letter, or the text of the right choice"):
        read_one(tmp_path, {"question": "Klosen", "choices": ENDINGS, "label": 4})


def test_what_is_to_be_chosen_needs_its_choices() -> None:
    asked = {"context": "It rained .", "choices": ["a", "b"]}
    assert TASK.row_from_object(asked, "in:1") == asked
    with pytest.raises(UserError, match="in:2: the choices should be a list"):
        TASK.row_from_object({"question": "Who ?"}, "in:2")
    with pytest.raises(UserError, match="in:2: a question needs its choices beside it"):
        TASK.row_from_text("Who ?", "in:2")


# --- encoding -----------------------------------------------------------------------------------------------------


def encode(rows: Sequence[Row], max_length: int = 32) -> list[Feature]:
    return TASK.encode(rows, frame_of(TOKENIZER, max_length=max_length))


def parts_of(feature: Feature) -> list[str]:
    ends = feature.extra["ends"]
    return [str(TOKENIZER.decode(feature.input_ids[begin:end])) for begin, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"context": "It rained .", "question": "Klosen"}, "[CLS] It rained . [SEP] Klosen {} [SEP]"),
        ({"context": "It rained ."}, "[CLS] It rained . [SEP] {} [SEP]"),
        ({"question": "Klosen"}, "[CLS] Klosen [SEP] {} [SEP]"),
    ],
)
def test_each_choice_is_read_with_what_it_is_a_choice_for(asked: dict[str, str], expected: str) -> None:
    (feature,) = encode([{**asked, "choices": ENDINGS, "label": 3}])
    assert parts_of(feature) == [expected.format(ending) for ending in ENDINGS]
    assert feature.extra["label"] == 3
    first = feature.input_ids[: feature.extra["ends"][0]]
    segment = first.index(TOKENIZER.sep_token_id) + 1
    assert feature.extra["types"][: len(first)] == [0] * segment + [1] * (len(first) - segment)


def test_what_does_not_fit_is_cut_from_each_choice_and_counted() -> None:
    context = "a b c d e f g h i"
    (feature, short) = encode(
        [{"context": context, "choices": ["x", "y z"]}, {"context": "a", "choices": ["x", "y"]}], 8
    )
    assert parts_of(feature) == ["[CLS] a b c d [SEP] x [SEP]", "[CLS] a b c [SEP] y z [SEP]"]
    assert (feature.cut, short.cut) == (5 + 6, 0)


def test_no_rows_give_no_features() -> None:
    assert encode([]) == []


SEVERAL: list[Row] = [
    {"question": "Who ?", "choices": ["Klosen", "Feis"], "label": 1},
    {"context": "It rained .", "question": "Where ?", "choices": ["in", "Brunburg , or", "at", "a", "b"], "label": 0},
    {"context": "Klosen met", "choices": ["Feis", "a b c d", "1912"], "label": 2},
]


def test_a_batch_has_as_many_choices_as_its_widest_row_and_knows_which_are_there() -> None:
    features, frame = encode(SEVERAL), frame_of(TOKENIZER)
    batch = TASK.collate(features, frame)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == batch["token_type_ids"].shape
    assert batch["input_ids"].shape[:2] == (3, 5)
    assert batch["there"].tolist() == [[1, 1, 0, 0, 0], [1] * 5, [1, 1, 1, 0, 0]]
    for index, feature in enumerate(features):
        for choice, (begin, end) in enumerate(zip([0, *feature.extra["ends"]], feature.extra["ends"], strict=False)):
            mask = batch["attention_mask"][index, choice].bool()
            assert batch["input_ids"][index, choice][mask].tolist() == feature.input_ids[begin:end]
            assert batch["token_type_ids"][index, choice][mask].tolist() == feature.extra["types"][begin:end]
            assert set(batch["input_ids"][index, choice][~mask].tolist()) <= {TOKENIZER.pad_token_id}


# --- model --------------------------------------------------------------------------------------------------------


class Said(torch.nn.Module):
    """A model that says what it is told to, whatever it sees."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, **inputs: torch.Tensor) -> Any:
        assert inputs["input_ids"].shape[:2] == self.logits.shape
        return self


def told(rows: Sequence[Row], logits: torch.Tensor) -> tuple[list[float], list[float], list[Row]]:
    features, frame = encode(rows), frame_of(TOKENIZER)
    batch = TASK.collate(features, frame)
    model = Said(logits)
    seen = TASK.forward(model, batch)
    losses, weights = TASK.loss(seen, batch, smooth=True)
    return (
        losses.tolist(),
        weights.tolist(),
        TASK.decode(rows, features, TASK.predict(model, seen, batch, frame), frame),
    )


@given(
    counts=st.lists(st.integers(2, 5), min_size=1, max_size=4),
    seed=st.integers(0, 100),
    lead=st.sampled_from([-5.0, 0.0, 1000.0]),
)
def test_a_choice_that_is_not_there_is_never_predicted_and_costs_nothing(
    counts: list[int], seed: int, lead: float
) -> None:
    rows: list[Row] = [{"question": "Who ?", "choices": list("abcde")[:count], "label": count - 1} for count in counts]
    logits = torch.randn(len(rows), max(counts), generator=torch.Generator().manual_seed(seed))
    for index, count in enumerate(counts):
        logits[index, count:] += lead  # what is only padding says this
    losses, weights, predictions = told(rows, logits)
    assert weights == [1] * len(rows)
    for index, count in enumerate(counts):
        alone, _, (prediction,) = told([rows[index]], logits[index : index + 1, :count])
        assert losses[index] == pytest.approx(alone[0], abs=1e-5)
        assert predictions[index]["label"] == prediction["label"] < count
        assert predictions[index]["scores"] == pytest.approx(prediction["scores"], abs=2e-4)
        assert sum(predictions[index]["scores"]) == pytest.approx(1, abs=1e-3)


@torch.no_grad()
def test_a_row_alone_is_what_it_is_in_a_batch_of_the_model() -> None:
    torch.manual_seed(0)
    model = AutoModelForMultipleChoice.from_config(AutoConfig.from_pretrained(tiny_files())).eval()
    frame, features = frame_of(TOKENIZER), encode(SEVERAL)

    def run(chosen: Sequence[Feature]) -> tuple[list[float], list[Any]]:
        batch = TASK.collate(chosen, frame)
        logits = TASK.forward(model, batch)
        return TASK.loss(logits, batch, smooth=True)[0].tolist(), TASK.predict(model, logits, batch, frame)

    losses, raw = run(features)
    alone = [run([feature]) for feature in features]
    assert losses == pytest.approx([each[0][0] for each in alone], abs=1e-5)
    together = TASK.decode(SEVERAL, features, raw, frame)
    apart = TASK.decode(SEVERAL, features, [each[1][0] for each in alone], frame)
    assert [each["label"] for each in together] == [each["label"] for each in apart]
    assert [len(each["scores"]) for each in together] == [2, 5, 3]


@torch.no_grad()
def test_the_loss_is_that_of_transformers() -> None:
    torch.manual_seed(0)
    model = AutoModelForMultipleChoice.from_config(AutoConfig.from_pretrained(tiny_files())).eval()
    frame = frame_of(TOKENIZER)
    batch = TASK.collate(encode([SEVERAL[0], {**SEVERAL[0], "label": 0}]), frame)
    theirs = model(**{name: batch[name] for name in TASK.model_inputs}, labels=batch["label"]).loss
    losses, weights = TASK.loss(TASK.forward(model, batch), batch, smooth=True)
    assert float(losses.sum() / weights.sum()) == pytest.approx(float(theirs), abs=1e-6)


def test_a_row_to_predict_weighs_nothing() -> None:
    rows: list[Row] = [{"question": "Who ?", "choices": ["a", "b"]}]
    losses, weights, (prediction,) = told(rows, torch.tensor([[0.0, 2.0]]))
    assert (losses, weights, [TASK.weight(feature) for feature in encode(rows)]) == ([0], [0], [0])
    assert prediction["label"] == 1


def test_the_choice_is_told_with_all_probabilities() -> None:
    _, _, (prediction,) = told(SEVERAL[:1], torch.tensor([[0.0, 1.0]]))
    assert prediction == {"label": 1, "score": 0.7311, "scores": [0.2689, 0.7311]}
    readable = TASK.readable(SEVERAL[0], prediction)
    assert readable == {"question": "Who ?", "choice": "Feis", **prediction}
    assert TASK.lines(SEVERAL[0], prediction) == "Who ?\tFeis"
    assert TASK.lines(SEVERAL[2], {"label": 0}) == "Klosen met\tFeis"


def test_accuracy_is_told_beside_chance() -> None:
    scores = TASK.score(SEVERAL, [{"label": 1}, {"label": 0}, {"label": 0}], 0.0)
    assert scores.metrics == {"accuracy": pytest.approx(2 / 3)}
    assert scores.tables[0].rows == [[0.6667, round((1 / 2 + 1 / 5 + 1 / 3) / 3, 4), 3]]
    assert [TASK.classes_of_row(row) for row in SEVERAL] == [["1"], ["0"], ["2"]]


def test_smoothing_is_for_training_alone() -> None:
    task, frame = task_of("multiple_choice", label_smoothing=0.2), frame_of(TOKENIZER)
    batch = task.collate(task.encode(SEVERAL[:1], frame), frame)
    logits = torch.tensor([[3.0, -3.0]])
    smooth, plain = (float(task.loss(logits, batch, smooth=on)[0]) for on in (True, False))
    assert smooth == pytest.approx(0.8 * plain - 0.2 * float(logits.log_softmax(-1).mean()))
