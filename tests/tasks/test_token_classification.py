"""Token classification from rows to scores: no word is lost, none is scored twice, whatever the tokenizer does."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForTokenClassification, AutoTokenizer, PreTrainedTokenizerFast

import finesweep.models
from finesweep.config.instantiate import build
from finesweep.tasks.base import Feature, Row
from finesweep.tasks.tensors import special_ids
from finesweep.tasks.token_classification import TokenClassification
from tests.tasks.making import frame_of, task_of

LABELS = ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]
MODEL_TYPES = ["bert", "roberta", "deberta-v2", "distilbert", "modernbert", "electra"]


def task(**changes: Any) -> TokenClassification:
    return task_of("token_classification", **{"window_overlap": 4, **changes})


# --- encoding ---------------------------------------------------------------------------------------------------


def padding(number: int) -> Any:
    """A frame whose tokenizer is known by its padding token alone."""
    return frame_of(SimpleNamespace(pad_token_id=number))


def _byte_level() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = decoders.ByteLevel()
    return made


def _sentence_piece() -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\u200b", "")])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    return made


def _trained(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer of an algorithm, with special tokens on both sides, behind the text, or nowhere."""
    special = ["<pad>", "<unk>", "<s>", "</s>"]
    text = ["Shares in Bonn rose 5 percent , the EU said on Monday ."] * 3
    common: dict[str, Any] = {"special_tokens": special, "show_progress": False}
    if kind == "unigram":
        made = _sentence_piece()
        made.train_from_iterator(text, trainers.UnigramTrainer(vocab_size=60, unk_token="<unk>", **common))
        made.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 3)])
    else:
        made = _byte_level()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        made.train_from_iterator(text, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, **common))
        if kind == "bpe":
            made.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)])
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", unk_token="<unk>")


TOKENIZERS = {
    "wordpiece": lambda: AutoTokenizer.from_pretrained(Path(finesweep.models.__file__).parent / "tiny_files"),
    "bpe": lambda: _trained("bpe"),
    "bpe without special tokens": lambda: _trained("bare"),
    "unigram": lambda: _trained("unigram"),
}
_made: dict[str, Any] = {}


def tokenizer_of(kind: str) -> Any:
    if kind not in _made:
        _made[kind] = TOKENIZERS[kind]()
    return _made[kind]


#: Words that tokenizers have their ways with: empty, invisible, control characters, long, special tokens, blanks.
WORD = st.one_of(
    st.sampled_from(
        ["", "\u200b", "\x07", "\u00a0", "Bonn", "EU", "New York", "[SEP]", "</s>", "don't", "5", "x" * 90]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)
#: Some stand in a document, between other words.
AROUND = st.lists(WORD, max_size=12)
SOME_ROWS = st.lists(
    st.tuples(st.lists(st.tuples(WORD, st.sampled_from(LABELS)), max_size=30), AROUND, AROUND).map(
        lambda row: {
            "tokens": [word for word, _ in row[0]],
            "tags": [tag for _, tag in row[0]],
            "_left": row[1],
            "_right": row[2],
        }
    ),
    max_size=3,
)


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(rows=SOME_ROWS, max_length=st.integers(8, 40), overlap=st.integers(0, 40))
def test_every_word_is_scored_once_in_an_input_that_fits(
    kind: str, rows: list[Row], max_length: int, overlap: int
) -> None:
    tokenizer = tokenizer_of(kind)
    before, after = special_ids(tokenizer)
    features = task(window_overlap=overlap).encode(rows, frame_of(tokenizer, LABELS, max_length))
    owners: dict[tuple[int, int], int] = {}
    for feature in features:
        assert len(feature) <= max_length
        assert feature.input_ids[: len(before)] == before
        assert feature.input_ids[len(feature) - len(after) :] == after
        for word, position, label in zip(*(feature.extra[k] for k in ("words", "positions", "labels")), strict=True):
            key = (feature.row, word)
            owners[key] = owners.get(key, 0) + 1
            first = _ids(tokenizer, rows[feature.row]["tokens"], word)[0]
            assert feature.input_ids[position] == first
            assert LABELS[label] == rows[feature.row]["tags"][word]
    assert {feature.row for feature in features} == set(range(len(rows)))
    known = {
        (r, w) for r, row in enumerate(rows) for w in range(len(row["tokens"])) if _ids(tokenizer, row["tokens"], w)
    }
    assert owners == dict.fromkeys(known, 1)


def _ids(tokenizer: Any, tokens: list[str], word: int) -> list[int]:
    """The sub-words of a word where it stands."""
    (encoding,) = tokenizer([tokens], is_split_into_words=True, add_special_tokens=False).encodings
    return [i for i, w in zip(encoding.ids, encoding.word_ids, strict=True) if w == word]


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(rows=SOME_ROWS, max_length=st.integers(8, 24))
def test_right_predictions_of_all_features_are_right_predictions_of_all_rows(
    kind: str, rows: list[Row], max_length: int
) -> None:
    """But for words that the tokenizer has no sub-word for: those are O by rule."""
    tokenizer = tokenizer_of(kind)
    features = task().encode(rows, frame_of(tokenizer, LABELS, max_length))
    raw = [(f.extra["labels"] + [0], [0.5] * len(f.extra["labels"]) + [0.1]) for f in features]  # with padding
    predictions = task().decode(rows, features, raw, frame_of(None, LABELS))
    assert len(predictions) == len(rows)
    for row, prediction in zip(rows, predictions, strict=True):
        has_ids = [bool(_ids(tokenizer, row["tokens"], word)) for word in range(len(row["tokens"]))]
        assert prediction["tags"] == [tag if has else "O" for tag, has in zip(row["tags"], has_ids, strict=True)]
        assert prediction["scores"] == [0.5 if has else 1.0 for has in has_ids]


@pytest.mark.parametrize("token", ["\u200b", "\x00", "\u200e", ""])
def test_a_word_without_a_sub_word_is_o_and_scored_like_any_other(token: str) -> None:
    rows: list[Row] = [{"tokens": ["Bonn", token, "EU"], "tags": ["B-LOC", "I-LOC", "B-ORG"]}]
    (feature,) = task().encode(rows, frame_of(tokenizer_of("wordpiece"), LABELS, 32))
    assert feature.extra["words"] == [0, 2]
    assert task().weight(feature) == 2
    predictions = task().decode(rows, [feature], [([1, 3], [0.9, 0.9])], frame_of(None, LABELS))
    assert predictions == [{"tags": ["B-LOC", "O", "B-ORG"], "scores": [0.9, 1.0, 0.9]}]
    assert task().score(rows, predictions, 0.0).metrics["token_accuracy"] == pytest.approx(2 / 3)
    assert task().score(rows, predictions, 0.0).metrics["f1"] == pytest.approx(1 / 2)


def test_a_long_sentence_is_answered_from_the_middle_of_its_windows() -> None:
    rows: list[Row] = [{"tokens": ["a"] * 20, "tags": ["O"] * 20}]
    features = task(window_overlap=4).encode(rows, frame_of(tokenizer_of("wordpiece"), LABELS, 12))
    assert [feature.extra["words"] for feature in features] == [[*range(8)], [*range(8, 14)], [*range(14, 20)]]
    assert [feature.extra["positions"][0] for feature in features] == [1, 3, 3]


def test_no_rows_give_no_features_and_no_predictions() -> None:
    assert task().encode([], frame_of(tokenizer_of("wordpiece"), LABELS, 32)) == []
    assert task().decode([], [], [], frame_of(None, LABELS)) == []


def test_rows_without_tags_are_encoded_for_prediction() -> None:
    (feature,) = task().encode([{"tokens": ["a", "b"]}], frame_of(tokenizer_of("wordpiece"), LABELS, 32))
    assert feature.extra["labels"] == [-100, -100]
    assert task().weight(feature) == 0


def test_a_tag_that_training_has_not_seen_has_no_label() -> None:
    rows: list[Row] = [{"tokens": ["a", "b"], "tags": ["B-LOC", "B-NEW"]}]
    (feature,) = task().encode(rows, frame_of(tokenizer_of("wordpiece"), LABELS, 32))
    assert feature.extra["labels"] == [1, -100]
    assert task().weight(feature) == 1


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_special_ids_are_those_around_a_text(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    before, after = special_ids(tokenizer)
    plain = tokenizer("Bonn EU", add_special_tokens=False)["input_ids"]
    assert [*before, *plain, *after] == tokenizer("Bonn EU")["input_ids"]
    expected = {"wordpiece": (1, 1), "bpe": (1, 1), "bpe without special tokens": (0, 0), "unigram": (0, 1)}
    assert (len(before), len(after)) == expected[kind]


# --- batches, loss and prediction -------------------------------------------------------------------------------


def feature(ids: list[int], positions: list[int], labels: list[int], row: int = 0) -> Feature:
    return Feature(row, ids, {"words": list(range(len(positions))), "positions": positions, "labels": labels})


FEATURES = [feature([2, 7, 8, 3], [1, 2], [1, -100]), feature([2, 9, 3], [1], [0], 1), feature([2, 3], [], [], 2)]


def test_a_batch_is_padded_with_what_means_nothing() -> None:
    batch = task().collate(FEATURES, padding(5))
    assert batch["input_ids"].tolist() == [[2, 7, 8, 3], [2, 9, 3, 5], [2, 3, 5, 5]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]]
    assert batch["positions"].tolist() == [[1, 2], [1, 0], [0, 0]]
    assert batch["labels"].tolist() == [[1, -100], [0, -100], [-100, -100]]


def test_the_loss_of_a_row_is_summed_over_its_scored_words() -> None:
    logits = torch.randn(3, 4, len(LABELS), generator=torch.Generator().manual_seed(0))
    losses, weights = task().loss(logits, task().collate(FEATURES, padding(0)), smooth=True)
    by_hand = -logits.log_softmax(-1)
    assert losses.tolist() == pytest.approx([by_hand[0, 1, 1].item(), by_hand[1, 1, 0].item(), 0.0])
    assert weights.tolist() == [1, 1, 0] == [task().weight(feature) for feature in FEATURES]


@given(st.integers(0, 100), st.integers(1, 4))
def test_the_loss_of_a_row_does_not_depend_on_its_batch(seed: int, more: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, max(3, more + 2), len(LABELS), generator=generator)
    short, long = feature([2, 7, 3], [1], [4]), feature([2, *[7] * more, 3], list(range(1, more + 1)), [2] * more)
    together, weights = task().loss(logits, task().collate([short, long], padding(0)), smooth=True)
    first, _ = task().loss(logits[:1, :3], task().collate([short], padding(0)), smooth=True)
    second, _ = task().loss(logits[1:], task().collate([long], padding(0)), smooth=True)
    assert together.tolist() == pytest.approx([first.item(), second.item()], rel=1e-5)
    assert weights.tolist() == [1, more]


def test_labels_are_smoothed_in_training_alone() -> None:
    logits = torch.randn(3, 4, len(LABELS), generator=torch.Generator().manual_seed(0))
    batch = task().collate(FEATURES, padding(0))
    smooth = task(label_smoothing=0.1)
    plain, _ = task().loss(logits, batch, smooth=True)
    assert smooth.loss(logits, batch, smooth=False)[0].tolist() == plain.tolist()
    smoothed = smooth.loss(logits, batch, smooth=True)[0]
    spread = -logits.log_softmax(-1).mean(-1)
    expected = [0.9 * plain[0] + 0.1 * spread[0, 1], 0.9 * plain[1] + 0.1 * spread[1, 1], 0.0]
    assert smoothed.tolist() == pytest.approx([float(value) for value in expected])


@pytest.mark.parametrize("value", [-0.1, 1.0, "0.1"])
def test_a_smoothing_out_of_range_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="label_smoothing"):
        task(label_smoothing=value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_likeliest_tag_is_predicted_with_its_probability(dtype: torch.dtype) -> None:
    logits = torch.full((3, 4, len(LABELS)), -50.0, dtype=dtype)
    logits[0, 1, 4] = logits[0, 2, 3] = logits[1, 1, 2] = 50.0
    raw = task().predict(None, logits, task().collate(FEATURES, padding(0)), padding(0))
    rows: list[Row] = [{"tokens": ["a", "b"]}, {"tokens": ["c"]}, {"tokens": []}]
    assert task().decode(rows, FEATURES, raw, frame_of(None, LABELS)) == [
        {"tags": ["I-ORG", "B-ORG"], "scores": [1.0, 1.0]},
        {"tags": ["I-LOC"], "scores": [1.0]},
        {"tags": [], "scores": []},
    ]


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_an_encoder_of_every_shape_takes_the_batches(encoder_folder: Callable[[str], Path], model_type: str) -> None:
    """Long rows, short ones, and one without a token; what a batch pads changes no prediction."""
    folder = encoder_folder(model_type)
    tokenizer = AutoTokenizer.from_pretrained(folder, add_prefix_space=True)
    torch.manual_seed(0)  # draws the head
    model = AutoModelForTokenClassification.from_pretrained(folder, num_labels=len(LABELS)).eval()
    rows: list[Row] = [
        {"tokens": ["Bonn", "and", "Rome"] * 9, "tags": ["B-LOC", "O", "B-LOC"] * 9},
        {"tokens": [], "tags": []},
        {"tokens": ["EU"], "tags": ["B-ORG"]},
    ]
    features = task().encode(rows, frame_of(tokenizer, LABELS, 20))
    assert len(features) > len(rows)

    def predict(chosen: Sequence[Feature]) -> tuple[torch.Tensor, list[Any]]:
        batch = task().collate(chosen, frame_of(tokenizer))
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        return torch.stack(task().loss(logits, batch, smooth=False)), task().predict(
            None, logits.detach(), batch, frame_of(tokenizer)
        )

    losses, together = predict(features)
    losses[0].sum().backward()
    assert losses[1].sum() == sum(len(row["tokens"]) for row in rows)
    apart = [predict([one]) for one in features]
    assert losses[0].tolist() == pytest.approx([one[0].item() for one, _ in apart], rel=1e-4, abs=1e-5)
    raw = [prediction for _, predictions in apart for prediction in predictions]
    decoded = [task().decode(rows, features, predicted, frame_of(None, LABELS)) for predicted in (together, raw)]
    assert [row["tags"] for row in decoded[0]] == [row["tags"] for row in decoded[1]]
    assert [len(row["tags"]) for row in decoded[0]] == [27, 0, 1]


def test_the_configuration_builds_the_task(composed: Callable[..., Any]) -> None:
    built = build(composed("task.label_smoothing=0.1")["task"], [])
    assert isinstance(built, TokenClassification)
    assert (built.label_smoothing, built.window_overlap) == (0.1, 32)
    assert set(built.metric_names) == {"loss", *task().score([{"tags": ["O"]}], [{"tags": ["O"]}], 0.0).metrics}
