"""Loading: weights and their type, head, dropout, skeleton, fingerprint, hub."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from finesweep.config.errors import UserError
from finesweep.config.instantiate import build
from finesweep.strategies.base import Purpose
from tests.conftest import fitting

CONF = Path(__file__).resolve().parents[2] / "conf"
SHAPES = ["bert", "roberta", "deberta-v2", "distilbert", "modernbert", "electra"]
MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml") if not path.stem.startswith("_"))
STRATEGIES = sorted(path.stem for path in (CONF / "finetune_strategy").glob("*.yaml") if not path.stem.startswith("_"))
every_shape = pytest.mark.parametrize("shape", SHAPES)


def test_the_options_are_found():
    assert len(MODELS) >= 9
    assert {"tiny", "minilm", "bert_base", "roberta_base", "deberta_v3_base", "modernbert_base", "hf"} <= set(MODELS)
    assert len(STRATEGIES) >= 4


@pytest.mark.parametrize("name", MODELS)
def test_every_option_composes_and_checks(composed, name):
    needs = {
        "hf": ["model.name_or_path=some/model"],
        "tiny_causal": ["data=demo_causal_text"],
        "tiny_seq2seq": ["data=demo_translation"],
    }
    values = composed(*needs.get(name, []), f"model={name}")
    model = values["model"]
    assert model["name"] == name
    assert model["dtype"] == "float32"
    assert model["dropout"] is None
    assert build(model, []).name_or_path
    assert values["finetune_strategy"]["lr"] == values["optimizer"]["lr"] == model["learning_rate"]


def test_hf_needs_to_be_told_what_to_load(composed):
    with pytest.raises(UserError, match=r"model\.name_or_path: needs a value"):
        composed("model=hf")


# --- weights --------------------------------------------------------------------------------------------------------


def body_state(model: Any) -> dict[str, Any]:
    from finesweep.strategies.anatomy import body_names

    return model.get_submodule(body_names(model)[0]).state_dict()


@every_shape
def test_the_encoder_has_the_weights_of_the_files(load, encoder_folder, shape):
    import torch
    from safetensors.torch import load_file

    stored = load_file(encoder_folder(shape) / "model.safetensors")
    state = body_state(load(encoder_folder(shape)).model)
    assert state
    assert set(state) <= set(stored)  # the files hold a pooler besides, which tags do not need
    for name, tensor in state.items():
        assert torch.equal(tensor, stored[name]), name


@every_shape
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_weights_are_of_the_type_asked_for_and_not_of_the_files(load, copy, shape, dtype):
    import torch
    from transformers import AutoModel

    folder = copy(shape)
    AutoModel.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    assert '"dtype": "bfloat16"' in (folder / "config.json").read_text()
    for pretrained in (True, False):
        model = load(folder, dtype=dtype, pretrained=pretrained).model
        assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, dtype)}
        logits = model.eval()(input_ids=torch.tensor([[2, 7, 3]])).logits
        assert logits.dtype == getattr(torch, dtype)
    # Random weights are drawn in full precision: rounded to bfloat16 they would be others.
    weight = next(p for name, p in model.named_parameters() if name.endswith("embeddings.weight"))
    assert not torch.equal(weight, weight.bfloat16().to(weight.dtype))


@every_shape
def test_random_weights_depend_on_the_seed_alone(load, encoder_folder, shape):
    import torch

    folder = encoder_folder(shape)  # making it takes from the generator

    def drawn(seed: int) -> dict[str, Any]:
        torch.manual_seed(seed)
        return load(folder, pretrained=False).model.state_dict()

    one, again, two = drawn(1), drawn(1), drawn(2)
    pretrained = load(encoder_folder(shape)).model.state_dict()
    assert all(torch.equal(one[name], again[name]) for name in one)
    matrices = [name for name, tensor in one.items() if tensor.ndim > 1]
    assert matrices
    for name in matrices:
        assert not torch.equal(one[name], two[name]), name
        assert not torch.equal(one[name], pretrained[name]), name


@every_shape
def test_the_head_depends_on_the_seed_and_the_encoder_does_not(load, encoder_folder, shape):
    import torch

    folder = encoder_folder(shape)  # making it takes from the generator

    def drawn(seed: int) -> Any:
        torch.manual_seed(seed)
        return load(folder).model

    one, again, two = drawn(1), drawn(1), drawn(2)
    assert torch.equal(one.classifier.weight, again.classifier.weight)
    assert not torch.equal(one.classifier.weight, two.classifier.weight)
    for name, tensor in body_state(one).items():
        assert torch.equal(tensor, body_state(two)[name]), name


@every_shape
def test_the_configuration_has_the_names_of_the_labels(load, copy, shape):
    folder = copy(shape, id2label={"0": "A", "1": "B"}, label2id={"A": 0, "B": 1})
    for pretrained in (True, False):
        model = load(folder, pretrained=pretrained).model
        assert model.config.id2label == {0: "O", 1: "B-PER", 2: "I-PER"}
        assert model.config.label2id == {"O": 0, "B-PER": 1, "I-PER": 2}
        assert model.config.num_labels == model.classifier.out_features == 3


def test_a_head_for_other_labels_is_drawn_anew(load, encoder_folder, tmp_path):
    import torch

    tagger = load(encoder_folder("bert"), labels=["O", "B-A", "I-A", "B-B", "I-B"])
    tagger.model.save_pretrained(tmp_path)
    tagger.tokenizer.save_pretrained(tmp_path)
    model = load(tmp_path).model
    assert model.classifier.weight.shape == (3, 32)
    for name, tensor in body_state(tagger.model).items():
        assert torch.equal(tensor, body_state(model)[name]), name


# --- dropout --------------------------------------------------------------------------------------------------------

#: Dropouts in the embeddings, in three layers and before the head; ModernBERT's attention has two, one a number.
DROPOUTS = {"bert": 11, "roberta": 11, "deberta-v2": 14, "distilbert": 8, "modernbert": 8, "electra": 11}


def dropouts(model: Any) -> dict[str, float]:
    """Name -> probability of every dropout: modules, and the numbers that attention keeps for itself."""
    from torch import nn

    found = {name: module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout)}
    for name, module in model.named_modules():
        numbers = {key: value for key, value in vars(module).items() if "drop" in key and isinstance(value, float)}
        found |= {f"{name}.{key}": value for key, value in numbers.items()}
    return found


@every_shape
def test_the_dropout_key_replaces_every_dropout(load, encoder_folder, shape):
    numbers = 3 if shape == "modernbert" else 0
    for pretrained in (True, False):
        model = load(encoder_folder(shape), dropout=0.37, pretrained=pretrained).model
        assert set(dropouts(model).values()) == {0.37}
        assert len(dropouts(model)) == DROPOUTS[shape] + numbers
        assert any("attention" in name or "attn" in name for name in dropouts(model))


@every_shape
def test_no_dropout_and_the_models_own(load, encoder_folder, shape):
    assert set(dropouts(load(encoder_folder(shape), dropout=0.0).model).values()) == {0.0}
    own = dropouts(load(encoder_folder(shape)).model)
    assert set(own.values()) == ({0.0} if shape == "modernbert" else {0.1})


# --- skeleton -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "strategy"), fitting())
def test_a_skeleton_counts_as_many_parameters(load, strategy_of, encoder_folder, task, shape, strategy):
    import torch

    from finesweep.strategies.base import freeze

    def counts(loaded: Any, device: str) -> tuple[int, int]:
        chosen = strategy_of(strategy)
        with torch.device(device):
            model = chosen.apply(loaded.model, Purpose(task.peft_type, task.new_head))
        freeze(model, chosen.trainable(model, 0))
        assert {parameter.device.type for parameter in model.parameters()} == {device}
        parameters = list(model.parameters())
        return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)

    whole, skeleton = load(encoder_folder(shape)), load(encoder_folder(shape), weights=False)
    assert counts(skeleton, "meta") == counts(whole, "cpu")
    assert skeleton.fingerprint == ""


def test_a_skeleton_needs_no_weights(load, copy):
    folder = copy("bert")
    (folder / "model.safetensors").unlink()
    assert load(folder, weights=False).model.classifier.out_features == 3


# --- fingerprint ----------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_of_the_files_and_not_of_their_place(load, copy, tmp_path):
    folder = copy("bert")
    before = load(folder).fingerprint
    assert len(before) == 64
    moved = Path(shutil.move(folder, tmp_path / "elsewhere"))
    assert load(moved).fingerprint == before
    (moved / "README.md").write_text("words about it")
    assert load(moved).fingerprint == before


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_the_fingerprint_changes_with_each_file(load, copy, name):
    import torch
    from safetensors.torch import load_file, save_file

    folder = copy("bert")
    before = load(folder).fingerprint
    file = folder / name
    if name.endswith(".json"):
        file.write_text(file.read_text() + "\n")
    else:
        weights = load_file(file)
        weights["embeddings.LayerNorm.bias"] += torch.tensor(1e-3)
        save_file(weights, file, {"format": "pt"})
    assert load(folder).fingerprint != before


# --- hub and folders ------------------------------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(encoder_folder, tmp_path, monkeypatch) -> str:
    """The id of a model that an earlier download left in the cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--some--encoder"
    shutil.copytree(encoder_folder("bert"), repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return "some/encoder"


def test_a_downloaded_model_loads_offline_and_is_known_by_its_commit(load, hub):
    assert load(hub).fingerprint == COMMIT
    assert load(hub, revision=COMMIT).fingerprint == COMMIT
    with pytest.raises(UserError, match=r"model\.name_or_path=some/encoder"):
        load(hub, revision="another")


def test_an_adapter_names_the_commit_that_it_fits(load, hub, strategy_of, task, tmp_path):
    from peft import PeftConfig

    lora = strategy_of("lora")
    lora.finished(lora.apply(load(hub).model, Purpose(task.peft_type, task.new_head)), tmp_path, True)
    config = PeftConfig.from_pretrained(tmp_path / "adapter")
    assert (config.base_model_name_or_path, config.revision) == ("some/encoder", COMMIT)


def test_a_relative_folder_is_remembered_in_full(load, copy, strategy_of, task, tmp_path, monkeypatch):
    from peft import PeftConfig

    folder = copy("bert")
    monkeypatch.chdir(folder.parent)
    loaded = load(folder.name)
    assert loaded.fingerprint == load(folder).fingerprint
    lora = strategy_of("lora")
    lora.finished(lora.apply(loaded.model, Purpose(task.peft_type, task.new_head)), tmp_path, True)
    assert PeftConfig.from_pretrained(tmp_path / "adapter").base_model_name_or_path == str(folder.resolve())
