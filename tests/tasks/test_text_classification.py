"""Texts with classes and numbers: reading every layout, label order, weights, losses and scores."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from finesweep.config.errors import UserError
from finesweep.tasks.base import Examples
from tests.conftest import tiny_files
from tests.tasks.making import frame_of, read_files, task_of

SINGLE, SEVERAL, NUMBER = (task_of(n) for n in ("text_classification", "multi_label_classification", "text_regression"))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(tiny_files())


def rows(examples: Examples, split: str = "train") -> list[dict[str, Any]]:
    return list(examples.splits[split])


# --- reading ------------------------------------------------------------------------------------------------------

LAYOUTS = {
    "train.tsv": "a good film\t1\na bad film\t0\n",
    "train.csv": 'sentence,label\n"a good film",1\n"a bad film",0\n',
    "train.jsonl": '{"text": "a good film", "label": 1}\n{"text": "a bad film", "label": 0}\n',
    "train.json": json.dumps({"data": [{"text": "a good film", "label": 1}, {"text": "a bad film", "label": 0.0}]}),
    "train.txt": "a good film\t1\na bad film\t0\n",
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    examples = read_files(SINGLE, tmp_path, {name: LAYOUTS[name]})
    assert rows(examples) == [{"text": "a good film", "label": "1"}, {"text": "a bad film", "label": "0"}]
    assert examples.labels == ["0", "1"]


def test_a_file_without_a_header_says_so_and_columns_can_be_named(tmp_path: Path) -> None:
    text = "1\tx\ta film\n0\ty\tanother\n"
    assert "so it is data" in read_files(SINGLE, tmp_path, {"train.tsv": text}).notes[0]
    named = read_files(SINGLE, tmp_path, {"train.tsv": text}, columns=["label", "id", "text"])
    numbered = read_files(SINGLE, tmp_path, {"train.tsv": text}, text_column=2, label_column=0)
    assert rows(named) == rows(numbered) == [{"text": "a film", "label": "1"}, {"text": "another", "label": "0"}]


def test_pairs_are_found_by_their_usual_names(tmp_path: Path) -> None:
    text = "premise,hypothesis,label\nit rains,it is wet,yes\nit rains,it is dry,no\n"
    (first, _) = rows(read_files(SINGLE, tmp_path, {"train.csv": text}))
    assert first == {"text": "it rains", "text_pair": "it is wet", "label": "yes"}


def test_label_order_is_that_of_the_names_else_sorted(tmp_path: Path) -> None:
    text = "a\t2\nb\t0\nc\t1\nd\t10\n"
    assert read_files(SINGLE, tmp_path, {"train.tsv": text}).labels == ["0", "1", "2", "10"]
    names = [f"n{i}" for i in range(10, -1, -1)]
    named = read_files(SINGLE, tmp_path, {"train.tsv": text}, label_names=names)
    assert named.labels == names
    assert [row["label"] for row in rows(named)] == ["n8", "n10", "n9", "n0"]
    mapped = read_files(SINGLE, tmp_path, {"train.tsv": "a\tx\nb\ty\nc\tz\n"}, label_map={"x": "good", "y": "bad"})
    assert mapped.labels == ["bad", "good", "z"]


def test_labels_unseen_in_training_are_counted_and_are_errors_in_the_score(tmp_path: Path) -> None:
    files = {"train.tsv": "a\tx\nb\ty\n", "validation.tsv": "c\tz\nd\tz\ne\tx\n"}
    examples = read_files(SINGLE, tmp_path, files)
    assert examples.labels == ["x", "y"]
    assert any("no model can learn: z (2)" in note for note in examples.notes)
    scores = SINGLE.score(examples.splits["validation"], [{"label": "x"}] * 3, 0.0)
    assert scores.metrics["accuracy"] == pytest.approx(1 / 3)


def test_several_classes_in_every_form(tmp_path: Path) -> None:
    lines = [{"text": "a", "labels": ["x", "y"]}, {"text": "b", "labels": []}, {"text": "c", "labels": "y, z"}]
    examples = read_files(SEVERAL, tmp_path, {"train.jsonl": "\n".join(map(json.dumps, lines))})
    assert [row["label"] for row in rows(examples)] == [["x", "y"], [], ["y", "z"]]
    assert examples.labels == ["x", "y", "z"]
    listed = read_files(SEVERAL, tmp_path, {"train.csv": "text,labels\na,\"['x', 'y']\"\nb,y\n"})
    assert [row["label"] for row in rows(listed)] == [["x", "y"], ["y"]]


@pytest.mark.parametrize(
    ("task", "files", "changes", "message"),
    [
        (SINGLE, {"train.tsv": "a\tx\n\ty\n"}, {}, "train.tsv:2: the text is empty"),
        (SINGLE, {"train.tsv": "a\tx\nb\t\n"}, {}, "train.tsv:2: the label is empty"),
        (SINGLE, {"train.tsv": "a\tx\nb\tx\n"}, {}, "one class only, 'x'"),
        (SINGLE, {"train.tsv": "a\t0\nb\t7\n"}, {"label_names": ["n", "y"]}, "train.tsv:2: the label is 7, and"),
        (SINGLE, {"train.tsv": "a\tx\nb\ty\n"}, {"label_map": {"w": "v"}}, "'w' matches no label"),
        (SINGLE, {"train.csv": "text,lable\na,x\n"}, {}, "there is no column 'label' or"),
        (SINGLE, {"train.jsonl": '{"text": 1.5, "label": null}\n'}, {}, "train.jsonl:1: the label is missing"),
        (SINGLE, {"train.tsv": "a\tx\nb\ty\nc\n"}, {}, "train.tsv:3: 2 columns expected"),
        (NUMBER, {"train.tsv": "a\t1.5\nb\thigh\n"}, {}, "train.tsv:2: the label should be a number, not 'high'"),
        (NUMBER, {"train.tsv": "a\t1.5\nb\tnan\n"}, {}, "train.tsv:2: the label should be a number"),
    ],
)
def test_bad_input_is_one_message_with_its_place(
    tmp_path: Path, task: Any, files: dict[str, str], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        read_files(task, tmp_path, files, **changes)
    assert message in str(caught.value)


# --- class weights ------------------------------------------------------------------------------------------------


def test_balanced_weights_give_every_class_the_same_say(tmp_path: Path) -> None:
    text = "a\tx\nb\tx\nc\tx\nd\ty\n"
    weighed = rows(read_files(task_of("text_classification", class_weights="balanced"), tmp_path, {"train.tsv": text}))
    assert [row["weight"] for row in weighed] == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    own = task_of("text_classification", class_weights={"y": 5.0})
    files = {"train.tsv": text, "validation.tsv": "e\ty\n"}
    examples = read_files(own, tmp_path, files)
    assert [row["weight"] for row in rows(examples)] == [1, 1, 1, 5]
    assert "weight" not in rows(examples, "validation")[0]
    with pytest.raises(UserError, match="there is no class 'z'"):
        read_files(task_of("text_classification", class_weights={"z": 1.0}), tmp_path, {"train.tsv": text})


def test_a_weight_multiplies_loss_and_weight(tokenizer: Any) -> None:
    frame = frame_of(tokenizer, ["x", "y"])
    features = SINGLE.encode([{"text": "a", "label": "x"}, {"text": "b", "label": "x", "weight": 3.0}], frame)
    batch = SINGLE.collate(features, frame)
    losses, weights = SINGLE.loss(torch.tensor([[0.5, -0.5]] * 2), batch, smooth=True)
    assert losses[1] == pytest.approx(3 * float(losses[0]))
    assert weights.tolist() == [1, 3] == [SINGLE.weight(feature) for feature in features]


# --- encoding and losses ------------------------------------------------------------------------------------------


def test_long_texts_are_cut_and_counted(tokenizer: Any) -> None:
    frame = frame_of(tokenizer, ["x", "y"], max_length=8)
    long, short = SINGLE.encode([{"text": "a b c d e f g h i"}, {"text": "a"}], frame)
    assert (len(long), long.cut, short.cut) == (8, 3, 0)
    assert long.input_ids[-1] == tokenizer.sep_token_id
    (pair,) = SINGLE.encode([{"text": "a b c d e f", "text_pair": "g"}], frame)
    assert (len(pair), pair.cut) == (8, 2)  # of the longer one
    assert pair.extra["token_type_ids"] == [0] * 6 + [1] * 2


def test_an_unknown_label_weighs_nothing(tokenizer: Any) -> None:
    frame = frame_of(tokenizer, ["x", "y"])
    (feature,) = SINGLE.encode([{"text": "a", "label": "z"}], frame)
    losses, weights = SINGLE.loss(torch.zeros(1, 2), SINGLE.collate([feature], frame), smooth=False)
    assert (float(losses), float(weights), SINGLE.weight(feature)) == (0, 0, 0)


def test_losses_are_the_textbooks(tokenizer: Any) -> None:
    logits = torch.tensor([[2.0, -1.0], [0.3, 0.1]])
    frame = frame_of(tokenizer, ["x", "y"])
    several = SEVERAL.encode([{"text": "a", "label": ["x"]}, {"text": "b", "label": ["x", "y"]}], frame)
    losses, _ = SEVERAL.loss(logits, SEVERAL.collate(several, frame), smooth=False)
    target = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    expected = -(target * logits.sigmoid().log() + (1 - target) * (1 - logits.sigmoid()).log()).mean(1)
    assert torch.allclose(losses, expected, atol=1e-6)
    number = NUMBER.encode([{"text": "a", "label": 1.5}, {"text": "b", "label": -1.0}], frame)
    losses, weights = NUMBER.loss(logits[:, :1], NUMBER.collate(number, frame), smooth=False)
    assert torch.allclose(losses, torch.tensor([0.25, 1.69]), atol=1e-6)
    assert weights.tolist() == [1, 1]


def test_smoothing_is_for_training_alone(tokenizer: Any) -> None:
    frame = frame_of(tokenizer, ["x", "y"])
    task = task_of("text_classification", label_smoothing=0.2)
    batch = task.collate(task.encode([{"text": "a", "label": "x"}], frame), frame)
    smooth, plain = (task.loss(torch.tensor([[3.0, -3.0]]), batch, smooth=on)[0] for on in (True, False))
    assert float(smooth) > float(plain)


# --- scores -------------------------------------------------------------------------------------------------------


def test_scores_of_classes() -> None:
    gold = ["a"] * 6 + ["b"] * 3 + ["c"]
    guess = ["a"] * 5 + ["b"] + ["b", "b", "a"] + ["a"]
    scores = SINGLE.score([{"label": each} for each in gold], [{"label": each} for each in guess], 0.0)
    # by hand: F1 of a = 2*5/(6+7), of b = 2*2/(3+3), of c = 0
    assert scores.metrics["macro_f1"] == pytest.approx((10 / 13 + 2 / 3 + 0) / 3)
    assert scores.metrics["accuracy"] == scores.metrics["micro_f1"] == pytest.approx(0.7)
    covariance = 10 * 7 - (6 * 7 + 3 * 3 + 1 * 0)
    assert scores.metrics["matthews"] == pytest.approx(covariance / ((100 - 49 - 9) * (100 - 36 - 9 - 1)) ** 0.5)
    assert scores.confusion_labels == ["a", "b", "c"]
    assert scores.confusion_counts == [[5, 1, 0], [1, 2, 0], [1, 0, 0]]


def test_scores_of_sets() -> None:
    gold = [{"label": ["x", "y"]}, {"label": []}, {"label": ["y"]}]
    guess = [{"label": ["x"]}, {"label": []}, {"label": ["y", "z"]}]
    metrics = SEVERAL.score(gold, guess, 0.0).metrics
    assert metrics["subset_accuracy"] == pytest.approx(1 / 3)
    assert metrics["micro_f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert metrics["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert SEVERAL.score([{"label": []}], [{"label": []}], 0.0).metrics["subset_accuracy"] == 1.0


def test_scores_of_numbers() -> None:
    gold, guess = [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 10.0]
    metrics = NUMBER.score([{"label": x} for x in gold], [{"label": x} for x in guess], 0.0).metrics
    assert metrics["spearman"] == pytest.approx(1.0)
    assert metrics["pearson"] == pytest.approx(0.8854377, abs=1e-6)
    assert (metrics["mse"], metrics["mae"]) == (9.0, 1.5)
    flat = NUMBER.score([{"label": x} for x in gold], [{"label": 1.0}] * 4, 0.0).metrics
    assert flat["pearson"] == flat["spearman"] == 0.0


def test_the_threshold_decides(tokenizer: Any) -> None:
    frame = frame_of(tokenizer, ["x", "y"])
    raw = SEVERAL.predict(None, torch.tensor([[0.1, -0.1]]), {}, frame)
    assert SEVERAL.decode([{}], [], raw, frame)[0]["label"] == ["x"]
    assert task_of("multi_label_classification", threshold=0.4).decode([{}], [], raw, frame)[0]["label"] == ["x", "y"]


SEVERAL = task_of("multi_label_classification")


def test_a_label_for_each_class_names_those_that_are_1(tmp_path: Path) -> None:
    text = '{"text": "a", "labels": [0, 1, 1]}\n{"text": "b", "labels": [0.0, 0.0, 0.0]}\n'
    examples = read_files(SEVERAL, tmp_path, {"train.jsonl": text}, label_names=["x", "y", "z"])
    assert [row["label"] for row in rows(examples)] == [["y", "z"], []]
    with pytest.raises(UserError, match=r"train\.jsonl:1: the label is 0 or 1 for each of 3 classes"):
        read_files(SEVERAL, tmp_path, {"train.jsonl": text})


def test_flags_are_told_from_numbers_of_classes_by_the_whole_column(tmp_path: Path) -> None:
    flags = '{"text": "a", "labels": [true, false]}\n{"text": "b", "labels": [0, 1]}\n'
    numbers = '{"text": "a", "labels": [0, 1]}\n{"text": "b", "labels": [1]}\n'
    for text, expected in ((flags, [["x"], ["y"]]), (numbers, [["x", "y"], ["y"]])):
        examples = read_files(SEVERAL, tmp_path, {"train.jsonl": text}, label_names=["x", "y"])
        assert [row["label"] for row in rows(examples)] == expected


def test_names_that_are_numbers_are_names(tmp_path: Path) -> None:
    names = ["1", "2", "3", "4", "5"]
    examples = read_files(SINGLE, tmp_path, {"train.tsv": "a\t1\nb\t5\n"}, label_names=names)
    assert [row["label"] for row in rows(examples)] == ["1", "5"]


def test_one_class_alone_can_be_learned_where_a_text_may_have_none(tmp_path: Path) -> None:
    text = '{"text": "a", "labels": ["x"]}\n{"text": "b", "labels": []}\n'
    assert read_files(SEVERAL, tmp_path, {"train.jsonl": text}).labels == ["x"]


def test_a_class_that_the_names_lack_is_one_message_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.tsv:2: there is no class 'badd' in data\.label_names"):
        read_files(SINGLE, tmp_path, {"train.tsv": "a\tgood\nb\tbadd\n"}, label_names=["good", "bad"])


def test_the_first_row_of_an_unseen_label_is_named(tmp_path: Path) -> None:
    files = {"train.tsv": "a\tx\nb\ty\n", "validation.tsv": "e\tx\nc\tz\nd\tz\n"}
    (note,) = [note for note in read_files(SINGLE, tmp_path, files).notes if "no model can learn" in note]
    assert note.endswith("validation.tsv:2")


def test_numerals_are_in_one_order_whatever_they_look_like(tmp_path: Path) -> None:
    text = "a\t2\nb\t01\nc\t1\nd\t02\ne\t10.0\n"
    assert read_files(SINGLE, tmp_path, {"train.tsv": text}).labels == ["01", "1", "02", "2", "10"]


def test_truth_values_are_classes_by_their_name_or_number(tmp_path: Path) -> None:
    text = '{"text": "a", "label": true}\n{"text": "b", "label": false}\n'
    assert read_files(SINGLE, tmp_path, {"train.jsonl": text}).labels == ["False", "True"]
    named = read_files(SINGLE, tmp_path, {"train.jsonl": text}, label_names=["no", "yes"])
    assert [row["label"] for row in rows(named)] == ["yes", "no"]
    with pytest.raises(UserError, match=r"train\.jsonl:1: the label is missing"):
        read_files(SINGLE, tmp_path, {"train.jsonl": '{"text": "a", "label": NaN}\n'})


def test_pairs_in_some_rows_or_splits_alone_are_one_message(tmp_path: Path) -> None:
    files = {"train.csv": "text,text_pair,label\na,b,x\nc,d,y\n", "validation.csv": "text,label\na,x\n"}
    with pytest.raises(UserError, match=r"validation\.csv: there is no text_pair here, but in another split"):
        read_files(SINGLE, tmp_path, files)
    mixed = [{"text": "a", "text_pair": "b", "label": "x"}, {"text": "a", "label": "x"}]
    for some in (mixed, mixed[::-1]):
        with pytest.raises(UserError, match="1 of 2 rows have a text_pair"):
            SINGLE.encode(some, frame_of(AutoTokenizer.from_pretrained(tiny_files()), ["x", "y"]))


def test_numbers_are_scored_as_they_are_and_told_shortly() -> None:
    task = task_of("text_regression")
    gold = [{"text": "a", "label": value} for value in (1e-5, 2e-5, 3e-5)]
    guesses = task.decode(gold, [], [1.1e-5, 2e-5, 2.9e-5], frame_of(None))
    assert task.score(gold, guesses, 0.0).metrics["pearson"] > 0.99
    assert task.readable(gold[0], {"label": 0.123456789})["label"] == 0.12346
    lost = task.score(gold, [{"label": float("nan")}] * 3, 0.0)
    assert all(math.isnan(value) for value in lost.metrics.values())
