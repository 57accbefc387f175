"""The table of what does not fit, measured again: every strategy on every architecture and every task of its kind."""

from itertools import product
from typing import Any

import pytest

from finesweep.config.paths import conf_dir
from finesweep.models.architectures import KINDS, kind_of
from finesweep.strategies.fits import MISFITS, misfit
from tests.conftest import ENCODERS, tiny_files
from tests.tasks.making import frame_of, task_of

STRATEGIES = sorted(path.stem for path in (conf_dir() / "finetune_strategy").glob("[!_]*.yaml"))

SIZES: dict[str, dict[str, Any]] = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
SEQ2SEQ = {
    "d_model": 32, "encoder_layers": 3, "decoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 64,
    "decoder_attention_heads": 2, "decoder_ffn_dim": 64, "max_position_embeddings": 128,
}  # fmt: skip
#: transformers' model type -> configuration of a tiny random model.
SHAPES: dict[str, dict[str, Any]] = {
    **ENCODERS,
    "llama": {**SIZES, "intermediate_size": 64, "tie_word_embeddings": True},
    "qwen2": {**SIZES, "intermediate_size": 64, "tie_word_embeddings": True, "num_key_value_heads": 2},
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 2},
    "t5": {"d_model": 32, "num_layers": 3, "num_heads": 2, "d_kv": 16, "d_ff": 64, "decoder_start_token_id": 0},
    "bart": {**SEQ2SEQ, "decoder_start_token_id": 2},
    "marian": {**SEQ2SEQ, "decoder_start_token_id": 0, "decoder_vocab_size": 2000},
}

_ANSWERS = [{"text": "b", "start": 2}]
_MESSAGES = [{"role": "user", "content": "a b"}, {"role": "assistant", "content": "c"}]
ROWS: dict[str, list[dict[str, Any]]] = {
    "token_classification": [{"tokens": ["a", "b"], "tags": ["x", "y"]}, {"tokens": ["a"], "tags": ["y"]}],
    "text_classification": [{"text": "a b", "label": "x"}, {"text": "c", "label": "y"}],
    "multi_label_classification": [{"text": "a b", "label": ["x"]}, {"text": "c", "label": []}],
    "text_regression": [{"text": "a b", "label": 1.0}, {"text": "c", "label": 0.0}],
    "relation_extraction": [
        {"text": "a b", "e1": [0, 1], "e2": [2, 3], "label": "x"},
        {"text": "a c b", "e1": [0, 1], "e2": [4, 5], "label": "y"},
    ],
    "question_answering": [
        {"question": "a ?", "context": "a b c", "answers": _ANSWERS},
        {"question": "a ?", "context": "b c", "answers": []},
    ],
    "multiple_choice": [
        {"question": "a", "choices": ["b", "c"], "label": 1},
        {"question": "a", "choices": ["b", "c", "d"], "label": 0},
    ],
    "translation": [{"source": "a b", "target": "c d"}, {"source": "a", "target": "c"}],
    "generative_question_answering": [
        {"source": "question: a ? context: a b", "target": "b", "answers": ["b"]},
        {"source": "question: a ?", "target": "no answer", "answers": []},
    ],
    "summarization": [{"source": "a b", "target": "c d"}, {"source": "a", "target": "c"}],
    "dialogue": [{"messages": _MESSAGES}] * 2,
    "masked_lm": [{"text": "a b c d e f g h i j k l"}] * 40,
    "causal_lm": [{"text": "a b c d e f g"}] * 80,
}
_FITTING = {task: task_of(task).kinds for task in ROWS}
CASES = [
    pytest.param(strategy, shape, task, id=f"{strategy}-{shape}-{task}")
    for strategy, shape, task in product(STRATEGIES, SHAPES, ROWS)
    if KINDS[shape] in _FITTING[task] and strategy != "qlora"  # whose weights are no floats
]


def test_every_task_and_every_kind_of_model_is_measured() -> None:
    assert set(ROWS) == {path.stem for path in (conf_dir() / "task").glob("[!_]*.yaml")}
    assert {KINDS[shape] for shape in SHAPES} == set(KINDS.values())
    assert {strategy for strategy, _, _ in MISFITS} <= set(STRATEGIES)
    assert len(CASES) >= 600


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("strategy", "shape", "task"), CASES)
def test_what_the_table_says_is_so(strategy: str, shape: str, task: str) -> None:
    about = task_of(task)
    kind = KINDS[shape]
    if misfit(strategy, kind, shape, about.peft_type_for(kind), about.new_head) is None:
        attempt(strategy, shape, about)
        return
    with pytest.raises(Exception):  # noqa: B017 - whatever peft and torch make of it
        attempt(strategy, shape, about)


def attempt(strategy_name: str, shape: str, task: Any) -> None:
    """Three steps on two rows: all that trains moves and nothing else, and a row says the same alone."""
    import torch
    import transformers

    from finesweep.strategies.anatomy import head_parameters
    from finesweep.strategies.base import Purpose, freeze, set_modes

    labels = ["x", "y"]
    folders = {"encoder": "tiny_files", "decoder": "tiny_causal_files", "encoder-decoder": "tiny_seq2seq_files"}
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_files().parent / folders[KINDS[shape]])
    settings = {"vocab_size": 2000, "pad_token_id": 0, "eos_token_id": 3} | SHAPES[shape] | task.head(labels)
    config = transformers.AutoConfig.for_model(shape, **settings)
    kind = kind_of(config)
    assert kind == KINDS[shape]
    torch.manual_seed(0)
    model = getattr(transformers, task.auto_class_for(kind)).from_config(config)
    heads = head_parameters(model) if task.new_head else []
    strategy = strategy_of(strategy_name)
    model = strategy.apply(model, Purpose(task.peft_type_for(kind), task.new_head))
    trainable = strategy.trainable(model, 5)
    assert heads or strategy_name != "frozen"  # what the pretrained head alone can learn is not much
    assert len(trainable) > (0 if strategy_name == "frozen" else len(heads))  # more than the head, or nothing fits
    freeze(model, trainable)
    set_modes(model)

    frame = frame_of(tokenizer, labels, 128, kind)
    features = list(task.encode(ROWS[task.name], frame))[:2]
    batch = dict(task.corrupt(task.collate(features, frame), training=True))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01, weight_decay=0.0)
    for _ in range(3):
        losses, _ = task.loss(task.forward(model, batch), batch, smooth=True)
        losses.sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    for name, parameter in model.named_parameters():
        if task.name == "multiple_choice" and name.endswith(("classifier.bias", "default.bias")):
            continue  # the same for every choice, so that it has no gradient but that of rounding
        assert torch.equal(parameter, before[name]) == (name not in trainable), name

    model.eval()
    both = dict(task.corrupt(task.collate(features, frame), training=False))
    alone = dict(task.corrupt(task.collate(features[1:], frame), training=False))
    with torch.inference_mode():
        logits = task.forward(model, both)
        assert len(task.predict(model, logits, both, frame)) == 2
        of_both, _ = task.loss(logits, both, smooth=False)
        of_one, _ = task.loss(task.forward(model, alone), alone, smooth=False)
    assert torch.allclose(of_both[1], of_one[0], atol=1e-4)
    if task.name == "causal_lm":  # which writes only when it is asked to
        prompts = task.encode([task.row_from_text(text, "") for text in ("a", "a b c")], frame)
        batch = task.collate(prompts, frame)
        with torch.inference_mode():
            assert len(task.predict(model, task.forward(model, batch), batch, frame)) == 2


def strategy_of(name: str) -> Any:
    """The strategy as its YAML configures it."""
    from omegaconf import OmegaConf

    from finesweep.config.compose import compose, hydra_session
    from finesweep.config.instantiate import build

    with hydra_session() as hydra:
        values: Any = OmegaConf.to_container(compose(hydra, [f"finetune_strategy={name}"]).cfg, resolve=True)
    return build(values["finetune_strategy"], [])
