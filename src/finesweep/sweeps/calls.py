"""How a sweep was asked for, in its folder: what ``finesweep resume SWEEP`` gives again."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock

from finesweep.config.errors import UserError
from finesweep.config.secrets import is_redacted, redacted
from finesweep.results.files import write_atomically

FILE = "sweep.json"
_DIR = "hydra.sweep.dir="


@dataclass(frozen=True)
class Call:
    """One command line; a grid that has grown has several.

    Attributes:
        overrides: without ``hydra.sweep.dir``, since folders move.
        config_dir: the user's own groups.
        cwd: where relative paths start from.
    """

    overrides: list[str]
    config_dir: str | None
    cwd: str
    command: str


def note_call(folder: Path, overrides: Sequence[str], config_dir: str | None, command: str) -> None:
    """Write a call down, once, without secrets."""
    own = [text for text in overrides if not text.startswith(_DIR)]
    call = Call(own, str(Path(config_dir).resolve()) if config_dir else None, str(Path.cwd()), command)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".sweep.lock"):
        before = _read(folder / FILE) if (folder / FILE).is_file() else []
        new = Call(**redacted(asdict(call)))
        calls = [asdict(each) for each in (*(each for each in before if each != new), new)]  # the last is the last
        write_atomically(folder / FILE, json.dumps({"calls": calls}, indent=2, ensure_ascii=False) + "\n")


def calls_of(folder: Path) -> list[Call]:
    """All calls, to be given again into this folder.

    How the work is done (slots, what is kept, …) is taken from the last of them, and of those that then are the same
    the last is given alone.

    Raises:
        UserError: they cannot be read, or there were secrets in them.
    """
    every = _read(folder / FILE)
    manner = [text for text in every[-1].overrides if _is_manner(text)] if every else []
    found: dict[tuple[str, ...], Call] = {}
    for call in every:
        work = [text for text in call.overrides if not _is_manner(text)]
        found.pop(key := (*sorted(work), call.config_dir or "", call.cwd), None)  # the last, in its place
        found[key] = replace(call, overrides=[*work, *manner])
    for call in every:
        if is_redacted(call.overrides):
            message = "the command of the sweep has secrets in it, which its folder does not hold"
            raise UserError(message, where=str(folder), remedy=f"give the command again: {call.command}")
    place = str(folder.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    return [
        Call([*call.overrides, f"{_DIR}'{place}'"], call.config_dir, call.cwd, call.command) for call in found.values()
    ]


def find_sweep(text: str, root: Path = Path("outputs")) -> Path | None:
    """The sweep that a text names: its folder, or a part of the folder's name that no other below ``root`` has."""
    given = Path(text).expanduser()
    if (given / FILE).is_file():
        return given
    found = [file.parent for file in root.glob(f"**/{FILE}") if text in file.parent.name]
    return found[0] if len(found) == 1 else None


def _is_manner(text: str) -> bool:
    """Whether an override is about how the sweep is done, and not what: what is kept of it, slots, time limits."""
    return text.lstrip("+~").startswith(("keep=", "hydra/launcher", "hydra.launcher"))


def _read(file: Path) -> list[Call]:
    try:
        return [Call(**call) for call in json.loads(file.read_text(encoding="utf-8"))["calls"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"the calls of the sweep cannot be read: {error}", where=str(file)) from error
