"""Tokens and passwords stay out of what is written down; what only sounds like one stays in."""

import pytest

from finesweep.config.identity import config_hash
from finesweep.config.secrets import is_secret, redacted, redacted_text


@pytest.mark.parametrize("key", ["token", "hub_token", "api_key", "apikey", "db.password", "secret", "AWS_ACCESS_KEY"])
def test_keys_of_secrets(key: str) -> None:
    assert is_secret(key, "abc")
    assert not is_secret(key, ["abc"])
    assert redacted({key: "abc", "other": {key: "abc"}}) == {key: "***", "other": {key: "***"}}


@pytest.mark.parametrize(
    "key", ["token_column", "tokens", "max_new_tokens", "monkey", "tokenizer", "keys", "secretary"]
)
def test_other_keys(key: str) -> None:
    assert redacted({key: "abc"}) == {key: "abc"}


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("train model.hub_token=abc123 seed=1", "train model.hub_token=*** seed=1"),
        ('{"api_key": "abc"}', '{"api_key": "***"}'),
        ("postgresql://me:hush@db/sweeps", "postgresql://me:***@db/sweeps"),
        ("with hf_abcdefghijklmnopqrstuvwxyz in it", "with *** in it"),
        ("+PASSWORD = 'x1'", "+PASSWORD = '***'"),
        ("data.token_column=0 task.max_new_tokens=64", "data.token_column=0 task.max_new_tokens=64"),
        ("http://host:80/path@2", "http://host:80/path@2"),
        ("the token is a word", "the token is a word"),
        ("hf-internal-testing/tiny-random-BertModel", "hf-internal-testing/tiny-random-BertModel"),
        ("data.train=sk-learn-corpora-of-2024/train.tsv", "data.train=sk-learn-corpora-of-2024/train.tsv"),
    ],
)
def test_running_text(text: str, clean: str) -> None:
    assert redacted_text(text) == clean
    assert redacted_text(clean) == clean


def test_numbers_and_nothing_stay() -> None:
    tree = {"token": None, "password": "", "numbers": [1, 2.5, True], "seed": 0}
    assert redacted(tree) == tree


def test_a_secret_is_no_part_of_an_identity() -> None:
    assert config_hash({"seed": 1, "hub_token": "a"}) == config_hash({"seed": 1, "hub_token": "b"})
    assert config_hash({"seed": 1, "hub_token": "a"}) != config_hash({"seed": 2, "hub_token": "a"})
