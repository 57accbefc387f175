"""What is wrong with a model is said in one message that names the key and a remedy."""

import builtins
import json
from typing import Any

import pytest

from finesweep.config.errors import UserError

SHAPES = ["bert", "roberta", "deberta-v2", "distilbert", "modernbert", "electra"]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def failure(load: Any, name_or_path: Any, **changes: Any) -> UserError:
    """The error of loading, which names the key and the value, says what to do, and is not long."""
    with pytest.raises(UserError) as caught:
        load(name_or_path, **changes)
    error = caught.value
    assert error.where == f"model.name_or_path={name_or_path}"
    assert error.remedy
    assert len(str(error).splitlines()) == 2
    assert len(str(error)) < 600
    return error


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "~/nowhere", "no/where/either"])
def test_a_folder_that_does_not_exist(load, name):
    error = failure(load, name)
    assert f"'{name}' is no folder" in error.what
    assert "check the path" in error.remedy


def test_a_file_instead_of_a_folder(load, copy):
    assert "is no folder" in failure(load, copy("bert") / "model.safetensors").what


@pytest.mark.parametrize("name", ["google-bert/bert-base-cased", "gpt2"])
def test_a_hub_model_offline(load, name):
    error = failure(load, name)
    assert "connect" in error.what
    assert "check the id and the connection" in error.remedy
    assert "model.name_or_path=" in error.remedy


def test_a_folder_without_weights(load, copy):
    folder = copy("bert")
    (folder / "model.safetensors").unlink()
    error = failure(load, folder)
    assert "no file named model.safetensors" in error.what
    assert "model.safetensors" in error.remedy
    assert load(folder, pretrained=False).model.config.model_type == "bert"


def test_weights_in_pickle_format_are_not_read(load, copy):
    import torch
    from safetensors.torch import load_file

    folder = copy("bert")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    assert load(folder).model.config.model_type == "bert"
    (folder / "model.safetensors").unlink()
    error = failure(load, folder)
    assert "pytorch_model.bin is in pickle format" in error.what
    assert "save_pretrained" in error.remedy


@every_shape
def test_an_encoder_that_lacks_weights(load, copy, shape):
    from safetensors.torch import load_file, save_file

    folder = copy(shape)
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if ".1." in name)
    del weights[lost]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    error = failure(load, folder)
    assert "of the encoder's weights 1 are missing" in error.what
    assert lost in error.what
    assert "model.pretrained=false" in error.remedy


@every_shape
def test_an_encoder_of_another_size_than_its_configuration_says(load, copy, shape):
    key = "hidden_dim" if shape == "distilbert" else "intermediate_size"
    folder = copy(shape, **{key: 96})
    assert "another shape than config.json says" in failure(load, folder).what
    assert load(folder, pretrained=False).model.config.model_type == shape


def test_a_broken_weights_file(load, copy):
    folder = copy("bert")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "not fully covered" in failure(load, folder).what


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_broken_json_file(load, copy, name, content):
    folder = copy("bert")
    (folder / name).write_text(content)
    failure(load, folder)


def test_values_that_make_no_model(load, copy):
    assert "multiple of the number of attention heads" in failure(load, copy("bert", num_attention_heads=5)).what


def test_an_architecture_without_such_a_head(load, copy):
    assert "CLIP" in failure(load, copy("bert", model_type="clip")).what


def test_code_that_comes_with_a_model_is_never_run(load, copy, monkeypatch):
    folder = copy("bert", model_type="own", auto_map={"AutoConfig": "own.Own"})
    (folder / "own.py").write_text("raise SystemExit('the code has been run')")
    monkeypatch.setattr(builtins, "input", lambda *_: "y")
    error = failure(load, folder)
    assert "comes with code of its own" in error.what
    assert "an architecture that transformers itself has" in error.remedy


# --- length ---------------------------------------------------------------------------------------------------------


@every_shape
@pytest.mark.parametrize("limited", [True, False], ids=["tokenizer-limit", "model-limit"])
def test_data_may_be_as_long_as_the_model_takes(load, copy, shape, limited):
    import torch

    folder = copy(shape, max_position_embeddings=64, pad_token_id=1 if shape == "roberta" else 0)
    write_weights(folder)
    longest = {"roberta": 62}.get(shape, 64)
    if limited:
        longest -= 10
    set_tokenizer(folder, model_max_length=longest if limited else None)
    model = load(folder, max_length=longest).model
    assert model(input_ids=torch.full((1, longest), 7)).logits.shape == (1, longest, 3)
    for weights in (True, False):
        with pytest.raises(UserError) as caught:
            load(folder, max_length=longest + 1, weights=weights)
        assert caught.value.where == "data.max_length"
        limit = f"the model takes at most {longest} sub-words, virtual ones among them"
        assert caught.value.what == f"{limit}, and not {longest + 1}"
        assert "windows" in caught.value.remedy


def write_weights(folder: Any) -> None:
    """Random weights that fit the folder's configuration."""
    from transformers import AutoConfig, AutoModel

    AutoModel.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)


def set_tokenizer(folder: Any, **changes: Any) -> None:
    """Change entries of ``tokenizer_config.json``; None removes one."""
    file = folder / "tokenizer_config.json"
    values = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


# --- tokenizer ------------------------------------------------------------------------------------------------------


def test_a_tokenizer_without_a_fast_version(load, copy):
    from transformers import ByT5Tokenizer

    folder = copy("bert")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    ByT5Tokenizer().save_pretrained(folder)
    error = failure(load, folder)
    assert "no fast version" in error.what
    assert "tokenizer.json" in error.remedy


def test_a_tokenizer_without_a_padding_token(load, copy):
    folder = copy("bert")
    set_tokenizer(folder, pad_token=None)
    error = failure(load, folder)
    assert "no padding token" in error.what
    assert "pad_token" in error.remedy


@every_shape
def test_a_folder_without_a_tokenizer(load, copy, shape):
    folder = copy(shape)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    assert "tokenizer" in failure(load, folder).what
