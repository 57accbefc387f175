"""Masked and causal language modelling: no sub-word of a text is lost, and what is hidden is known beforehand."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer, PreTrainedTokenizerFast

from finesweep.config.errors import UserError
from finesweep.data.cache import tokenised
from finesweep.tasks.base import Feature, Frame, Row
from finesweep.tasks.plain_text import Chunks
from finesweep.tasks.tensors import IGNORED
from tests.conftest import tiny_files
from tests.tasks.making import frame_of, read_files, source_of, tables_of, task_of

CAUSAL_FILES = tiny_files().parent / "tiny_causal_files"
ENCODER, DECODER = (AutoTokenizer.from_pretrained(folder) for folder in (tiny_files(), CAUSAL_FILES))
TEXTS = ["Klosen met Feis in Brunburg .", "It rained .", "Feis was glad , and so was Klosen , too ."]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """``make("masked_lm", mask_fraction=0.5)``: a task with a cache of its own."""
    cache = tmp_path_factory.mktemp("cache")
    return lambda name, **changes: task_of(name, **{"cache_dir": str(cache), **changes})


def masked(max_length: int = 16) -> Frame:
    return frame_of(ENCODER, max_length=max_length)


def causal(max_length: int = 16) -> Frame:
    return frame_of(DECODER, max_length=max_length, kind="decoder")


def rows_of(*texts: str) -> list[Row]:
    return [{"text": text} for text in texts]


def ids_of(text: str) -> list[int]:
    """Sub-words without special ones; both embedded tokenizers have the same."""
    return list(ENCODER(text, add_special_tokens=False)["input_ids"])


# --- reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.txt", "one\ttwo , three\n\n  \nfour\n"),
        ("train.jsonl", '{"text": "one\\ttwo , three"}\n{"text": "four"}\n'),
        ("train.csv", 'content,other\n"one\ttwo , three",x\nfour,y\n'),
    ],
)
def test_every_layout_gives_the_same_rows(make: Callable[..., Any], tmp_path: Path, name: str, content: str) -> None:
    examples = read_files(make("masked_lm"), tmp_path, {name: content})
    assert list(examples.splits["train"]) == rows_of("one\ttwo , three", "four")
    assert examples.labels == []
    assert any("2 empty lines passed over" in note for note in examples.notes) == name.endswith(".txt")


def test_text_of_another_encoding_is_one_message_with_its_place(make: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"one\ntwo \xe9\n")
    task = make("masked_lm")
    with pytest.raises(UserError, match=r"latin\.txt:2: the file is not utf-8: byte 0xe9"):
        tables_of(task, source_of(task, train=str(tmp_path / "latin.txt")))


# --- chunks -------------------------------------------------------------------------------------------------------


SPECIAL = st.lists(st.integers(1, 3), max_size=2)


@given(st.integers(2, 300), st.integers(2, 40), SPECIAL, SPECIAL)
def test_chunks_cover_all_sub_words_exactly_once(count: int, size: int, before: list[int], after: list[int]) -> None:
    """But for one alone at the end, which nothing could be predicted from."""
    ids = np.arange(10, 10 + count)
    chunks = list(Chunks(ids, size, before, after, [11]))
    bodies = [chunk.input_ids[len(before) : len(chunk) - len(after)] for chunk in chunks]
    covered = [number for body in bodies for number in body]
    assert covered == ids[: count - (count % size == 1)].tolist()
    assert all(len(body) == size for body in bodies[:-1])
    assert 2 <= len(bodies[-1]) <= size
    for index, (chunk, body) in enumerate(zip(chunks, bodies, strict=True)):
        assert chunk.row == index
        assert chunk.input_ids == [*before, *body, *after]
        words = [int(each != 11) for each in body]
        assert chunk.extra["text"] == [*[0] * len(before), *words, *[0] * len(after)]


def test_chunks_end_where_they_end() -> None:
    chunks = Chunks(np.arange(10), 4, [], [], [])
    assert len(chunks) == 3
    assert chunks[-1].input_ids == chunks[2].input_ids == [8, 9]
    for index in (3, -4):
        with pytest.raises(IndexError):
            chunks[index]


LINES = st.lists(st.sampled_from([*TEXTS, "a", "x" * 30, "中文 é", "1912"]), min_size=1, max_size=8)


@pytest.mark.parametrize("name", ["masked_lm", "causal_lm"])
@given(texts=LINES, max_length=st.integers(8, 20))
def test_lines_are_texts_that_end_with_the_end_token(
    make: Callable[..., Any], name: str, texts: list[str], max_length: int
) -> None:
    frame = masked(max_length) if name == "masked_lm" else causal(max_length)
    around = (1, 1) if name == "masked_lm" else (0, 0)
    features = list(make(name).encode(rows_of(*texts), frame))
    assert all(len(feature) <= max_length for feature in features)
    stream = [each for text in texts for each in [*ids_of(text), ENCODER.sep_token_id]]
    found = [each for feature in features for each in feature.input_ids[around[0] : len(feature) - around[1]]]
    assert found == stream[: len(found)]
    assert len(stream) - len(found) == (len(stream) % (max_length - sum(around)) == 1)
    if name == "masked_lm":
        assert {(feature.input_ids[0], feature.input_ids[-1]) for feature in features} == {(2, 3)}


def test_a_file_is_one_running_text(make: Callable[..., Any]) -> None:
    features = make("causal_lm", document="file").encode(rows_of(*TEXTS), causal(max_length=17))
    assert [each for feature in features for each in feature.input_ids] == ids_of(" ".join(TEXTS))


def test_a_running_text_keeps_its_line_breaks(make: Callable[..., Any]) -> None:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False))
    frame = frame_of(PreTrainedTokenizerFast(tokenizer_object=made), max_length=500, kind="decoder")
    (feature,) = make("causal_lm", document="file").encode(rows_of("def f():", "    return 1"), frame)
    assert frame.tokenizer.decode(feature.input_ids) == "def f():\n    return 1\n"
    with pytest.raises(UserError, match="tokenizer has neither an end token nor a separator"):
        make("causal_lm").encode(rows_of("def f():"), frame)


def test_a_text_of_less_than_two_sub_words_is_refused(make: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="data: the text has fewer than two sub-words"):
        make("causal_lm", document="file").encode(rows_of("a"), causal())


# --- cache --------------------------------------------------------------------------------------------------------


def test_text_is_tokenised_once_and_then_read_from_the_cache(tmp_path: Path) -> None:
    task = task_of("causal_lm", cache_dir=str(tmp_path / "new" / "cache"))
    first = list(task.encode(rows_of(*TEXTS), causal()))
    (file,) = (tmp_path / "new" / "cache").iterdir()
    # Marked, so that what is read from it can be told from what would be made anew.
    ids = np.fromfile(file, dtype=np.uint16)
    assert len(ids) == sum(map(len, first))
    ids[0] = 7
    ids.tofile(file)
    assert task.encode(rows_of(*TEXTS), causal())[0].input_ids == [7, *first[0].input_ids[1:]]
    assert task.encode(rows_of(*TEXTS), causal(max_length=9))[0].input_ids == [7, *first[0].input_ids[1:9]]
    assert list((tmp_path / "new" / "cache").iterdir()) == [file]


def test_another_text_document_or_tokenizer_has_a_file_of_its_own(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"cache_dir": str(tmp_path)}
    files = []
    for document, texts, tokenizer in [
        ("line", TEXTS, DECODER), ("line", TEXTS[:2], DECODER), ("file", TEXTS, DECODER), ("line", TEXTS, ENCODER),
    ]:  # fmt: skip
        task_of("causal_lm", document=document, **settings).encode(rows_of(*texts), frame_of(tokenizer))
        files.append(len(list(tmp_path.iterdir())))
    assert files == [1, 2, 3, 4]


def test_what_cannot_be_tokenised_leaves_nothing_behind(tmp_path: Path) -> None:
    def tokenise(texts: list[str]) -> list[list[int]]:
        if "bad" in texts:
            raise ValueError("bad")
        return [[len(text)] for text in texts]

    with pytest.raises(ValueError, match="bad"):
        tokenised(tmp_path, {"text": 1}, iter([["a"], ["bad"]]), 100, tokenise)
    assert list(tmp_path.iterdir()) == []
    assert tokenised(tmp_path, {"text": 1}, iter([["a"], ["good"]]), 100, tokenise).tolist() == [1, 4]
    assert tokenised(tmp_path, {"text": 1}, iter([["other"]]), 100, tokenise).tolist() == [1, 4]
    assert tokenised(tmp_path, {"text": 2}, iter([]), 100, tokenise).tolist() == []


def test_a_file_that_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    def again() -> list[int]:
        return list(tokenised(tmp_path, {"text": 1}, iter([["a", "bc"]]), 100, lambda texts: [[len(t)] for t in texts]))

    assert again() == [1, 2]
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-2])
    assert again() == [1, 2]


def test_a_large_vocabulary_keeps_its_numbers(tmp_path: Path) -> None:
    for vocabulary in (2**16, 2**16 + 1, 300_000):
        ids = tokenised(
            tmp_path, {"of": vocabulary}, iter([["x"]]), vocabulary, lambda _, top=vocabulary: [[0, top - 1]]
        )
        assert ids.tolist() == [0, vocabulary - 1]


# --- masking ------------------------------------------------------------------------------------------------------


def parts(count: int, task: Any, max_length: int = 16) -> list[Feature]:
    """Features of a text with that many sub-words, the end token among them."""
    return list(
        task.encode(
            rows_of(" ".join("abcdefghijklmnopqrstuvwxyz"[i % 26] for i in range(count - 1))), masked(max_length)
        )
    )


@given(count=st.integers(3, 60), fraction=st.floats(0.01, 0.99), training=st.booleans(), max_length=st.integers(8, 20))
def test_exactly_as_many_sub_words_are_hidden_as_the_weight_says(
    make: Callable[..., Any], count: int, fraction: float, training: bool, max_length: int
) -> None:
    task = make("masked_lm", mask_fraction=fraction)
    features = parts(count, task, max_length)
    batch = task.corrupt(task.collate(features, masked()), training=training)
    hidden = batch["labels"] != IGNORED
    losses, weights = task.loss(torch.zeros(*batch["labels"].shape, len(ENCODER)), batch, smooth=training)
    assert hidden.sum(1).tolist() == weights.tolist() == [task.weight(feature) for feature in features]
    for index, feature in enumerate(features):
        words = [i for i, each in enumerate(feature.input_ids) if each not in (2, 3)]
        assert task.weight(feature) == (max(1, round(fraction * len(words))) if words else 0)
        assert set(hidden[index].nonzero()[:, 0].tolist()) <= set(words)  # of special tokens nothing is to be learned
        # What is hidden is to be predicted as it was, and the rest is shown as it was.
        whole = torch.tensor(feature.input_ids)
        here, labels = hidden[index, : len(feature)], batch["labels"][index, : len(feature)]
        assert labels[here].tolist() == whole[here].tolist()
        assert batch["input_ids"][index, : len(feature)][~here].tolist() == whole[~here].tolist()
    assert losses.tolist() == pytest.approx([weight * math.log(len(ENCODER)) for weight in weights.tolist()], rel=1e-4)


def hide(task: Any, features: Sequence[Feature], *, training: bool) -> list[list[list[int]]]:
    """What the model sees and what it is asked, of each feature without its padding."""
    batch = task.corrupt(task.collate(features, masked()), training=training)
    return [
        [batch[name][index, : len(feature)].tolist() for name in ("input_ids", "labels")]
        for index, feature in enumerate(features)
    ]


@given(st.permutations(range(4)), st.integers(0, 5))
def test_validation_hides_by_the_text_alone(make: Callable[..., Any], order: list[int], seed: int) -> None:
    task = make("masked_lm", mask_fraction=0.4)
    features = parts(14 * 3 + 5, task)
    assert [len(feature) for feature in features] == [16, 16, 16, 7]
    torch.manual_seed(seed)
    alone = [hide(task, [feature], training=False)[0] for feature in features]
    assert hide(task, [features[i] for i in order], training=False) == [alone[i] for i in order]
    assert hide(task, [features[i] for i in order[:2]], training=False) == [alone[i] for i in order[:2]]


def test_validation_hides_other_places_of_other_texts(make: Callable[..., Any]) -> None:
    task = make("masked_lm", mask_fraction=0.4)
    rows = rows_of(*("".join(chr(97 + (i * j) % 26) + " " for i in range(13)) for j in range(1, 9)))
    hidden = [hide(task, [feature], training=False)[0][1] for feature in task.encode(rows, masked())]
    assert len({tuple(label != IGNORED for label in labels) for labels in hidden}) > 4


def test_validation_draws_nothing_from_the_generator(make: Callable[..., Any]) -> None:
    task = make("masked_lm")
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    hide(task, parts(40, task), training=False)
    assert torch.equal(torch.rand(3), expected)


def test_training_hides_by_the_seed_of_torch(make: Callable[..., Any]) -> None:
    task = make("masked_lm", mask_fraction=0.4)
    features = parts(60, task)
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        drawn.append(hide(task, features, training=True))
    assert drawn[0] == drawn[1] != drawn[2]
    assert hide(task, features, training=True) != drawn[2]


@pytest.mark.parametrize("training", [True, False])
def test_hidden_sub_words_are_masked_replaced_or_left_by_their_shares(make: Callable[..., Any], training: bool) -> None:
    def shares(replace: float, swap: float) -> tuple[float, float, float]:
        task = make("masked_lm", mask_fraction=0.5, replace_fraction=replace, random_fraction=swap)
        torch.manual_seed(0)
        # Numbers that differ, or the same places would be drawn in every part.
        text = " ".join(str(number) for number in range(3000))
        features = list(task.encode(rows_of(text), masked(256)))
        batch = task.corrupt(task.collate(features, masked()), training=training)
        hidden = batch["labels"] != IGNORED
        shown, true = batch["input_ids"][hidden], batch["labels"][hidden]
        same, mask = (shown == true).float().mean(), (shown == ENCODER.mask_token_id).float().mean()
        assert int(shown.max()) < len(ENCODER)
        return float(mask), float(1 - mask - same), float(same)

    assert shares(1.0, 0.0) == pytest.approx((1, 0, 0))
    assert shares(0.0, 0.0) == pytest.approx((0, 0, 1))
    assert shares(0.8, 0.1) == pytest.approx((0.8, 0.1, 0.1), abs=0.03)
    assert shares(0.0, 1.0) == pytest.approx((0, 1, 0), abs=0.01)


def test_shares_above_one_are_found_before_the_run(make: Callable[..., Any]) -> None:
    cfg = {"objective": {"metric": "loss"}, "data": {}}
    assert list(make("masked_lm").problems(cfg)) == []
    assert [key for key, _ in make("masked_lm", random_fraction=0.3).problems(cfg)] == ["task.random_fraction"]
    assert [key for key, _ in make("masked_lm").problems(cfg | {"objective": {"metric": "f1"}})] == ["objective.metric"]


# --- losses and scores --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoder() -> Any:
    torch.manual_seed(0)
    return AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(tiny_files())).eval()


TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 37}
BODIES = {
    "bert": TINY, "roberta": TINY, "electra": TINY | {"embedding_size": 16}, "deberta-v2": TINY, "modernbert": TINY,
    "xlm-roberta": TINY, "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 37},
    "albert": TINY | {"embedding_size": 16}, "mpnet": TINY,
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_only_what_is_hidden_goes_through_the_head(make: Callable[..., Any], body: str) -> None:
    """And the loss is that of a head that sees all, in values and in gradients."""
    torch.manual_seed(0)
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    model = AutoModelForMaskedLM.from_config(
        AutoConfig.for_model(body, vocab_size=len(ENCODER), **special, **BODIES[body])
    )
    model.eval()
    task, frame = make("masked_lm", mask_fraction=0.4), masked()
    batch = dict(task.corrupt(task.collate(task.encode(rows_of(*TEXTS), frame), frame), training=True))
    most = batch["hide"].size(1)
    losses = []
    for logits in (task.forward(model, batch), model(**task.inputs(batch)).logits):
        summed, weight = task.loss(logits, batch, smooth=True)
        model.zero_grad()
        summed.sum().backward()
        grads = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        losses.append((logits.size(1), summed, weight, grads))
    assert (losses[0][0], losses[1][0]) == (most, batch["input_ids"].size(1))
    assert most < batch["input_ids"].size(1)
    for few, whole in zip(losses[0][1:], losses[1][1:], strict=True):
        torch.testing.assert_close(few, whole, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def decoder() -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(CAUSAL_FILES)).eval()


@torch.no_grad()
def test_the_loss_of_a_masked_text_is_that_of_transformers_on_what_is_hidden(
    make: Callable[..., Any], encoder: Any
) -> None:
    task = make("masked_lm", mask_fraction=0.3)
    batch = task.corrupt(task.collate(parts(40, task), masked()), training=False)
    losses, weights = task.loss(task.forward(encoder, batch), batch, smooth=True)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    theirs = encoder(**inputs, labels=batch["labels"]).loss
    assert float(losses.sum() / weights.sum()) == pytest.approx(float(theirs), abs=1e-5)


def test_what_is_not_hidden_changes_no_loss(make: Callable[..., Any]) -> None:
    task = make("masked_lm", mask_fraction=0.3)
    batch = task.corrupt(task.collate(parts(40, task), masked()), training=False)
    logits = torch.randn(*batch["labels"].shape, len(ENCODER), generator=torch.Generator().manual_seed(0))
    noise = torch.where((batch["labels"] == IGNORED).unsqueeze(-1), 100.0, 0.0) * torch.rand(logits.shape)
    losses, _ = task.loss(logits, batch, smooth=True)
    assert task.loss(logits + noise, batch, smooth=True)[0].tolist() == losses.tolist()


@torch.no_grad()
def test_the_loss_of_a_part_is_that_of_transformers(make: Callable[..., Any], decoder: Any) -> None:
    task, frame = make("causal_lm"), causal()
    features = list(task.encode(rows_of(*TEXTS), frame))
    assert len({len(feature) for feature in features}) == 2  # so that one is padded
    batch = task.collate(features, frame)
    losses, weights = task.loss(task.forward(decoder, batch), batch, smooth=True)
    assert weights.tolist() == [task.weight(feature) for feature in features] == [len(f) - 1 for f in features]
    for feature, loss, weight in zip(features, losses.tolist(), weights.tolist(), strict=True):
        ids = torch.tensor([feature.input_ids])
        assert loss / weight == pytest.approx(float(decoder(input_ids=ids, labels=ids).loss), abs=1e-5)


@torch.no_grad()
def test_a_decoder_padded_with_its_end_token_still_learns_where_texts_end(decoder: Any, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(CAUSAL_FILES, pad_token=DECODER.eos_token)
    task, frame = task_of("causal_lm", cache_dir=str(tmp_path)), frame_of(tokenizer, max_length=16, kind="decoder")
    features = list(task.encode(rows_of(*TEXTS), frame))
    batch = task.collate(features, frame)
    _, weights = task.loss(task.forward(decoder, batch), batch, smooth=True)
    assert weights.tolist() == [len(feature) - 1 for feature in features]
    assert (batch["labels"] == tokenizer.eos_token_id).sum() == len(TEXTS)


@pytest.mark.parametrize("name", ["masked_lm", "causal_lm"])
@pytest.mark.parametrize("loss", [0.0, 1.5, 5.0])
def test_perplexity_is_the_exponential_of_the_loss(make: Callable[..., Any], name: str, loss: float) -> None:
    assert make(name).score([], [], loss).metrics == {"perplexity": pytest.approx(math.exp(loss))}


def test_a_hopeless_loss_has_a_finite_perplexity(make: Callable[..., Any]) -> None:
    assert math.isfinite(make("causal_lm").score([], [], 1e6).metrics["perplexity"])


@torch.no_grad()
@pytest.mark.parametrize("name", ["masked_lm", "causal_lm"])
def test_text_to_train_on_has_no_predictions(make: Callable[..., Any], encoder: Any, decoder: Any, name: str) -> None:
    task, model, frame = (make(name), encoder, masked()) if name == "masked_lm" else (make(name), decoder, causal())
    rows = rows_of(*TEXTS)
    features = list(task.encode(rows, frame))
    batch = task.corrupt(task.collate(features, frame), training=False)
    raw = task.predict(model, task.forward(model, batch), batch, frame)
    assert raw == [None] * len(features)
    assert task.decode(rows, features, raw, frame) == []


# --- prompts ------------------------------------------------------------------------------------------------------


def test_a_prompt_without_a_mask_is_one_message_with_its_place(make: Callable[..., Any]) -> None:
    task = make("masked_lm")
    assert task.row_from_text("a [MASK] .", "in:1") == {"text": "a [MASK] .", "prompt": True}
    for text in ("Klosen met Feis .", "Klosen met [mask] ."):
        with pytest.raises(UserError, match=r"in:2: the text has no \[MASK\] to fill"):
            task.row_from_text(text, "in:2")
    with pytest.raises(UserError, match="in:2: the line has no 'text'"):
        task.row_from_object({"prompt": "a [MASK] ."}, "in:2")
    with pytest.raises(UserError, match="in:2: the text is empty"):
        make("causal_lm").row_from_text(" ", "in:2")


def test_a_tokenizer_without_a_mask_cannot_fill(make: Callable[..., Any]) -> None:
    bare = AutoTokenizer.from_pretrained(tiny_files(), mask_token=None)
    with pytest.raises(UserError, match="task: the model's tokenizer has no mask token"):
        make("masked_lm").encode(rows_of(*TEXTS), frame_of(bare))


@torch.no_grad()
def test_every_mask_of_a_prompt_is_filled_as_it_would_be_alone(make: Callable[..., Any], encoder: Any) -> None:
    task, frame = make("masked_lm", fills=3), masked()
    rows = [task.row_from_text(text, "") for text in ("Klosen met [MASK] .", "[MASK] was [MASK] , and it rained .")]

    def fill(chosen: list[Row]) -> list[Row]:
        features = task.encode(chosen, frame)
        batch = task.corrupt(task.collate(features, frame), training=False)
        logits = task.forward(encoder, batch)
        assert task.loss(logits, batch, smooth=False)[1].sum() == 0
        raw = task.predict(encoder, logits, batch, frame)
        return list(task.decode(chosen, features, raw, frame))

    together = fill(rows)
    assert [[len(mask) for mask in each["fills"]] for each in together] == [[3], [3, 3]]
    for alone, prediction in zip([fill([row])[0] for row in rows], together, strict=True):
        for one, other in zip(alone["fills"], prediction["fills"], strict=True):
            assert [each["token"] for each in one] == [each["token"] for each in other]
            scores = [each["score"] for each in one]
            assert scores == sorted(scores, reverse=True)
    best = encoder(**ENCODER("Klosen met [MASK] .", return_tensors="pt")).logits[0]
    position = ENCODER("Klosen met [MASK] .")["input_ids"].index(ENCODER.mask_token_id)
    assert together[0]["fills"][0][0]["token"] == ENCODER.convert_ids_to_tokens(int(best[position].argmax()))
    assert task.readable(rows[0], together[0])["text"] == "Klosen met [MASK] ."
    assert task.lines(rows[0], together[0]) == f"Klosen met [MASK] .\t{together[0]['fills'][0][0]['token']}"


@torch.no_grad()
def test_a_text_goes_on_in_a_batch_as_it_does_alone(make: Callable[..., Any], decoder: Any) -> None:
    generation = {**vars(make("causal_lm").generation), "max_new_tokens": 6, "num_beams": 1}
    task, frame = make("causal_lm", generation=type(make("causal_lm").generation)(**generation)), causal()
    rows = [task.row_from_text(text, "") for text in ("Klosen", "Klosen met Feis in Brunburg .", "It rained")]

    def go_on(chosen: list[Row]) -> list[Row]:
        features = task.encode(chosen, frame)
        batch = task.collate(features, frame)
        logits = task.forward(decoder, batch)
        assert task.loss(logits, batch, smooth=False)[1].sum() == 0
        return list(task.decode(chosen, features, task.predict(decoder, logits, batch, frame), frame))

    together = go_on(rows)
    assert together == [go_on([row])[0] for row in rows]
    ids = torch.tensor([ids_of("It rained")])
    written = decoder.generate(ids, max_new_tokens=6, do_sample=False, pad_token_id=0)[0, ids.size(1) :]
    assert together[2]["continuation"] == DECODER.decode(written, skip_special_tokens=True).strip()
    assert task.lines(rows[2], together[2]) == f"It rained {together[2]['continuation']}"


def test_a_long_prompt_forgets_its_beginning_and_is_counted(make: Callable[..., Any]) -> None:
    (feature,) = make("causal_lm").encode([{"text": "a b c d e f g h i j k", "prompt": True}], causal(max_length=8))
    assert DECODER.decode(feature.input_ids) == "d e f g h i j k"
    assert feature.cut == 3
    (feature,) = make("masked_lm").encode([{"text": "a [MASK] c d e f g h", "prompt": True}], masked(max_length=8))
    assert (len(feature), feature.cut) == (8, 2)


def test_texts_from_every_file_become_parts(make: Callable[..., Any], tmp_path: Path) -> None:
    files = {"train.txt": "\n".join(TEXTS), "validation.jsonl": "\n".join(json.dumps({"text": t}) for t in TEXTS)}
    examples = read_files(make("masked_lm"), tmp_path, files)
    train, validation = (list(make("masked_lm").encode(rows, masked())) for rows in examples.splits.values())
    assert [feature.input_ids for feature in train] == [feature.input_ids for feature in validation]


@pytest.mark.parametrize("document", ["line", "file"])
def test_empty_texts_leave_no_trace(make: Callable[..., Any], tmp_path: Path, document: str) -> None:
    """As of the hub's wikitext, a third of whose rows are empty."""
    task = make("causal_lm", document=document)
    rows = "".join(f'{{"text": "{text}"}}\n' for text in ("a b", "", " ", "c"))
    examples = read_files(task, tmp_path, {"train.jsonl": rows})
    found = [each for feature in task.encode(examples.splits["train"], causal()) for each in feature.input_ids]
    end = [] if document == "file" else [ENCODER.sep_token_id]
    assert found == [*ids_of("a b"), *end, *ids_of("c"), *end]


def test_what_a_tokenizer_puts_first_begins_every_part(make: Callable[..., Any]) -> None:
    from tokenizers.processors import TemplateProcessing

    first = AutoTokenizer.from_pretrained(tiny_files().parent / "tiny_causal_files")
    first.backend_tokenizer.post_processor = TemplateProcessing(
        "[CLS] $A", "[CLS] $A $B", [("[CLS]", first.cls_token_id)]
    )
    frame = frame_of(first, max_length=8, kind="decoder")
    task = make("causal_lm")
    features = list(task.encode(rows_of("a b c d e f g h i j"), frame))
    assert {feature.input_ids[0] for feature in features} == {first.cls_token_id}
    assert all(len(feature) <= 8 for feature in features)
    (prompt,) = task.encode([task.row_from_object({"text": "a b"}, "x")], frame)
    assert prompt.input_ids == [first.cls_token_id, *ids_of("a b")]
