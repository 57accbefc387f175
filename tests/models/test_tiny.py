"""The embedded encoder: loads without a network, knows every word in pieces, and can be made again."""

import json
from pathlib import Path

import pytest

from finesweep.config.errors import UserError
from finesweep.config.instantiate import build

FILES = Path(__file__).resolve().parents[2] / "src" / "finesweep" / "models" / "tiny_files"


@pytest.fixture
def tiny(composed, task):
    """The loaded embedded model, as a run without any choice has it."""
    values = composed("model=tiny")
    return build(values["model"], []).load(task, ["O", "B-PER", "I-PER"], values["data"]["max_length"])


def test_it_is_what_a_run_has_by_default(composed):
    assert composed()["model"] == composed("model=tiny")["model"]


def test_it_is_small_and_has_a_head(tiny):
    config = tiny.model.config
    assert (config.num_hidden_layers, config.hidden_size, config.vocab_size) == (2, 128, 2000)
    assert 0.5e6 < sum(parameter.numel() for parameter in tiny.model.parameters()) < 0.7e6
    assert tiny.model.classifier.out_features == 3
    assert len(tiny.tokenizer) == config.vocab_size
    assert tiny.tokenizer.pad_token_id == config.pad_token_id == 0
    assert len(tiny.fingerprint) == 64


def test_it_reads_any_ascii_text(tiny):
    words = ["Zyxwv", "qu@rk", "12:30", "McQ-42's", "naive", "#!?"]
    ids = tiny.tokenizer(words, is_split_into_words=True)["input_ids"]
    assert tiny.tokenizer.unk_token_id not in ids
    assert ids[0] == tiny.tokenizer.cls_token_id
    assert ids[-1] == tiny.tokenizer.sep_token_id
    pieces = tiny.tokenizer.convert_ids_to_tokens(ids[1:-1])
    assert "".join(piece.removeprefix("##") for piece in pieces) == "".join(words)


def test_it_knows_small_letters_from_capitals(tiny):
    assert tiny.tokenizer("Said")["input_ids"] != tiny.tokenizer("said")["input_ids"]


@pytest.mark.parametrize("name", ["tiny", "tiny_causal", "tiny_seq2seq"])
def test_their_weights_are_small_and_shipped(name):
    assert 1e6 < (FILES.parent / f"{name}_files" / "model.safetensors").stat().st_size < 6e6


def test_there_is_no_other_embedded_model(composed):
    with pytest.raises(UserError, match=r"model\.name_or_path: there is no embedded model 'huge'"):
        composed("model=tiny", "model.name_or_path=embedded:huge")


@pytest.mark.parametrize("name", ["tiny", "tiny_causal", "tiny_seq2seq"])
def test_they_can_be_made_again(name, tmp_path):
    from finesweep.models.tiny import build as build_tiny

    build_tiny(tmp_path)
    made, shipped = (root / f"{name}_files" for root in (tmp_path, FILES.parent))
    names = {path.name for path in shipped.iterdir()} - {"model.safetensors"}
    assert {path.name for path in made.iterdir()} == names
    for file in names:
        contents = [json.loads((folder / file).read_text()) for folder in (made, shipped)]
        for values in contents:
            values.pop("transformers_version", None)
        assert contents[0] == contents[1], file
