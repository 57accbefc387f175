"""Relations: marks become spans, spans become markers, and the label is read off where the markers stand."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer, PreTrainedTokenizerFast

from finesweep.config.errors import UserError
from finesweep.tasks.base import Feature, Row
from finesweep.tasks.relation_extraction import RelationExtraction, marked
from tests.conftest import tiny_files
from tests.tasks.making import frame_of, read_files, task_of

TASK: RelationExtraction = task_of("relation_extraction")
LABELS = ["Meets(e1,e2)", "Meets(e2,e1)", "Other"]
TOKENIZER = AutoTokenizer.from_pretrained(tiny_files())
#: The sub-words of the markers before the first and before the second entity.
FIRST, SECOND = (TOKENIZER.convert_tokens_to_ids(marker) for marker in ("@", "#"))


def row(text: str, label: str = "Other") -> Row:
    return {**marked(text, ""), "label": label}


def encode(*rows: Row, max_length: int = 32) -> list[Feature]:
    return TASK.encode(rows, frame_of(TOKENIZER, LABELS, max_length))


def words(feature: Feature) -> str:
    return str(TOKENIZER.decode(feature.input_ids, skip_special_tokens=True))


# --- marks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "plain", "first", "second"),
    [
        ("<e1>Ada</e1> met <e2>Bob</e2> .", "Ada met Bob .", "Ada", "Bob"),
        ("In <e2>Bonn</e2> lived <e1>Ada Low</e1>", "In Bonn lived Ada Low", "Ada Low", "Bonn"),
        ("<e1>Ada</e1><e2>Bob</e2>", "AdaBob", "Ada", "Bob"),
        ("<e1>A\nda</e1>'s <e2> Bob </e2>!", "A\nda's  Bob !", "A\nda", " Bob "),
        ("1 < 2 <e1>é</e1> a<b> <e2>中文</e2>", "1 < 2 é a<b> 中文", "é", "中文"),
    ],
)
def test_marks_become_spans(text: str, plain: str, first: str, second: str) -> None:
    made = marked(text, "")
    assert made["text"] == plain
    assert [plain[slice(*made[name])] for name in ("e1", "e2")] == [first, second]


PIECE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<>"), max_size=8)
ENTITY = PIECE.filter(lambda text: bool(text.strip()))


@given(st.tuples(PIECE, PIECE, PIECE), st.tuples(ENTITY, ENTITY), st.permutations(["e1", "e2"]))
def test_whatever_is_marked_is_found_again(
    around: tuple[str, str, str], entities: tuple[str, str], order: list[str]
) -> None:
    marks = [f"<{name}>{entity}</{name}>" for name, entity in zip(order, entities, strict=True)]
    made = marked(f"{around[0]}{marks[0]}{around[1]}{marks[1]}{around[2]}", "")
    assert made["text"] == f"{around[0]}{entities[0]}{around[1]}{entities[1]}{around[2]}"
    assert [made["text"][slice(*made[name])] for name in order] == list(entities)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ada met Bob", "<e1>…</e1> is missing"),
        ("<e1>Ada</e1> met Bob", "<e2>…</e2> is missing"),
        ("<e2>Ada</e2> met Bob", "<e1>…</e1> is missing"),
        ("<e1>Ada met <e2>Bob</e2>", "<e1>…</e1> is missing"),
        ("<e1>Ada</e2> met <e2>Bob</e1>", "<e2>…</e2> is missing"),
        ("<e1>Ada</e1> met <e1>Eve</e1> and <e2>Bob</e2>", "<e1> is marked more than once"),
        ("<e1>Ada</e1> met <e2>Bob</e2> or <e2>Eve</e2>", "<e2> is marked more than once"),
        ("<e1></e1> met <e2>Bob</e2>", "<e1> marks nothing"),
        ("<e1>Ada</e1> met <e2> \t</e2>", "<e2> marks nothing"),
        ("<e1>Ada</e1> met <e2>Bob</e2> <e1>", "a mark is left over"),
        ("<e1>Ada <e2>Low</e2></e1> met <e2>Bob</e2>", "a mark is left over"),
    ],
)
def test_wrong_marks_are_one_message_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    lines = [{"text": "<e1>Ada</e1> met <e2>Bob</e2>", "label": "x"}, {"text": text, "label": "y"}]
    with pytest.raises(UserError) as caught:
        read_files(TASK, tmp_path, {"train.jsonl": "\n".join(map(json.dumps, lines))})
    assert f"train.jsonl:2: {message}" in str(caught.value)


# --- reading ------------------------------------------------------------------------------------------------------

SEMEVAL = (
    '1\t"<e1>Ada</e1> met <e2>Bob</e2>."\nMeets(e1,e2)\nComment: none\n\n2\t"<e2>Eve</e2> is <e1>it</e1>."\nOther\n'
)
LAYOUTS = {
    "train.txt": SEMEVAL,
    "train.tsv": "<e1>Ada</e1> met <e2>Bob</e2>.\tMeets(e1,e2)\n<e2>Eve</e2> is <e1>it</e1>.\tOther\n",
    "train.csv": "sentence,relation\n"
    '<e1>Ada</e1> met <e2>Bob</e2>.,"Meets(e1,e2)"\n<e2>Eve</e2> is <e1>it</e1>.,Other\n',
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    examples = read_files(TASK, tmp_path, {name: LAYOUTS[name]})
    assert list(examples.splits["train"]) == [
        {"text": "Ada met Bob.", "e1": [0, 3], "e2": [8, 11], "label": "Meets(e1,e2)"},
        {"text": "Eve is it.", "e1": [7, 9], "e2": [0, 3], "label": "Other"},
    ]
    assert examples.labels == ["Meets(e1,e2)", "Other"]


def test_an_unknown_relation_is_noted_and_weighs_nothing(tmp_path: Path) -> None:
    text = "<e1>Ada</e1> met <e2>Bob</e2>\t{}\n"
    files = {"train.tsv": text.format("A") + text.format("Other"), "validation.tsv": text.format("New") * 2}
    examples = read_files(TASK, tmp_path, files)
    assert examples.labels == ["A", "Other"]
    assert [note for note in examples.notes if "New (2)" in note and "validation.tsv" in note]
    frame = frame_of(TOKENIZER, examples.labels)
    features = TASK.encode([*examples.splits["validation"], *examples.splits["train"]], frame)
    losses, weights = TASK.loss(torch.ones(4, 2), TASK.collate(features, frame), smooth=True)
    assert losses.tolist() == pytest.approx([0, 0, 0.6931472, 0.6931472])
    assert weights.tolist() == [0, 0, 1, 1] == [TASK.weight(feature) for feature in features]
    scores = TASK.score(examples.splits["validation"], [{"label": "A"}, {"label": "Other"}], 0.0)
    assert scores.metrics["f1"] == scores.metrics["accuracy"] == 0.0


def test_that_no_row_is_of_no_relation_is_noted(tmp_path: Path) -> None:
    text = "<e1>Ada</e1> met <e2>Bob</e2>\tA\n<e1>Ada</e1> met <e2>Bob</e2>\tB\n"
    assert "no training row has the label 'Other'" in read_files(TASK, tmp_path, {"train.tsv": text}).notes[-1]
    silent = read_files(task_of("relation_extraction", negative_label=None), tmp_path, {"train.tsv": text})
    assert not any("negative_label" in note for note in silent.notes)


def test_a_relation_without_a_name_is_an_error_with_its_place(tmp_path: Path) -> None:
    text = "<e1>Ada</e1> met <e2>Bob</e2>\tA\n<e1>Ada</e1> met <e2>Bob</e2>\t\n"
    with pytest.raises(UserError, match=r"train\.tsv:2: the label is empty"):
        read_files(TASK, tmp_path, {"train.tsv": text})


def test_balanced_weights_go_into_the_loss(tmp_path: Path) -> None:
    text = "<e1>Ada</e1> met <e2>Bob</e2>\t{}\n"
    task = task_of("relation_extraction", class_weights="balanced")
    examples = read_files(task, tmp_path, {"train.tsv": text.format("A") * 3 + text.format("Other")})
    frame = frame_of(TOKENIZER, examples.labels)
    features = task.encode(examples.splits["train"], frame)
    assert [task.weight(feature) for feature in features] == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    losses, weights = task.loss(torch.zeros(4, 2), task.collate(features, frame), smooth=True)
    assert losses.tolist() == pytest.approx([0.6931472 * weight for weight in weights.tolist()])


# --- encoding -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<e1>Ada</e1> met <e2>Bob</e2> .", "@ Ada @ met # Bob # ."),
        ("<e2>Bob</e2> met <e1>Ada</e1> .", "# Bob # met @ Ada @ ."),
        ("<e1>Ada</e1> <e2>Bob</e2>", "@ Ada @ # Bob #"),
        ("<e1>Ada</e1><e2>Bob</e2>", "@ Ada @ # Bob #"),
        ("so <e2> Bob </e2><e1>Ada</e1>!", "so # Bob # @ Ada @ !"),
        ("@ # <e1>Ada</e1> @ <e2>Bob</e2> #", "@ # @ Ada @ @ # Bob # #"),
    ],
)
def test_the_positions_are_those_of_the_markers(text: str, expected: str) -> None:
    (feature,) = encode(row(text))
    bare = TOKENIZER(expected, add_special_tokens=False)["input_ids"]
    assert feature.input_ids == [TOKENIZER.cls_token_id, *bare, TOKENIZER.sep_token_id]
    assert [feature.input_ids[position] for position in feature.extra["positions"]] == [FIRST, SECOND]
    after = [feature.input_ids[position + 1] for position in feature.extra["positions"]]
    assert after == [TOKENIZER(name, add_special_tokens=False)["input_ids"][0] for name in ("Ada", "Bob")]


def test_a_byte_level_tokenizer_has_its_markers_found_too() -> None:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(["Ada @ met @ Bob # in # Bonn @ #"] * 5, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", unk_token="<unk>")
    (feature,) = TASK.encode([row("In <e2>Bonn</e2> Ada met <e1>Bob</e1> @")], frame_of(tokenizer, LABELS))
    assert tokenizer.decode(feature.input_ids) == "In # Bonn # Ada met @ Bob @ @"
    assert [tokenizer.decode(feature.input_ids[position]).strip() for position in feature.extra["positions"]] == [
        "@",
        "#",
    ]


WORDS = st.lists(st.sampled_from(["a", "in", "Klosen", "met", ",", "@", "#"]), max_size=40).map(" ".join)


@given(before=WORDS, between=WORDS, after=WORDS, swap=st.booleans(), max_length=st.integers(8, 24))
def test_a_cropped_sentence_keeps_both_markers_or_is_refused(
    before: str, between: str, after: str, swap: bool, max_length: int
) -> None:
    one, two = ("e2", "e1") if swap else ("e1", "e2")
    text = f"{before} <{one}>a</{one}> {between} <{two}>b</{two}> {after}"
    (whole,) = encode(row(text), max_length=500)
    # Two markers around the first entity, the entity itself, what is between, the marker and what it marks.
    least = len(TOKENIZER(between, add_special_tokens=False)["input_ids"]) + 5
    if least > max_length - 2:
        with pytest.raises(UserError, match="sub-words apart, more than fit"):
            encode(row(text), max_length=max_length)
        return
    (feature,) = encode(row(text), max_length=max_length)
    assert len(feature) == min(max_length, len(whole))
    assert feature.cut == len(whole) - len(feature)
    assert feature.input_ids[0] == TOKENIZER.cls_token_id
    assert feature.input_ids[-1] == TOKENIZER.sep_token_id
    shift = whole.extra["positions"][0] - feature.extra["positions"][0]
    assert [position - shift for position in whole.extra["positions"]] == feature.extra["positions"]
    assert feature.input_ids[1:-1] == whole.input_ids[1 + shift : len(feature) - 1 + shift]
    for position, marker in zip(feature.extra["positions"], (FIRST, SECOND), strict=True):
        assert 0 < position < len(feature) - 1
        assert feature.input_ids[position] == marker


def test_a_crop_has_the_entities_in_its_middle() -> None:
    (feature,) = encode(row("x " * 30 + "<e1>a</e1> <e2>b</e2>" + " y" * 30), max_length=16)
    assert words(feature) == "x x x x x @ a @ # b # y y y"
    (first,) = encode(row("<e1>a</e1> <e2>b</e2>" + " y" * 30), max_length=16)
    assert words(first).startswith("@ a @ # b #")
    (last,) = encode(row("x " * 30 + "<e1>a</e1> <e2>b</e2>"), max_length=16)
    assert words(last).endswith("@ a @ # b #")


def test_entities_too_far_apart_are_an_error_that_says_what_to_do() -> None:
    with pytest.raises(UserError) as caught:
        encode(row("<e1>a</e1> " + "b " * 40 + "<e2>c</e2>"))
    assert str(caught.value).startswith("data.max_length: the two entities are 43 sub-words apart")
    assert "set a larger one" in str(caught.value)


@pytest.mark.parametrize("marker", ["[E1]", "中", "@@", "Klosenfeis"])
def test_a_marker_that_is_no_token_of_the_vocabulary_is_refused(marker: str) -> None:
    task = task_of("relation_extraction", markers=["@", "@", marker, "#"])
    with pytest.raises(UserError) as caught:
        task.encode([row("<e1>Ada</e1> met <e2>Bob</e2>")], frame_of(TOKENIZER, LABELS))
    assert f"task.markers: '{marker}' is not one token" in str(caught.value)


def test_there_must_be_four_markers() -> None:
    cfg = {"objective": {"metric": "f1"}, "data": {}}
    assert list(TASK.problems(cfg)) == []
    assert list(task_of("relation_extraction", markers=["@", "#"]).problems(cfg)) == [
        ("task.markers", "should be four, before and behind each entity, not 2")
    ]


def test_no_rows_give_no_features() -> None:
    assert encode() == []


# --- model --------------------------------------------------------------------------------------------------------


def model_of(labels: list[str]) -> Any:
    config = AutoConfig.from_pretrained(tiny_files(), **TASK.head(labels))
    torch.manual_seed(0)
    return AutoModelForTokenClassification.from_config(config).eval()


def test_the_head_has_two_outputs_for_each_label() -> None:
    assert TASK.head(["A", "Other"])["id2label"] == {0: "A@e1", 1: "Other@e1", 2: "A@e2", 3: "Other@e2"}
    assert model_of(LABELS).classifier.out_features == 2 * len(LABELS)


ROWS = [
    row("<e1>Klosen</e1> met <e2>Feis</e2> in Brunburg , where it rained .", "Meets(e1,e2)"),
    row("<e2>Klosen</e2> <e1>Feis</e1>", "Meets(e2,e1)"),
    row("In Brunburg <e2>Klosen</e2> was met by <e1>Feis</e1> .", "Other"),
    row("<e1>Klosen</e1> <e2>Feis</e2>", "Unknown"),
]


@torch.no_grad()
def test_the_logits_are_the_sum_of_both_halves_at_the_markers() -> None:
    frame, model = frame_of(TOKENIZER, LABELS), model_of(LABELS)
    batch = TASK.collate(TASK.encode(ROWS, frame), frame)
    every = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    logits = TASK.forward(model, batch)
    assert logits.shape == (len(ROWS), len(LABELS))
    for index in range(len(ROWS)):
        first, second = batch["positions"][index].tolist()
        expected = every[index, first, : len(LABELS)] + every[index, second, len(LABELS) :]
        assert torch.allclose(logits[index], expected, atol=1e-6)


@torch.no_grad()
def test_a_row_alone_is_what_it_is_in_a_batch() -> None:
    frame, model = frame_of(TOKENIZER, LABELS), model_of(LABELS)
    features = TASK.encode(ROWS, frame)

    def told(chosen: list[Feature]) -> tuple[list[float], list[float], list[Any]]:
        batch = TASK.collate(chosen, frame)
        logits = TASK.forward(model, batch)
        losses, weights = TASK.loss(logits, batch, smooth=False)
        return losses.tolist(), weights.tolist(), TASK.predict(model, logits, batch, frame)

    losses, weights, raw = told(features)
    alone = [told([feature]) for feature in features]
    assert losses == pytest.approx([each[0][0] for each in alone], abs=1e-5)
    assert weights == [each[1][0] for each in alone] == [1, 1, 1, 0]
    assert [label for label, _ in raw] == [each[2][0][0] for each in alone]
    assert [score for _, score in raw] == pytest.approx([each[2][0][1] for each in alone], abs=1e-5)


def test_the_likeliest_relation_is_told_with_its_probability() -> None:
    frame = frame_of(TOKENIZER, LABELS)
    raw = TASK.predict(None, torch.tensor([[0.0, 50.0, 0.0], [0.0, 0.0, 0.0]]), {}, frame)
    first, second = TASK.decode(ROWS[:2], [], raw, frame)
    assert first == {"label": "Meets(e2,e1)", "score": 1.0}
    assert second["score"] == pytest.approx(1 / 3, abs=1e-4)
    assert TASK.readable(ROWS[1], first) == {"text": "Klosen Feis", "e1": "Feis", "e2": "Klosen", **first}
    assert TASK.lines(ROWS[1], first) == "Feis\tKlosen\tMeets(e2,e1)"


def test_smoothing_is_for_training_alone() -> None:
    task, frame = task_of("relation_extraction", label_smoothing=0.2), frame_of(TOKENIZER, LABELS)
    batch = task.collate(task.encode(ROWS[:1], frame), frame)
    logits = torch.tensor([[3.0, -3.0, 0.0]])
    smooth, plain = (float(task.loss(logits, batch, smooth=on)[0]) for on in (True, False))
    assert plain == pytest.approx(float(TASK.loss(logits, batch, smooth=True)[0]))
    assert smooth == pytest.approx(0.8 * plain - 0.2 * float(logits.log_softmax(-1).mean()))


def test_text_to_predict_needs_its_marks() -> None:
    assert TASK.row_from_text("<e1>Ada</e1> met <e2>Bob</e2>", "in:1") == marked("<e1>Ada</e1> met <e2>Bob</e2>", "")
    with pytest.raises(UserError, match=r"in:1: <e1>…</e1> is missing"):
        TASK.row_from_text("Ada met Bob", "in:1")
