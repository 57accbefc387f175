"""Each strategy by itself: how much it trains, which dropouts are active, what it refuses, what LoRA leaves behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finesweep.config.errors import UserError

SHAPES = ["bert", "roberta", "deberta-v2", "distilbert", "modernbert", "electra"]
LABELS = 5
every_shape = pytest.mark.parametrize("shape", SHAPES)


class Sizes:
    """Numbers of parameters of the parts of a token classifier, by the sizes in its configuration."""

    def __init__(self, config: Any) -> None:
        hidden, kind = config.hidden_size, config.model_type
        inner = config.hidden_dim if kind == "distilbert" else config.intermediate_size
        vocabulary, positions = config.vocab_size, config.max_position_embeddings
        self.layers = config.num_hidden_layers
        #: (inputs, outputs) of each linear layer of a transformer layer.
        self.linear = [(hidden, hidden)] * 4 + [(hidden, inner), (inner, hidden)]
        bias, norm = 1, 2 * hidden
        self.between = self.final_norm = 0  # beside the stack of layers
        self.missing_norm = 0  # ModernBERT's first layer follows the embeddings' norm
        self.head = hidden * LABELS + LABELS
        if kind in ("bert", "roberta"):
            self.embeddings = (vocabulary + positions + config.type_vocab_size) * hidden + norm
        elif kind == "deberta-v2":  # relative positions, shared by all layers
            self.embeddings = vocabulary * hidden + norm
            self.between = 2 * config.position_buckets * hidden + norm
        elif kind == "distilbert":
            self.embeddings = (vocabulary + positions) * hidden + norm
        elif kind == "electra":
            small = config.embedding_size
            self.embeddings = (vocabulary + positions + config.type_vocab_size) * small + 2 * small
            self.embeddings += small * hidden + hidden
        elif kind == "modernbert":  # rotary positions, gated, no biases; a dense layer and a norm in the head
            bias, norm = 0, hidden
            self.embeddings = vocabulary * hidden + norm
            self.linear = [(hidden, 3 * hidden), (hidden, hidden), (hidden, 2 * inner), (inner, hidden)]
            self.final_norm = self.missing_norm = norm
            self.head += hidden * hidden + norm
        self.layer = sum(i * o + bias * o for i, o in self.linear) + 2 * norm

    @property
    def total(self) -> int:
        stack = self.layers * self.layer - self.missing_norm
        return self.embeddings + self.between + stack + self.final_norm + self.head


FORMULAS: dict[str, tuple[list[str], Callable[[Sizes], int]]] = {
    "full": ([], lambda s: s.total),
    "frozen": ([], lambda s: s.head),
    "top_layers": (["finetune_strategy.layers=2"], lambda s: 2 * s.layer + s.final_norm + s.head),
    "lora": (["finetune_strategy.r=4"], lambda s: s.layers * sum(4 * (i + o) for i, o in s.linear) + s.head),
}


@every_shape
@pytest.mark.parametrize("strategy", FORMULAS)
def test_as_many_parameters_train_as_the_sizes_say(set_up, shape, strategy):
    overrides, formula = FORMULAS[strategy]
    run = set_up(shape, strategy, *overrides)
    run.prepare()
    trainable = sum(p.numel() for p in run.model.parameters() if p.requires_grad)
    assert trainable == formula(Sizes(run.model.config))


# --- dropout --------------------------------------------------------------------------------------------------------

#: Dropouts in a transformer layer; beside them there is one in the embeddings and one in the head.
DROPOUTS = {"bert": 3, "roberta": 3, "deberta-v2": 4, "distilbert": 2, "modernbert": 2, "electra": 3}
ACTIVE: dict[str, tuple[list[str], Callable[[int, int], int]]] = {  # of dropouts and linear layers in a layer
    "full": ([], lambda dropouts, _: 1 + 3 * dropouts + 1),
    "frozen": ([], lambda _, __: 1),
    "top_layers": (["finetune_strategy.layers=2"], lambda dropouts, _: 2 * dropouts + 1),
    "lora": (["finetune_strategy.dropout=0.1"], lambda dropouts, linear: 3 * (dropouts + linear) + 1),
}


def active_dropouts(model: Any) -> list[str]:
    from torch import nn

    return [name for name, m in model.named_modules() if isinstance(m, nn.Dropout) and m.training and m.p > 0]


@every_shape
@pytest.mark.parametrize("strategy", ACTIVE)
def test_the_dropouts_of_what_trains_are_active(set_up, shape, strategy):
    overrides, count = ACTIVE[strategy]
    run = set_up(shape, strategy, *overrides, "model.dropout=0.1")
    assert not active_dropouts(run.model.eval())
    run.prepare()
    assert len(active_dropouts(run.model)) == count(DROPOUTS[shape], len(Sizes(run.model.config).linear))


@every_shape
@pytest.mark.parametrize("dropout", [0.2, 0.0])
def test_lora_has_a_dropout_of_its_own(set_up, shape, dropout):
    run = set_up(shape, "lora", "model.dropout=0.1", f"finetune_strategy.dropout={dropout}")
    run.prepare()
    own = [name for name in active_dropouts(run.model) if ".lora_dropout." in name]
    assert len(own) == (3 * len(Sizes(run.model.config).linear) if dropout else 0)
    assert {run.model.get_submodule(name).p for name in own} == ({dropout} if dropout else set())


@every_shape
def test_a_frozen_encoder_gives_the_same_states_each_time(set_up, batch, shape):
    import torch

    from finesweep.strategies.anatomy import body_names

    def states(strategy: str) -> list[Any]:
        run = set_up(shape, strategy, "model.dropout=0.3")
        run.prepare()
        return [run.model.get_submodule(body_names(run.model)[0])(**batch).last_hidden_state for _ in range(2)]

    assert torch.equal(*states("frozen"))
    assert not torch.equal(*states("full"))


# --- layers ---------------------------------------------------------------------------------------------------------


@every_shape
def test_top_layers_takes_the_last_ones(set_up, shape):
    from finesweep.strategies.anatomy import head_parameters, layer_stacks

    run = set_up(shape, "top_layers", "finetune_strategy.layers=1")
    ((stack, depth),) = layer_stacks(run.model)
    assert depth == 3
    trained = set(run.strategy.trainable(run.model, 0)) - set(head_parameters(run.model))
    last = {name for name, _ in run.model.named_parameters() if name.startswith(f"{stack}.2.")}
    assert trained - last == ({"model.final_norm.weight"} if shape == "modernbert" else set())
    assert last <= trained


@every_shape
def test_no_top_layer_is_a_frozen_encoder(set_up, shape):
    none, frozen = set_up(shape, "top_layers", "finetune_strategy.layers=0"), set_up(shape, "frozen")
    assert none.strategy.trainable(none.model, 0) == frozen.strategy.trainable(frozen.model, 0)


@every_shape
def test_more_layers_than_there_are_is_an_error(set_up, shape):
    run = set_up(shape, "top_layers", "finetune_strategy.layers=4")
    with pytest.raises(UserError) as caught:
        run.strategy.trainable(run.model, 0)
    assert caught.value.where == "finetune_strategy.layers"
    assert caught.value.what == "the model has 3 layers, not 4"
    assert caught.value.remedy == "choose 0 to 3"


def test_a_model_without_layers_is_an_error():
    from torch import nn

    from finesweep.strategies.anatomy import layer_stacks

    with pytest.raises(UserError) as caught:
        layer_stacks(nn.Sequential(nn.Linear(2, 2)))
    assert caught.value.where == "finetune_strategy"
    assert "full or frozen" in caught.value.remedy


# --- LoRA -----------------------------------------------------------------------------------------------------------


@every_shape
def test_lora_changes_nothing_at_first(set_up, batch, shape):
    import torch

    bare, run = set_up(shape, "lora", apply=False), set_up(shape, "lora")
    assert torch.equal(run.logits(batch), bare.logits(batch))
    assert torch.equal(run.logits(batch, run.strategy.finished(run.model, Path("unused"), False)), bare.logits(batch))


@every_shape
def test_peft_loads_the_adapter_with_its_head(set_up, batch, tmp_path, shape):
    import torch
    from peft import AutoPeftModelForTokenClassification

    run = set_up(shape, "lora")
    run.train(batch)
    trained = run.logits(batch)
    run.strategy.finished(run.model, tmp_path, True)
    loaded = AutoPeftModelForTokenClassification.from_pretrained(tmp_path / "adapter", num_labels=LABELS)
    assert torch.allclose(run.logits(batch, loaded), trained, atol=1e-6)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(run.folder)
    assert (config["r"], config["lora_alpha"]) == (run.strategy.r, run.strategy.alpha)
    assert config["task_type"] == "TOKEN_CLS"


def test_an_adapter_without_its_base_is_not_kept(set_up, tmp_path):
    run = set_up("bert", "lora")
    finished = run.strategy.finished(run.model, tmp_path, False)
    finished.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


#: For each shape a pattern, how many layers it matches of each transformer layer, and their inputs plus outputs.
PATTERNS = {
    "bert": ("attention.*.query", 1, 64),
    "roberta": ("attention.output.dense", 1, 64),
    "deberta-v2": ("*_proj", 3, 64),
    "distilbert": ("ffn.lin?", 2, 96),
    "modernbert": ("Wqkv", 1, 128),
    "electra": ("intermediate.dense", 1, 96),
}


@every_shape
def test_lora_goes_beside_what_a_pattern_names(set_up, shape):
    pattern, count, sizes = PATTERNS[shape]
    run = set_up(shape, "lora", f"finetune_strategy.target_modules=['{pattern}']", "finetune_strategy.r=2")
    run.prepare()
    adapters = [p for n, p in run.model.named_parameters() if ".lora_" in n and p.requires_grad]
    assert len(adapters) == 2 * 3 * count
    assert sum(parameter.numel() for parameter in adapters) == 3 * count * 2 * sizes


@pytest.mark.parametrize(
    ("shape", "pattern", "hint"),
    [
        ("bert", "qeury", "Did you mean 'query'?"),
        ("bert", "self.quary", "Did you mean 'self.query'"),
        ("modernbert", "Wqvk", "Did you mean 'Wqkv'"),
        ("distilbert", "query", "They are called k_lin, lin1, lin2, out_lin, q_lin, v_lin."),
        ("bert", "LayerNorm", "They are called dense, key, query, value."),
        ("bert", "classifier", "They are called dense, key, query, value."),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_error(set_up, shape, pattern, hint):
    with pytest.raises(UserError) as caught:
        set_up(shape, "lora", f"finetune_strategy.target_modules=['{pattern}','*']")
    assert caught.value.where == "finetune_strategy.target_modules"
    assert caught.value.what.startswith(f"'{pattern}' matches no linear layer of the encoder.")
    assert hint in caught.value.what
    assert "[all]" in caught.value.remedy


def test_lora_beside_nothing_fails_the_check(composed):
    with pytest.raises(UserError, match=r"finetune_strategy\.target_modules: is empty.* Use frozen"):
        composed("finetune_strategy=lora", "finetune_strategy.target_modules=[]")
