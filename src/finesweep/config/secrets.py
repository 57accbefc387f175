"""Keep tokens and passwords out of what is written down."""

import functools
import re
from typing import Any

_WORDS = r"(?:token|password|passwd|pwd|secret|(?:api|access|private)[_-]?key|credentials?)"
#: Keys that end in such a word: ``hub_token``, ``accessToken``, not ``token_column`` or ``tokens``.
_SECRET_KEY = re.compile(rf"(?:^|[._-]|(?<=[a-z])(?=[A-Z]))(?i:{_WORDS})$")
#: Of these a number is a secret too; ``max_token: 3`` is none.
_PASSWORD_KEY = re.compile(r"(?:password|passwd|pwd|secret)$", re.IGNORECASE)

#: The key of :data:`_SECRET_KEY` at the end of a word, in running text.
_IN_TEXT = rf"(?:\b|_|(?<=[a-z])(?=[A-Z]))(?i:{_WORDS})\b"
_QUOTED = r"\"[^\"\n]*\"|'[^'\n]*'"
#: ``hub_token=abc``, ``"api_key": "a b"``, ``X-Api-Key: abc``.
_ASSIGNED = re.compile(rf"({_IN_TEXT}[\"']?\s*[=:]\s*)({_QUOTED}|[^\s\"',}}\]]+)")
#: The same where only what is written as a text counts, as in code: ``pad_token = tokenizer.pad`` holds no secret.
_ASSIGNED_QUOTED = re.compile(rf"({_IN_TEXT}[\"']?\]?\s*[=:]\s*)({_QUOTED})")
#: ``--token abc``.
_FLAG = re.compile(rf"(--(?:[\w-]*[_-])?(?i:{_WORDS})\s+)({_QUOTED}|[^\s\"'-]\S*)")
#: ``Authorization: Bearer abc``.
_BEARER = re.compile(r"(\b(?:Bearer|Basic)\s+)([\w.~+/=-]{8,})")
#: ``scheme://user:password@host``, and a user so long that it is a token.
_IN_URL = re.compile(r"(\w+://[^\s/:@]*:)([^\s/@]+)(?=@)|(https?://)([^\s/:@]{20,})(?=@)")
#: What GitHub, Hugging Face, OpenAI, AWS and GitLab give out.
_KNOWN = re.compile(r"\b(?:hf_[A-Za-z0-9]{20,}|gh[opsu]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|AKIA[A-Z0-9]{16})")
#: Letters that one of them has at least.
_SHORTEST = 20

MASK = "***"
_CODE = (".py", ".pyi", ".ipynb")


def is_secret(key: str, value: Any) -> bool:
    """Whether a key of a configuration names a secret, and its value can be one."""
    if isinstance(value, bool) or value in (None, ""):
        return False
    if isinstance(value, int):
        return _fits(_PASSWORD_KEY, key)
    return isinstance(value, str) and _fits(_SECRET_KEY, key)


@functools.lru_cache(maxsize=10_000)
def _fits(pattern: re.Pattern[str], key: str) -> bool:
    """Remembered: a sweep asks the same few hundred keys a thousand times."""
    return bool(pattern.search(key))


def redacted(value: Any) -> Any:
    """A tree of plain values without secrets: values of keys that name one, and what has the form of one.

    What is redacted stays as it is when it is redacted again.
    """
    if isinstance(value, dict):
        return {key: MASK if is_secret(str(key), each) else redacted(each) for key, each in value.items()}
    if isinstance(value, list):
        return [redacted(each) for each in value]
    return _without_forms(value) if isinstance(value, str) else value


def is_redacted(value: Any) -> bool:
    """Whether something was taken out of a tree of plain values."""
    if isinstance(value, dict | list):
        return any(is_redacted(each) for each in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and MASK in value


def redacted_text(text: str) -> str:
    """A command line or a message without secrets."""
    for pattern in (_FLAG, _ASSIGNED, _BEARER):
        text = pattern.sub(_masked, text)
    return _without_forms(text)


def redacted_diff(text: str) -> str:
    """The output of ``git diff`` without secrets. In code only quoted texts are taken for one, that it stays code."""
    parts = re.split(r"(?m)^(?=diff --git )", text)
    return "".join(
        _ASSIGNED_QUOTED.sub(_masked, _without_forms(part))
        if part.partition("\n")[0].endswith(_CODE)
        else redacted_text(part)
        for part in parts
    )


def _without_forms(text: str) -> str:
    if "://" in text:
        text = _IN_URL.sub(lambda m: f"{m[1] or m[3]}{MASK}", text)
    return _KNOWN.sub(MASK, text) if len(text) >= _SHORTEST else text


def _masked(match: re.Match[str]) -> str:
    quote = match[2][0] if match[2][0] in "\"'" else ""
    return f"{match[1]}{quote}{MASK}{quote}"
