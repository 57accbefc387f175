"""Dialogue: turns in every form, of which the answers alone are learned, and prompts that end where answers begin."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)  # fmt: skip

from finesweep.config.errors import UserError
from finesweep.tasks.base import Feature, Frame, Row
from finesweep.tasks.dialogue import Dialogue
from finesweep.tasks.tensors import IGNORED
from finesweep.tasks.text_scores import distinct
from finesweep.tasks.turns import messages_of
from tests.conftest import tiny_files
from tests.tasks.making import frame_of, read_files, task_of

CAUSAL_FILES, SEQ2SEQ_FILES = (tiny_files().parent / f"{name}_files" for name in ("tiny_causal", "tiny_seq2seq"))
DECODER, SEQ2SEQ = (AutoTokenizer.from_pretrained(folder) for folder in (CAUSAL_FILES, SEQ2SEQ_FILES))
TASK: Dialogue = task_of("dialogue")
END = DECODER.eos_token_id
SHORT = type(TASK.generation)(**{**vars(TASK.generation), "max_new_tokens": 6})


def decoder_frame(max_length: int = 200) -> Frame:
    return frame_of(DECODER, max_length=max_length, kind="decoder")


def pair_frame(max_length: int = 200) -> Frame:
    return frame_of(SEQ2SEQ, max_length=max_length, kind="encoder-decoder")


def ids_of(text: str) -> list[int]:
    return list(DECODER(text, add_special_tokens=False)["input_ids"])


def turns(*texts: str) -> Row:
    """A dialogue of a user and an assistant who take turns."""
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]}


# --- forms --------------------------------------------------------------------------------------------------------

EXPECTED = turns("Who met Feis ?", "Klosen .", "Where ?", "In Brunburg .")["messages"]
TEXTS = [message["content"] for message in EXPECTED]


def objects(role: str, content: str, *names: str) -> list[dict[str, str]]:
    return [{role: names[i % len(names)], content: text} for i, text in enumerate(TEXTS)]


def lines(*names: str) -> str:
    return "\n".join(f"{names[i % len(names)]}: {text}" for i, text in enumerate(TEXTS))


@pytest.mark.parametrize(
    ("column", "cell", "roles"),
    [
        ("messages", objects("role", "content", "user", "assistant"), {}),
        ("conversations", objects("from", "value", "human", "gpt"), {}),
        ("conversation", objects("role", "content", "prompter", "bot"), {}),
        ("dialog", objects("role", "content", "USER", "SYSTEM"), {"USER": "user", "SYSTEM": "assistant"}),
        ("dialogue", lines("#Person1#", "#Person2#"), {}),
        ("dialogue", lines("Bob", "Dr. Ada Low"), {}),
        ("dialogue", lines("user", "assistant"), {}),
        ("turns", lines("#Person2#", "#Person1#"), {"#Person2#": "user", "#Person1#": "assistant"}),
        ("messages", lines("Bob", "Ada").replace("\n", "\r\n\r\n"), {}),
        ("messages", lines("Bob", "Ada").replace("met Feis", "met\n  Feis"), {}),
    ],
)
def test_every_form_gives_the_same_messages(tmp_path: Path, column: str, cell: Any, roles: dict[str, str]) -> None:
    content = json.dumps({"id": 1, column: cell})
    (row,) = read_files(task_of("dialogue", roles=roles), tmp_path, {"train.jsonl": content}).splits["train"]
    assert row == {"messages": EXPECTED}


def test_dialogues_of_several_lines_are_read_from_a_csv(tmp_path: Path) -> None:
    quoted = lines("#Person1#", "#Person2#").replace('"', '""')
    content = f'id,dialogue,summary\n1,"{quoted}",x\n2,"{quoted}",y\n'
    assert list(read_files(TASK, tmp_path, {"train.csv": content}).splits["train"]) == [{"messages": EXPECTED}] * 2


def test_a_mapped_role_may_turn_the_usual_one_round() -> None:
    made = messages_of(objects("from", "value", "gpt", "human"), {"gpt": "user", "human": "assistant"}, "")
    assert made == EXPECTED


def test_a_system_turn_is_kept() -> None:
    cell = [{"role": "system", "content": "Be kind ."}, *EXPECTED]
    assert messages_of(cell, {}, "") == cell


def test_neighbouring_turns_of_one_speaker_become_one() -> None:
    assert (
        messages_of("Bob: Hi\nBob: Who ?\nAda: Klosen\nAda: .", {}, "") == turns("Hi\nWho ?", "Klosen\n.")["messages"]
    )


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ([*EXPECTED, {"role": "asistant", "content": "x"}], "turn 5 is of 'asistant', which is no role. Did you mean"),
        (
            [*EXPECTED, {"role": "Zed", "content": "x"}],
            "turn 5 is of 'Zed', which is no role.",
        ),
        (f"{lines('Bob', 'Ada')}\nZed: x", "turn 1 is of 'Bob', which is no role"),
        ([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": " "}], "the text of turn 2 is empty"),
        ([{"role": "user", "content": "Hi"}, {"role": "assistant"}], "the text of turn 2 is missing"),
        ([{"role": "user", "content": "Hi"}, {"content": "Hi"}], "turn 2 has no 'role'"),
        ([{"role": 1, "content": "Hi"}], "turn 1 has no 'role'"),
        ([{"role": "user", "content": ["Hi"]}], "the text of turn 1 should be text, not list"),
        (["Hi", "Hello"], "the turns should be a list of objects, not list"),
        ({"role": "user", "content": "Hi"}, "the turns should be a list of objects, not dict"),
        (None, "the turns should be a list of objects, not NoneType"),
        ("just a text\nBob: Hi", "the first line names no speaker: 'just a text'"),
        ("Bob: Hi\nAda:", "the text of turn 2 is empty"),
    ],
)
def test_bad_turns_are_one_message_with_their_place(tmp_path: Path, cell: Any, message: str) -> None:
    content = f"{json.dumps({'messages': EXPECTED})}\n{json.dumps({'messages': cell})}\n"
    with pytest.raises(UserError) as caught:
        read_files(TASK, tmp_path, {"train.jsonl": content})
    assert f"train.jsonl:2: {message}" in str(caught.value)


def test_a_mapped_role_that_is_none_is_an_error() -> None:
    with pytest.raises(UserError, match="turn 1 is of 'Bob', which is no role"):
        messages_of("Bob: Hi\nAda: Hello", {"Bob": "customer", "Ada": "assistant"}, "in:1")


def test_turns_after_the_last_answer_are_dropped_and_dialogues_without_one_are_counted(tmp_path: Path) -> None:
    rows = [
        {"messages": [*EXPECTED, {"role": "user", "content": "Thanks"}]},
        {"messages": EXPECTED[:1]},
        {"messages": []},
    ]
    examples = read_files(TASK, tmp_path, {"train.jsonl": "\n".join(map(json.dumps, rows))})
    assert list(examples.splits["train"]) == [{"messages": EXPECTED}]
    (note,) = examples.notes
    assert "train.jsonl: 2 dialogues without an answer of the assistant passed over" in note


def test_data_in_which_nobody_answers_is_refused(tmp_path: Path) -> None:
    content = json.dumps({"messages": "Bob: Hi\nAda: Hello"})
    task = task_of("dialogue", roles={"Bob": "user", "Ada": "user"})
    with pytest.raises(UserError) as caught:
        read_files(task, tmp_path, {"train.jsonl": content})
    assert "train.jsonl: no dialogue has an answer of the assistant" in str(caught.value)
    assert "task.roles={Bob: assistant}" in str(caught.value)


def test_what_is_to_be_answered_is_a_text_or_a_dialogue() -> None:
    assert TASK.row_from_text("Who ?", "in:1") == turns("Who ?")
    assert TASK.row_from_object({"text": "Who ?"}, "in:1") == turns("Who ?")
    assert TASK.row_from_object({"messages": EXPECTED[:3]}, "in:1") == {"messages": EXPECTED[:3]}
    with pytest.raises(UserError, match="in:2: the line has no 'text'"):
        TASK.row_from_object({"dialogue": "Hi"}, "in:2")
    with pytest.raises(UserError, match="in:2: the text is empty"):
        TASK.row_from_text("", "in:2")


# --- what is learned ----------------------------------------------------------------------------------------------

TEXT = st.lists(
    st.sampled_from(["a", "Klosen", "met", "1912", "é", ":", "assistant", "."]), min_size=1, max_size=6
).map(" ".join)
DIALOGUES = st.lists(TEXT, min_size=2, max_size=8).map(lambda texts: turns(*texts[: len(texts) // 2 * 2]))


def learned(feature: Feature) -> list[int]:
    return [label for label in feature.extra["labels"] if label != IGNORED]


@given(DIALOGUES, st.booleans())
def test_exactly_the_answers_and_their_end_are_learned(row: Row, system: bool) -> None:
    messages = [*([{"role": "system", "content": "Be kind ."}] if system else []), *row["messages"]]
    (feature,) = TASK.encode([{"messages": messages}], decoder_frame())
    written = [f"{m['role']} : {m['content']}{' [SEP]' * (m['role'] == 'assistant')}" for m in messages]
    assert feature.input_ids == ids_of("\n".join(written))
    answers = [ids_of(m["content"]) for m in messages if m["role"] == "assistant"]
    assert learned(feature) == [each for answer in answers for each in [*answer, END]]
    for label, number in zip(feature.extra["labels"], feature.input_ids, strict=True):
        assert label in (IGNORED, number)
    assert TASK.weight(feature) == len(learned(feature))
    assert feature.cut == 0
    # The prompt ends where the last answer begins.
    last = len(feature) - len(answers[-1]) - 1
    assert feature.extra["prompt"] == feature.input_ids[:last]
    assert feature.input_ids[last:] == [*answers[-1], END]
    assert feature.extra["labels"][last - 1] == IGNORED
    assert DECODER.decode(feature.extra["prompt"]).endswith("assistant :")


@given(row=DIALOGUES, max_length=st.integers(8, 40))
def test_a_long_dialogue_forgets_its_beginning_and_is_counted(row: Row, max_length: int) -> None:
    (whole,) = TASK.encode([row], decoder_frame())
    (feature,) = TASK.encode([row], decoder_frame(max_length))
    assert len(feature) == min(len(whole), max_length)
    assert feature.cut == len(whole) - len(feature)
    assert feature.input_ids == whole.input_ids[-max_length:]
    assert feature.extra["labels"] == whole.extra["labels"][-max_length:]
    assert feature.extra["prompt"] == whole.extra["prompt"][-max_length:]
    # Of an answer that begins the input, the first sub-word has nothing to be predicted from.
    _, weights = TASK.loss(
        torch.zeros(1, len(feature) - 1, 2000), TASK.collate([feature], decoder_frame()), smooth=True
    )
    assert weights.tolist() == [TASK.weight(feature)]


def test_a_dialogue_to_be_continued_is_all_prompt() -> None:
    rows = [turns("Who ?"), turns("Who ?", "Klosen", "Where ?")]
    features = TASK.encode(rows, decoder_frame())
    expected = ["user : Who ? assistant :", "user : Who ? assistant : Klosen [SEP] user : Where ? assistant :"]
    assert [feature.extra["prompt"] for feature in features] == list(map(ids_of, expected))
    assert [learned(feature) for feature in features] == [[], []]
    assert [TASK.weight(feature) for feature in features] == [0, 0]
    assert TASK.encode([], decoder_frame()) == []


TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def test_a_template_of_the_tokenizer_or_of_the_task_is_used_and_ended() -> None:
    own = AutoTokenizer.from_pretrained(CAUSAL_FILES)
    own.chat_template = TEMPLATE
    of_task, of_tokenizer = task_of("dialogue", template=TEMPLATE), TASK
    row = turns("Who ?", "Klosen", "Where ?", "a b")
    for task, tokenizer in ((of_task, DECODER), (of_tokenizer, own)):
        (feature,) = task.encode([row], frame_of(tokenizer, max_length=99, kind="decoder"))
        # What the template does not put behind earlier answers will not stand there in a prompt either.
        expected = "<user>Who ?<assistant>Klosen<user>Where ?<assistant>a b[SEP]"
        assert feature.input_ids == ids_of(expected)
        assert learned(feature) == [*ids_of("Klosen"), *ids_of("a b"), END]
        assert feature.extra["prompt"] == ids_of(expected)[: -len(ids_of("a b")) - 1]


def test_of_a_template_that_shows_earlier_turns_otherwise_the_last_answer_is_learned() -> None:
    """As those that drop the thoughts of all answers but the last."""
    shortening = TEMPLATE.replace("m.content", "m.content if loop.last or m.role == 'user' else 'x'")
    task = task_of("dialogue", template=shortening)
    (feature,) = task.encode([turns("Who ?", "Klosen", "Where ?", "a b")], decoder_frame())
    assert feature.input_ids == ids_of("<user>Who ?<assistant>x<user>Where ?<assistant>a b[SEP]")
    assert learned(feature) == [*ids_of("a b"), END]


def test_a_batch_is_padded_behind_for_training_and_before_for_writing() -> None:
    features = TASK.encode([turns("a", "b"), turns("a b c d", "e")], decoder_frame())
    batch = TASK.collate(features, decoder_frame())
    short, long = features
    gap = len(long) - len(short)
    assert batch["input_ids"].tolist() == [[*short.input_ids, *[0] * gap], long.input_ids]
    assert batch["attention_mask"].tolist() == [[*[1] * len(short), *[0] * gap], [1] * len(long)]
    assert batch["labels"].tolist() == [[*short.extra["labels"], *[IGNORED] * gap], long.extra["labels"]]
    assert batch["prompt_ids"].tolist() == [[*[0] * gap, *short.extra["prompt"]], long.extra["prompt"]]
    assert batch["prompt_mask"].sum(1).tolist() == [len(feature.extra["prompt"]) for feature in features]


# --- encoder-decoders ---------------------------------------------------------------------------------------------


@given(row=DIALOGUES, max_length=st.integers(8, 40), limit=st.integers(1, 8))
def test_an_encoder_decoder_reads_what_was_said_and_writes_the_last_answer(
    row: Row, max_length: int, limit: int
) -> None:
    task = task_of("dialogue", max_answer_length=limit)
    (feature,) = task.encode([row], pair_frame(max_length))
    *before, last = row["messages"]
    written = [f"{m['role']} : {m['content']}{' [SEP]' * (m['role'] == 'assistant')}" for m in before]
    source, answer = [*ids_of("\n".join([*written, "assistant :"])), END], ids_of(last["content"])
    assert feature.input_ids == source[-max_length:]
    assert feature.extra["labels"] == [*answer[: limit - 1], END]
    assert feature.cut == max(0, len(source) - max_length) + max(0, len(answer) + 1 - limit)
    assert task.weight(feature) == len(feature.extra["labels"])
    assert set(task.collate([feature], pair_frame())) == {"input_ids", "attention_mask", "labels"}


def test_an_encoder_decoder_is_asked_for_what_comes_next() -> None:
    (feature,) = TASK.encode([turns("Who ?", "Klosen", "Where ?")], pair_frame())
    assert feature.input_ids == [*ids_of("user : Who ? assistant : Klosen [SEP] user : Where ? assistant :"), END]
    assert (feature.extra["labels"], TASK.weight(feature)) == ([IGNORED], 0)


def test_each_kind_of_model_has_its_class() -> None:
    assert TASK.auto_class_for("decoder") == "AutoModelForCausalLM"
    assert TASK.auto_class_for("encoder-decoder") == "AutoModelForSeq2SeqLM"


# --- model --------------------------------------------------------------------------------------------------------

ROWS = [
    turns("Who met Feis ?", "Klosen .", "Where ?", "In Brunburg , where it rained ."),
    turns("a", "b"),
    turns("It rained all day in Brunburg , and so on .", "x y z"),
]


@pytest.fixture(scope="module", params=["decoder", "encoder-decoder"])
def made(request: pytest.FixtureRequest) -> tuple[Any, Frame]:
    """A tiny random model of each kind with its frame."""
    auto, folder = (
        (AutoModelForCausalLM, CAUSAL_FILES) if request.param == "decoder" else (AutoModelForSeq2SeqLM, SEQ2SEQ_FILES)
    )
    torch.manual_seed(0)
    model = auto.from_config(AutoConfig.from_pretrained(folder)).eval()
    return model, decoder_frame() if request.param == "decoder" else pair_frame()


def losses_of(model: Any, frame: Frame, features: Sequence[Feature]) -> tuple[list[float], list[float]]:
    batch = TASK.collate(features, frame)
    losses, weights = TASK.loss(TASK.forward(model, batch), batch, smooth=True)
    return losses.tolist(), weights.tolist()


@torch.no_grad()
def test_the_loss_is_that_of_transformers(made: tuple[Any, Frame]) -> None:
    model, frame = made
    features = TASK.encode(ROWS, frame)
    losses, weights = losses_of(model, frame, features)
    assert weights == [TASK.weight(feature) for feature in features]
    batch = TASK.collate(features, frame)
    theirs = model(**{name: batch[name] for name in ("input_ids", "attention_mask", "labels")}).loss
    assert sum(losses) / sum(weights) == pytest.approx(float(theirs), abs=1e-5)


@torch.no_grad()
def test_the_loss_of_a_dialogue_does_not_depend_on_its_batch(made: tuple[Any, Frame]) -> None:
    model, frame = made
    features = TASK.encode(ROWS, frame)
    losses, weights = losses_of(model, frame, features)
    alone = [losses_of(model, frame, [feature]) for feature in features]
    assert losses == pytest.approx([each[0][0] for each in alone], rel=1e-4)
    assert weights == [each[1][0] for each in alone]


@torch.no_grad()
def test_what_a_user_says_is_not_in_the_loss(made: tuple[Any, Frame]) -> None:
    _, frame = made
    features = TASK.encode(ROWS, frame)
    batch = TASK.collate(features, frame)
    labels = batch["labels"][:, 1:] if frame.kind == "decoder" else batch["labels"]
    logits = torch.randn(*labels.shape, 2000, generator=torch.Generator().manual_seed(0))
    noise = torch.where((labels == IGNORED).unsqueeze(-1), 100.0, 0.0) * torch.rand(logits.shape)
    assert (
        TASK.loss(logits + noise, batch, smooth=True)[0].tolist() == TASK.loss(logits, batch, smooth=True)[0].tolist()
    )


@torch.no_grad()
@pytest.mark.parametrize("answered", [True, False])
def test_an_answer_is_written_in_a_batch_as_it_is_alone(made: tuple[Any, Frame], answered: bool) -> None:
    model, frame = made
    task = task_of("dialogue", generation=SHORT)
    rows = ROWS if answered else [{"messages": row["messages"][:-1]} for row in ROWS]

    def answer(chosen: Sequence[Row]) -> list[Row]:
        features = task.encode(chosen, frame)
        batch = task.collate(features, frame)
        raw = task.predict(model, task.forward(model, batch), batch, frame)
        return list(task.decode(chosen, features, raw, frame))

    together = answer(rows)
    assert together == [answer([row])[0] for row in rows]
    (feature,) = task.encode([turns("a")], frame)
    ids = feature.extra["prompt"] if frame.kind == "decoder" else feature.input_ids
    (written,) = model.generate(torch.tensor([ids]), max_new_tokens=6, do_sample=False, pad_token_id=0)
    own = written[len(ids) :] if frame.kind == "decoder" else written
    assert together[1] == {"answer": frame.tokenizer.decode(own, skip_special_tokens=True).strip()}


# --- scores -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "n", "expected"),
    [
        (["a b a", "a b"], 1, 2 / 5),
        (["a b a", "a b"], 2, 2 / 3),
        (["a b", "b a"], 2, 1),
        (["a a a a"], 1, 1 / 4),
        (["a a a a"], 3, 1 / 2),
        (["a", "b"], 2, 0),  # and none across two answers
        (["", "  "], 1, 0),
        ([], 1, 0),
    ],
)
def test_distinct_n_is_the_share_of_different_n_grams(texts: list[str], n: int, expected: float) -> None:
    assert distinct(texts, n) == pytest.approx(expected)


def test_scores_are_of_the_last_answers() -> None:
    rows = [turns("Who ?", "no", "Where ?", "the cat sat on the mat"), turns("Who ?", "Klosen")]
    metrics = TASK.score(rows, [{"answer": "the cat lay on the mat"}, {"answer": "Feis"}], 1.5).metrics
    assert metrics == {
        "perplexity": pytest.approx(math.exp(1.5)),
        "rougeL": pytest.approx((5 / 6 + 0) / 2),
        "distinct_1": pytest.approx(6 / 7),
        "distinct_2": pytest.approx(1),
    }
    assert {"loss", *metrics} == set(TASK.metric_names)


def test_an_answer_is_told_with_its_dialogue_or_as_one_line() -> None:
    row = turns("Who ?")
    assert TASK.readable(row, {"answer": "Klosen"}) == {**row, "answer": "Klosen"}
    assert TASK.lines(row, {"answer": "one\ntwo"}) == "one two"
    assert TASK.text_of_row(turns("Who ?", "Klosen")) == "user: Who ?\nassistant: Klosen"


def decoder_of(tokenizer: Any) -> Any:
    return frame_of(tokenizer, max_length=99, kind="decoder")


def test_an_answer_is_learned_whole_where_the_prompt_is_no_part_of_it() -> None:
    """As of templates that begin the next answer with its thoughts."""
    thinking = TEMPLATE.replace("<assistant>{% endif %}", "<assistant><think>{% endif %}")
    row = turns("Who ?", "Klosen met Feis", "Where ?", "in Brunburg")
    (feature,) = task_of("dialogue", template=thinking).encode([row], decoder_frame())
    assert learned(feature) == [*ids_of("Klosen met Feis"), *ids_of("in Brunburg"), END]
    assert feature.extra["prompt"] == ids_of("<user>Who ?<assistant>Klosen met Feis<user>Where ?<assistant><think>")


def test_what_ends_a_turn_is_learned_once_and_ends_what_is_written() -> None:
    own = AutoTokenizer.from_pretrained(CAUSAL_FILES)
    own.chat_template = TEMPLATE.replace("{{ m.content }}", "{{ m.content }}[MASK]\n")
    row = turns("Who ?", "Klosen", "Where ?", "a b")
    (feature,) = TASK.encode([row], decoder_of(own))
    assert learned(feature) == [*ids_of("Klosen"), own.mask_token_id, *ids_of("a b"), own.mask_token_id]
    assert END not in feature.input_ids

    class Model:
        generation_config = type("Config", (), {"eos_token_id": 3})()

    assert TASK._stops(Model(), decoder_of(own)) == {"eos_token_id": sorted({3, own.mask_token_id})}


@pytest.mark.parametrize("template", ["{{ raise_exception('no system role') }}", "{% for %}"])
def test_a_template_that_does_not_take_the_turns_is_one_message(template: str) -> None:
    with pytest.raises(UserError, match=r"task\.template: the template does not take the turns user"):
        task_of("dialogue", template=template).encode([turns("Who ?", "Klosen")], decoder_frame())


def test_a_template_that_hides_the_answer_is_one_message() -> None:
    hiding = "{% for m in messages if m.role == 'user' %}{{ m.content }} {% endfor %}"
    with pytest.raises(UserError, match="does not show the answer 'Klosen'"):
        task_of("dialogue", template=hiding).encode([turns("Who ?", "Klosen")], decoder_frame())


def test_the_assistant_is_known_in_capitals_and_when_it_speaks_first() -> None:
    said = messages_of("Assistant: How can I help ?\nUser: Who met Feis ?\nAssistant: Klosen .", {}, "f:1")
    assert [message["role"] for message in said] == ["assistant", "user", "assistant"]
    said = messages_of([{"role": "AI", "content": "a"}, {"role": "Human", "content": "b"}], {}, "f:1")
    assert [message["role"] for message in said] == ["assistant", "user"]


def test_what_looks_like_an_end_within_an_answer_is_none() -> None:
    (feature,) = TASK.encode([turns("Who ?", "a 世 [MASK] b", "Where ?", "d")], decoder_frame())
    assert learned(feature) == [*ids_of("a 世 [MASK] b"), END, *ids_of("d"), END]
    own = AutoTokenizer.from_pretrained(CAUSAL_FILES)
    own.add_tokens([AddedToken("<|end|>", special=True)])
    own.chat_template = TEMPLATE.replace("{{ m.content }}", "{{ m.content }}<|end|>\n").replace(
        "<assistant>{% endif %}", "<assistant><think>{% endif %}"
    )
    (feature,) = TASK.encode([turns("Who ?", "Klosen", "Where ?", "d")], decoder_of(own))
    end = own.convert_tokens_to_ids("<|end|>")
    assert learned(feature) == [*ids_of("Klosen"), end, *ids_of("d"), end]


def test_the_first_word_is_learned_where_the_prompt_ends_in_a_blank() -> None:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    texts = ["### Response: hello world hello world"] * 9
    made.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made)
    tokenizer.add_special_tokens({"eos_token": "</s>", "pad_token": "<pad>"})
    template = (
        "{% for m in messages %}{{ '### Response: ' if m.role == 'assistant' else '' }}{{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}### Response: {% endif %}"
    )
    (feature,) = task_of("dialogue", template=template).encode([turns("Who ?", "hello")], decoder_of(tokenizer))
    assert tokenizer.decode(learned(feature)) == " hello</s>"
    assert feature.input_ids[: len(feature.extra["prompt"])] == feature.extra["prompt"]


def test_named_roles_are_not_overruled() -> None:
    said = messages_of("Ann: hi\nCat: yo", {"Bob": "assistant", "others": "user"}, "x")
    assert [message["role"] for message in said] == ["user"]
    spoken = [{"role": "#P1#", "content": "a"}, {"role": "#P2#", "content": "b"}]
    said = messages_of(spoken, {"#P1#": "assistant", "#P2#": "user"}, "x")
    assert [message["role"] for message in said] == ["assistant", "user"]
    with pytest.raises(UserError, match="turn 1 is of 'Ann', which is no role"):
        messages_of("Ann: hi\nCat: yo", {"Bob": "assistant"}, "x")


def test_all_others_may_have_one_role() -> None:
    said = messages_of("#P1#: a\n#P2#: b\n#P3#: c\n#P2#: d", {"P2": "assistant", "others": "user"}, "f:1")
    assert said == turns("a", "b", "c", "d")["messages"]


def test_dialogues_in_a_text_file_are_parted_by_empty_lines(tmp_path: Path) -> None:
    text = "Ann: Who met Feis ?\nBob: Klosen .\n\n\nAnn: Where ?\nBob: In\n  Brunburg .\n"
    examples = read_files(TASK, tmp_path, {"train.txt": text})
    assert examples.splits["train"] == [turns("Who met Feis ?", "Klosen ."), turns("Where ?", "In Brunburg .")]
    cell = json.dumps([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
    (tmp_path / "one").mkdir()
    examples = read_files(TASK, tmp_path / "one", {"train.jsonl": json.dumps({"messages": json.loads(cell)}) + "\n"})
    assert examples.splits["train"] == [turns("a", "b")]
    (tmp_path / "csv").mkdir()
    quoted = cell.replace('"', '""')
    examples = read_files(TASK, tmp_path / "csv", {"train.csv": f'messages,n\n"{quoted}",1\n'})
    assert examples.splits["train"] == [turns("a", "b")]
