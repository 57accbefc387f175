"""A text for a text: two files side by side, targets and their losses, and the scores of the field's own tools."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

from finesweep.config.errors import UserError
from finesweep.tasks.base import Feature, Frame, Row
from finesweep.tasks.tensors import IGNORED
from finesweep.tasks.text_scores import rouge
from tests.conftest import tiny_files
from tests.tasks.making import frame_of, read_files, source_of, tables_of, task_of

FILES = tiny_files().parent / "tiny_seq2seq_files"
TOKENIZER = AutoTokenizer.from_pretrained(FILES)
END = TOKENIZER.eos_token_id
TRANSLATION, SUMMARY = task_of("translation"), task_of("summarization")
ROWS: list[Row] = [
    {"source": "Klosen met Feis in Brunburg .", "target": "Feis met Klosen ."},
    {"source": "It rained .", "target": "In Brunburg it rained all day , and so Feis was glad ."},
    {"source": "a b c d e f g h", "target": "x"},
]


def frame(max_length: int = 32) -> Frame:
    return frame_of(TOKENIZER, max_length=max_length, kind="encoder-decoder")


def ids_of(text: str) -> list[int]:
    return list(TOKENIZER(text, add_special_tokens=False)["input_ids"])


# --- reading ------------------------------------------------------------------------------------------------------


def side_by_side(task: Any, folder: Path, first: str, second: str) -> Any:
    """The training rows of two files whose lines belong together."""
    for name, content in (("train.de", first), ("train.en", second)):
        (folder / name).write_text(content, encoding="utf-8")
    source = source_of(task, train=[str(folder / "train.de"), str(folder / "train.en")])
    return task.read(tables_of(task, source), source)


def test_two_files_are_read_line_by_line(tmp_path: Path) -> None:
    examples = side_by_side(TRANSLATION, tmp_path, "Der Hund .\nDie Katze , sie\tschläft .\n", 'A "dog .\nA cat .\n')
    assert list(examples.splits["train"]) == [
        {"source": "Der Hund .", "target": 'A "dog .'},
        {"source": "Die Katze , sie\tschläft .", "target": "A cat ."},
    ]
    assert examples.labels == []


def test_files_of_different_length_are_one_message_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        side_by_side(TRANSLATION, tmp_path, "eins\nzwei\ndrei\n", "one\ntwo\n")
    assert "train.en:2: the files are not equally long" in str(caught.value)
    assert "train.de has 3 rows" in str(caught.value)


@pytest.mark.parametrize(
    ("task", "name", "content", "changes"),
    [
        (TRANSLATION, "train.tsv", "Der Hund .\tA dog .\n", {}),
        (TRANSLATION, "train.csv", "src,tgt\nDer Hund .,A dog .\n", {}),
        (TRANSLATION, "train.jsonl", '{"target": "A dog .", "source": "Der Hund ."}', {}),
        (
            TRANSLATION,
            "train.jsonl",
            '{"translation": {"de": "Der Hund .", "en": "A dog ."}}',
            {"source_column": "translation.de", "target_column": "translation.en"},
        ),
        (SUMMARY, "train.csv", "id,article,highlights\n7,Der Hund .,A dog .\n", {}),
        (SUMMARY, "train.jsonl", '{"dialogue": "Der Hund .", "summary": "A dog ."}', {}),
    ],
)
def test_every_layout_gives_the_same_row(
    tmp_path: Path, task: Any, name: str, content: str, changes: dict[str, Any]
) -> None:
    (row,) = read_files(task, tmp_path, {name: content}, **changes).splits["train"]
    assert row == {"source": "Der Hund .", "target": "A dog ."}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train.tsv": "a\tb\nc\t\n"}, "train.tsv:2: the target is empty"),
        ({"train.tsv": "a\tb\n \td\n"}, "train.tsv:2: the source is empty"),
        ({"train.csv": "source,target\na,b\nc,\n"}, "train.csv:3: the target is empty"),
        ({"train.tsv": "a\tb\nc\td\te\n"}, "train.tsv:2: 2 columns expected as in the first row, found 3"),
        ({"train.jsonl": '{"source": "a", "target": "b"}\n{"source": "c"}\n'}, "train.jsonl:2: the target is missing"),
        ({"train.jsonl": '{"source": "a", "target": ["b"]}\n'}, "train.jsonl:1: the target should be text, not list"),
        ({"train.jsonl": '{"source": "a", "target": "\\ud800"}\n'}, "train.jsonl:1: the target holds half a character"),
        (
            {"train.jsonl": '{"text": "a", "target": "b"}\n'},
            "there is no column 'source' or 'src'; the columns are: text",
        ),
    ],
)
def test_bad_input_is_one_message_with_its_place(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_files(TRANSLATION, tmp_path, files)
    assert message in str(caught.value)


def test_an_empty_line_of_a_file_beside_another_is_an_empty_target(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r":2: the target is empty"):
        side_by_side(TRANSLATION, tmp_path, "eins\nzwei\ndrei\n", "one\n\nthree\n")


def test_what_is_to_be_written_needs_a_source_alone() -> None:
    assert TRANSLATION.row_from_text("Der Hund", "in:1") == {"source": "Der Hund"}
    assert TRANSLATION.row_from_object({"source": "Der Hund"}, "in:1") == {"source": "Der Hund"}
    with pytest.raises(UserError, match="in:2: the source is missing"):
        TRANSLATION.row_from_object({"target": "A dog"}, "in:2")
    with pytest.raises(UserError, match="in:2: the source is empty"):
        TRANSLATION.row_from_text(" ", "in:2")


# --- encoding -----------------------------------------------------------------------------------------------------

WORDS = st.lists(st.sampled_from(["a", "Klosen", "met", "1912", "é", "中文", "."]), min_size=1, max_size=20).map(
    " ".join
)


@given(source=WORDS, target=WORDS, max_length=st.integers(8, 24), limit=st.integers(1, 12))
def test_sources_and_targets_are_cut_and_counted(source: str, target: str, max_length: int, limit: int) -> None:
    task = task_of("translation", max_target_length=limit)
    (feature,) = task.encode([{"source": source, "target": target}], frame(max_length))
    whole, answer = ids_of(source), ids_of(target)
    assert feature.input_ids == [*whole[: max_length - 1], END]
    assert feature.extra["target"] == [*answer[: limit - 1], END]
    assert feature.cut == max(0, len(whole) - max_length + 1) + max(0, len(answer) - limit + 1)
    assert task.weight(feature) == len(feature.extra["target"]) <= limit


def test_a_prefix_stands_before_every_source() -> None:
    task = task_of("summarization", prefix="It rained : ")
    (feature,) = task.encode([{"source": "a b", "target": "c"}], frame())
    assert feature.input_ids == [*ids_of("It rained : a b"), END]


def test_rows_without_targets_are_encoded_for_prediction() -> None:
    features = TRANSLATION.encode([{"source": "a"}, {"source": "b c"}], frame())
    assert [feature.extra["target"] for feature in features] == [[IGNORED], [IGNORED]]
    assert [TRANSLATION.weight(feature) for feature in features] == [0, 0]
    assert TRANSLATION.encode([], frame()) == []


def test_a_batch_is_padded_with_what_means_nothing() -> None:
    features = [Feature(0, [7, 8, 3], {"target": [9, 3]}), Feature(1, [7, 3], {"target": [9, 9, 9, 3]})]
    batch = TRANSLATION.collate(features, frame())
    assert batch["input_ids"].tolist() == [[7, 8, 3], [7, 3, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["target"].tolist() == [[9, 3, IGNORED, IGNORED], [9, 9, 9, 3]]


def test_a_tokenizer_that_knows_no_languages_is_refused() -> None:
    for changes in ({"source_language": "de_DE"}, {"target_language": "en_XX"}):
        with pytest.raises(UserError, match="the model's tokenizer knows no languages"):
            task_of("translation", **changes).encode(ROWS, frame())


def test_the_target_language_is_what_a_translation_begins_with() -> None:
    tokenizer = AutoTokenizer.from_pretrained(FILES)
    tokenizer.add_tokens(["de_DE", "en_XX"])
    tokenizer.src_lang = tokenizer.tgt_lang = None  # as tokenizers of several languages have
    several = frame_of(tokenizer, kind="encoder-decoder")
    task = task_of("translation", source_language="de_DE", target_language="en_XX")
    task.encode(ROWS, several)
    assert (tokenizer.src_lang, tokenizer.tgt_lang) == ("de_DE", "en_XX")
    assert task.writing(several) == {"forced_bos_token_id": tokenizer.convert_tokens_to_ids("en_XX")}
    assert TRANSLATION.writing(frame()) == {}


# --- model --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return AutoModelForSeq2SeqLM.from_config(AutoConfig.from_pretrained(FILES)).eval()


def losses_of(task: Any, model: Any, features: Sequence[Feature], *, smooth: bool) -> tuple[list[float], list[float]]:
    batch = task.collate(features, frame())
    losses, weights = task.loss(task.forward(model, batch), batch, smooth=smooth)
    return losses.tolist(), weights.tolist()


@torch.no_grad()
def test_the_loss_is_that_of_transformers(model: Any) -> None:
    features = TRANSLATION.encode(ROWS, frame())
    losses, weights = losses_of(TRANSLATION, model, features, smooth=False)
    assert weights == [TRANSLATION.weight(feature) for feature in features]
    batch = TRANSLATION.collate(features, frame())
    theirs = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["target"]).loss
    assert sum(losses) / sum(weights) == pytest.approx(float(theirs), abs=1e-5)


@torch.no_grad()
def test_the_loss_of_a_row_does_not_depend_on_its_batch(model: Any) -> None:
    features = SUMMARY.encode(ROWS, frame())
    for smooth in (True, False):
        losses, weights = losses_of(SUMMARY, model, features, smooth=smooth)
        alone = [losses_of(SUMMARY, model, [feature], smooth=smooth) for feature in features]
        assert losses == pytest.approx([each[0][0] for each in alone], rel=1e-4)
        assert weights == [each[1][0] for each in alone]


def test_smoothing_is_for_training_alone() -> None:
    task = task_of("translation", label_smoothing=0.2)
    batch = task.collate(task.encode(ROWS, frame()), frame())
    logits = torch.randn(*batch["target"].shape, 50, generator=torch.Generator().manual_seed(0))
    batch = {**batch, "target": batch["target"].clamp(max=49)}
    smooth, plain = (task.loss(logits, batch, smooth=on)[0] for on in (True, False))
    spread = -(logits.log_softmax(-1).mean(-1) * (batch["target"] != IGNORED)).sum(1)
    assert smooth.tolist() == pytest.approx((0.8 * plain + 0.2 * spread).tolist(), rel=1e-4)


@torch.no_grad()
def test_a_text_is_written_in_a_batch_as_it_is_alone(model: Any) -> None:
    generation = type(TRANSLATION.generation)(**{**vars(TRANSLATION.generation), "max_new_tokens": 6, "num_beams": 2})
    task = task_of("translation", generation=generation)
    rows = [task.row_from_text(row["source"], "") for row in ROWS]

    def write(chosen: list[Row]) -> list[Row]:
        features = task.encode(chosen, frame())
        batch = task.collate(features, frame())
        raw = task.predict(model, task.forward(model, batch), batch, frame())
        return list(task.decode(chosen, features, raw, frame()))

    together = write(rows)
    assert together == [write([row])[0] for row in rows]
    ids = torch.tensor([[*ids_of(ROWS[0]["source"]), END]])
    (written,) = model.generate(ids, max_new_tokens=6, num_beams=2, do_sample=False)
    assert together[0] == {"prediction": TOKENIZER.decode(written, skip_special_tokens=True).strip()}
    assert task.readable(rows[0], together[0]) == {**rows[0], **together[0]}
    assert task.lines(rows[0], {"prediction": "A dog ."}) == "A dog ."


# --- BLEU and chrF ------------------------------------------------------------------------------------------------

#: (tokenize, references, translations, BLEU, chrF), the last two as the command line of sacreBLEU 2.6.0 gives them:
#: ``sacrebleu ref.txt -i hyp.txt -m bleu -b -w 6 -tok TOKENIZE`` and ``sacrebleu ref.txt -i hyp.txt -m chrf -b -w 6``.
RECORDED: dict[str, tuple[str, list[str], list[str], float, float]] = {
    "identical": (
        "13a",
        ["Klosen met Feis in Brunburg ."],
        ["Klosen met Feis in Brunburg ."],
        100.000000,
        100.000000,
    ),
    "empty": (
        "13a",
        ["Klosen met Feis in Brunburg ."],
        [""],
        0.000000,
        0.000000,
    ),
    "no overlap": (
        "13a",
        ["Klosen met Feis in Brunburg ."],
        ["xyz uvw qqq"],
        0.000000,
        0.793651,
    ),
    "one word differs": (
        "13a",
        ["The cat sat on the mat ."],
        ["The cat lay on the mat ."],
        48.892302,
        63.761836,
    ),
    "too short": (
        "13a",
        ["The cat sat on the red mat today ."],
        ["The cat sat on the"],
        44.932896,
        54.232109,
    ),
    "too long": (
        "13a",
        ["The cat sat on the mat ."],
        ["The cat sat on the mat . The cat sat on the mat ."],
        43.242271,
        81.065357,
    ),
    "order": (
        "13a",
        ["It was the best of times , it was the worst of times ."],
        ["It was the worst of times , it was the best of times ."],
        89.315398,
        100.000000,
    ),
    "punctuation joined": (
        "13a",
        ['"Well," he said, "it\'s 3.5%!"'],
        ['" Well , " he said , " it \'s 3.5 % ! "'],
        69.975223,
        100.000000,
    ),
    "case": (
        "13a",
        ["It Rained In Bonn ."],
        ["it rained in bonn ."],
        10.682175,
        32.647630,
    ),
    "one word": (
        "13a",
        ["Bonn"],
        ["Bonn"],
        0.000000,
        100.000000,
    ),
    "repeated": (
        "13a",
        ["the cat is on the mat"],
        ["the the the the the the the"],
        7.809850,
        14.232427,
    ),
    "three sentences": (
        "13a",
        ["Klosen met Feis .", "It rained all day in Brunburg .", "He was glad , and so was she ."],
        ["Klosen met Feis .", "It rained in Brunburg all day .", "He was sad , and so was she ."],
        56.857350,
        79.829051,
    ),
    "one of two empty": (
        "13a",
        ["Klosen met Feis in Brunburg .", "It rained all day ."],
        ["Klosen met Feis in Brunburg .", ""],
        43.459821,
        68.380645,
    ),
    "german": (
        "13a",
        ["Die Größe der Äpfel überrascht mich sehr ."],
        ["Die Grösse der Äpfel überrascht mich ."],
        39.442436,
        76.344048,
    ),
    "entities": (
        "13a",
        ["AT&amp;T sold &quot;it&quot; for $1,000.00 - twice ."],
        ['AT&T sold "it" for $1,000.00 – twice .'],
        79.106651,
        42.163046,
    ),
    "chinese": (
        "zh",
        ["猫坐在红色的垫子上。"],
        ["猫躺在红色的垫子上。"],
        78.254229,
        73.478836,
    ),
    "chinese and latin": (
        "zh",
        ["我在2024年去了New York。", "天气很好，我们出去玩。"],
        ["我2024年去过New York。", "天气不错，我们出去玩。"],
        50.176549,
        59.535038,
    ),
    "chinese as 13a": (
        "13a",
        ["猫坐在红色的垫子上。"],
        ["猫躺在红色的垫子上。"],
        0.000000,
        73.478836,
    ),
    "characters": (
        "char",
        ["Klosen met Feis"],
        ["Klosen meets Feis"],
        67.656316,
        65.317096,
    ),
    "untouched": (
        "none",
        ["It's a test, really."],
        ["It 's a test , really ."],
        6.567275,
        100.000000,
    ),
    "international": (
        "intl",
        ["Ça coûte 5€, n'est-ce pas ?"],
        ["Ça coûte 5 €, n'est-ce pas?"],
        100.000000,
        100.000000,
    ),
}


@pytest.mark.parametrize("case", RECORDED)
def test_bleu_and_chrf_are_those_of_sacrebleu(case: str) -> None:
    tokenize, references, translations, bleu, chrf = RECORDED[case]
    rows = [{"target": text} for text in references]
    scores = task_of("translation", tokenize=tokenize).score(rows, [{"prediction": text} for text in translations], 0.0)
    assert scores.metrics == {"bleu": pytest.approx(bleu, abs=1e-6), "chrf": pytest.approx(chrf, abs=1e-6)}
    assert f"tok:{tokenize}|" in scores.tables[0].note
    assert scores.tables[0].rows == [["bleu", round(bleu, 2)], ["chrf", round(chrf, 2)]]


# --- ROUGE --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gold", "text", "stemmer", "expected"),
    [
        ("the cat sat on the mat", "the cat sat on the mat", False, (1, 1, 1)),
        # 5 of 6 words, 3 of 5 pairs, and the 5 words in their order
        ("the cat sat on the mat", "the cat lay on the mat", False, (5 / 6, 3 / 5, 5 / 6)),
        # 3 words of 7 and 3, no pair, and one word in its order
        ("Klosen met Feis in Brunburg on Monday", "Feis met Klosen", False, (2 * 3 / 10, 0, 2 * 1 / 10)),
        # of the three only one finds its like
        ("the cat", "the the the", False, (2 * 1 / 5, 0, 2 * 1 / 5)),
        ("It rained, all day!", "it rained all day", False, (1, 1, 1)),
        ("rain", "rain", False, (1, 0, 1)),
        ("the cat", "", False, (0, 0, 0)),
        ("the cat", "a dog", False, (0, 0, 0)),
        ("the cats were running", "the cat was run", False, (1 / 4, 0, 1 / 4)),
        # the, cat, run; "the cat"
        ("the cats were running", "the cat was run", True, (3 / 4, 1 / 3, 3 / 4)),
    ],
)
def test_rouge_is_what_it_is_by_hand(gold: str, text: str, stemmer: bool, expected: tuple[float, float, float]) -> None:
    task = task_of("summarization", stemmer=stemmer)
    metrics = task.score([{"target": gold}], [{"prediction": text}], 0.0).metrics
    assert metrics == dict(zip(("rouge1", "rouge2", "rougeL"), map(pytest.approx, expected), strict=True))


def test_rouge_is_the_mean_over_rows_and_tells_precision_and_recall() -> None:
    scores = rouge(["a b c d", "x"], ["a b", "x"], ("rouge1",), stemmer=False)
    assert scores.metrics == {"rouge1": pytest.approx((2 / 3 + 1) / 2)}
    assert scores.tables[0].rows == [["rouge1", 1.0, 0.75, round((2 / 3 + 1) / 2, 4)]]
    assert "without a stemmer" in scores.tables[0].note
    assert rouge([], [], ("rougeL",), stemmer=True).metrics == {"rougeL": 0}


# --- other encoder-decoders ---------------------------------------------------------------------------------------

SMALL = {
    "vocab_size": 60, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "max_position_embeddings": 40,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 3, "decoder_start_token_id": 3,
}  # fmt: skip
MORE: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("bart", "mbart", "m2m_100", "blenderbot", "pegasus", "plbart"), SMALL),
    "marian": {**SMALL, "decoder_vocab_size": 60},
    "led": {
        **SMALL,
        "max_encoder_position_embeddings": 40,
        "max_decoder_position_embeddings": 40,
        "attention_window": 8,
    },
}


@pytest.mark.parametrize("name", MORE)
def test_what_is_written_is_shifted_as_the_architecture_does_itself(name: str) -> None:
    from finesweep.tasks.tensors import written_logits

    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model(name, **MORE[name])).eval()
    source = torch.randint(5, 60, (2, 7))
    target = torch.tensor([[5, 6, 7, 3], [8, 3, IGNORED, IGNORED]])
    batch = {"input_ids": source, "attention_mask": torch.ones_like(source)}
    with torch.inference_mode():
        ours, theirs = written_logits(model, batch, target), model(**batch, labels=target).logits
        unlabelled = written_logits(model, batch, torch.full((2, 1), IGNORED))
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert torch.isfinite(unlabelled).all()


def test_a_target_keeps_the_language_that_a_tokenizer_puts_behind_its_end() -> None:
    from tokenizers.processors import TemplateProcessing

    from finesweep.tasks.tensors import targets_of

    behind = AutoTokenizer.from_pretrained(FILES)
    language = behind.mask_token_id
    specials = [("[SEP]", END), ("[MASK]", language)]
    behind.backend_tokenizer.post_processor = TemplateProcessing("$A [SEP] [MASK]", "$A $B [SEP] [MASK]", specials)
    for limit, cut in ((20, 0), (6, len(ids_of("Klosen met Feis .")) - 4)):
        ((ids, lost),) = targets_of(["Klosen met Feis ."], frame_of(behind), limit)
        assert ids == [*ids_of("Klosen met Feis .")[: limit - 2], END, language]
        assert lost == max(0, cut)


@pytest.mark.parametrize("behind", [True, False])
def test_a_language_is_written_first_unless_targets_end_with_it(behind: bool) -> None:
    from tokenizers.processors import TemplateProcessing

    knows = AutoTokenizer.from_pretrained(FILES)
    knows.src_lang = knows.tgt_lang = None
    knows.add_special_tokens({"additional_special_tokens": ["de_DE"]})
    language = knows.convert_tokens_to_ids("de_DE")
    specials = [("[SEP]", END), ("de_DE", language)]
    form = "$A [SEP] de_DE" if behind else "de_DE $A [SEP]"
    knows.backend_tokenizer.post_processor = TemplateProcessing(form, f"{form} $B", specials)
    keys = task_of("translation", target_language="de_DE").writing(frame_of(knows, kind="encoder-decoder"))
    assert keys == {"decoder_start_token_id" if behind else "forced_bos_token_id": language}


@pytest.mark.parametrize("key", ["source_language", "target_language"])
def test_a_language_that_the_tokenizer_lacks_is_one_message(key: str) -> None:
    task = task_of("translation", **{key: "de"})
    with pytest.raises(UserError, match=rf"task\.{key}: the model's tokenizer knows no languages"):
        task.encode(ROWS, frame())
    knows = AutoTokenizer.from_pretrained(FILES)
    knows.src_lang = knows.tgt_lang = None
    knows.add_special_tokens({"additional_special_tokens": ["de_DE", "en_XX"]})
    with pytest.raises(UserError, match=rf"task\.{key}: the model's tokenizer knows no language 'de'.*de_DE"):
        task.encode(ROWS, frame_of(knows, kind="encoder-decoder"))


def test_a_tokenizer_of_bleu_that_is_not_installed_is_told_before_anything_loads(composed: Any) -> None:
    from finesweep.config.errors import ConfigError

    with pytest.raises(ConfigError, match=r"task\.tokenize: ja-mecab needs a package: pip install 'sacrebleu\[ja\]'"):
        composed("data=demo_translation", "task.tokenize=ja-mecab")


def test_tokenized_references_are_told_of() -> None:
    for end, told in ((" .", True), (".", False)):
        rows = [{"source": "a", "target": f"The dog slept{end}"}] * 3
        note = TRANSLATION.score(rows, [{"prediction": f"The dog slept{end}"}] * 3, 0.0).tables[0].note
        assert ("references are tokenized" in note) == told


def test_a_tokenizer_without_a_fast_version_will_do() -> None:
    from transformers import ByT5Tokenizer

    tokenizer = ByT5Tokenizer()
    assert not tokenizer.is_fast
    features = TRANSLATION.encode(ROWS, frame_of(tokenizer, max_length=12, kind="encoder-decoder"))
    assert [tokenizer.decode(each.extra["target"], skip_special_tokens=True) for each in features] == [
        row["target"] for row in ROWS
    ]
    assert {len(each) for each in features} == {12}
    assert {each.extra["target"][-1] for each in features} == {tokenizer.eos_token_id}
