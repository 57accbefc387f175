"""Keep tokens and passwords out of what is written down."""

import re
from typing import Any

_WORDS = r"(?:token|password|passwd|secret|api_?key|access_?key|credentials?)"
#: Keys that end in such a word: ``hub_token``, not ``token_column`` or ``tokens``.
_SECRET_KEY = re.compile(rf"(?:^|[._-]){_WORDS}$", re.IGNORECASE)
#: The same in running text: ``hub_token=abc``, ``"api_key": "abc"``.
_ASSIGNED = re.compile(rf"((?:\b|_){_WORDS}[\"']?\s*[=:]\s*[\"']?)[^\s\"',}}\]]+", re.IGNORECASE)
#: ``scheme://user:password@host``.
_IN_URL = re.compile(r"(\w+://[^\s/:@]*:)[^\s/@]+@")
#: What GitHub, Hugging Face, OpenAI and Slack give out.
_KNOWN = re.compile(r"\b(?:hf_[A-Za-z0-9]{20,}|gh[opsu]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|AKIA[A-Z0-9]{16})")

MASK = "***"


def is_secret(key: str, value: Any) -> bool:
    """Whether a key of a configuration names a secret, and its value can be one: a text, and not an empty one."""
    return isinstance(value, str) and bool(value) and bool(_SECRET_KEY.search(key))


def redacted(value: Any) -> Any:
    """A tree of plain values without secrets: values of keys that name one, and texts that look like one."""
    if isinstance(value, dict):
        return {key: MASK if is_secret(str(key), each) else redacted(each) for key, each in value.items()}
    if isinstance(value, list):
        return [redacted(each) for each in value]
    return redacted_text(value) if isinstance(value, str) else value


def redacted_text(text: str) -> str:
    """Running text without secrets."""
    return _ASSIGNED.sub(rf"\1{MASK}", _KNOWN.sub(MASK, _IN_URL.sub(rf"\1{MASK}@", text)))
