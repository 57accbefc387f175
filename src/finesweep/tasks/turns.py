"""The turns of a dialogue, in the forms that data sets give them."""

import json
import re
from collections.abc import Mapping
from typing import Any

from finesweep.config.errors import UserError, did_you_mean
from finesweep.tasks.base import Row
from finesweep.tasks.cells import text_of

ROLES = ("system", "user", "assistant")
#: Names that data sets give to the roles.
_USUAL = {
    "human": "user", "prompter": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant",
    "ai": "assistant",
}  # fmt: skip
#: For tokenizers without a template of their own: a name before each turn, the end token behind the assistant's.
DEFAULT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }} : {{ message['content'] }}"
    "{{ eos_token if message['role'] == 'assistant' else '' }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant :{% endif %}"
)
#: ``#Person1#: …`` or ``Bob: …`` at the beginning of a line.
_SPEAKER = re.compile(r"^\s*(#?[\w .-]{0,38}[^\W\d]#?|#\w+#)\s*:(?:\s+(.*)|)$")


def messages_of(cell: Any, roles: Mapping[str, str], where: str) -> list[Row]:
    """``[{"role", "content"}]`` of a cell: objects with these keys (or ``from`` and ``value``), or lines with names.

    Neighbouring turns of one speaker become one. Of two speakers whose names say nothing, the second is the assistant.

    Raises:
        UserError: a turn is of no known form or role.
    """
    if isinstance(cell, str) and cell.lstrip().startswith("[{"):
        try:
            cell = json.loads(cell)
        except json.JSONDecodeError as error:
            raise UserError(f"the turns are no JSON: {error.msg}", where=where) from error
    turns = _lines(cell, where) if isinstance(cell, str) else _objects(cell, where)
    names = list(dict.fromkeys(name for name, _ in turns))
    usual = _USUAL | {role: role for role in ROLES}
    known = {**usual, **{name: usual[name.lower()] for name in names if name.lower() in usual}}
    known |= {name.strip("#"): role for name, role in roles.items()}  # a command line has no way to write a #
    if not roles and len(names) <= 2 and not any(name in known for name in names):
        known |= dict(zip(names, ("user", "assistant"), strict=False))
    messages: list[Row] = []
    for number, (name, text) in enumerate(turns, 1):
        role = known.get(name, roles.get("others"))
        if role not in ROLES:
            hint = did_you_mean(name, usual)
            remedy = (
                f"say who it is, 'task.roles={{{name}: user}}', or what all others are, 'task.roles={{others: user}}'"
            )
            raise UserError(f"turn {number} is of '{name}', which is no role.{hint}", where=where, remedy=remedy)
        text = text_of(text, f"text of turn {number}", where)
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += f"\n{text}"
        else:
            messages.append({"role": role, "content": text})
    return messages


def _objects(cell: Any, where: str) -> list[tuple[str, Any]]:
    if not isinstance(cell, list) or not all(isinstance(turn, dict) for turn in cell):
        raise UserError(f"the turns should be a list of objects, not {type(cell).__name__}", where=where)
    turns = []
    for number, turn in enumerate(cell, 1):
        name, text = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
        if not isinstance(name, str):
            raise UserError(f"turn {number} has no 'role'", where=where)
        turns.append((name.strip("#"), text))
    return turns


def _lines(cell: str, where: str) -> list[tuple[str, str]]:
    turns: list[tuple[str, str]] = []
    for line in cell.splitlines():
        match = _SPEAKER.match(line)
        if match:
            turns.append((match[1].strip().strip("#"), (match[2] or "").strip()))
        elif line.strip():
            if not turns:
                raise UserError(f"the first line names no speaker: {line[:60]!r}", where=where)
            turns[-1] = (turns[-1][0], f"{turns[-1][1]} {line.strip()}")
    return turns
