"""Tokens and passwords stay out of what is written down; what only sounds like one stays in."""

import pytest

from finesweep.config.identity import config_hash
from finesweep.config.secrets import is_redacted, is_secret, redacted, redacted_diff, redacted_text


@pytest.mark.parametrize(
    "key",
    [
        "token", "hub_token", "accessToken", "api_key", "apikey", "X-Api-Key", "private_key", "db.password", "pwd",
        "secret", "AWS_ACCESS_KEY",
    ],
)  # fmt: skip
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
        ("+password='two words' seed=1", "+password='***' seed=1"),
        ("curl -H 'X-Api-Key: abc'", "curl -H 'X-Api-Key: ***'"),
        ("Authorization: Bearer abcdefgh.ijk", "Authorization: Bearer ***"),
        ("deploy --token abc --hub-token 'a b' --dry", "deploy --token *** --hub-token '***' --dry"),
        ("accessToken=abc db_pwd=1234", "accessToken=*** db_pwd=***"),
        ("https://0123456789abcdef01234567@host/x", "https://***@host/x"),
        ("git+ssh://git@github.com/x", "git+ssh://git@github.com/x"),
        ("max_new_tokens=3 --tokenizer x --tokens 5", "max_new_tokens=3 --tokenizer x --tokens 5"),
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


def test_numbers_can_be_passwords() -> None:
    assert redacted({"password": 1234, "max_token": 5, "secret": True}) == {
        "password": "***", "max_token": 5, "secret": True,
    }  # fmt: skip


def test_what_a_record_keeps_has_the_hash_of_what_ran() -> None:
    values = {"seed": 1, "hub_token": "a", "data": {"train": "https://me:hush@host/token=x/train.tsv"}}
    kept = redacted(values)
    assert kept["data"]["train"] == "https://me:***@host/token=x/train.tsv"
    assert config_hash(kept) == config_hash(values)
    assert is_redacted(kept)
    assert not is_redacted(values)


DIFF = """\
diff --git a/x.py b/x.py
--- a/x.py
+++ b/x.py
@@ -1,2 +1,3 @@
-    token: str = tokenizer.pad_token
+    pad_token = tokenizer.eos_token
+    os.environ["HF_TOKEN"] = "abc def"
diff --git a/conf/model/x.yaml b/conf/model/x.yaml
--- a/conf/model/x.yaml
+++ b/conf/model/x.yaml
@@ -1 +1 @@
-hub_token: null
+hub_token: abc
"""


def test_code_in_a_diff_stays_code() -> None:
    lines = redacted_diff(DIFF).splitlines()
    changed = [(a, b) for a, b in zip(DIFF.splitlines(), lines, strict=True) if a != b]
    assert changed == [
        ('+    os.environ["HF_TOKEN"] = "abc def"', '+    os.environ["HF_TOKEN"] = "***"'),
        ("-hub_token: null", "-hub_token: ***"),
        ("+hub_token: abc", "+hub_token: ***"),
    ]
