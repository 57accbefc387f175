"""Where a value of a composed configuration was written: the command line, or a file and its line."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from hydra._internal.config_repository import IConfigRepository
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override


@dataclass(frozen=True)
class Sources:
    """The overrides and the YAML files of one composition; a later one wins over an earlier one.

    Attributes:
        overrides: pairs (key, the override as it was typed) of those that set a value.
        choices: the same of those that choose an option of a group.
        files: pairs (package, path of the file), in the order of Hydra's defaults list.
    """

    overrides: tuple[tuple[str, str], ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, Path], ...] = ()

    @classmethod
    def of(
        cls, overrides: Sequence[Override], choices: Sequence[Override], files: tuple[tuple[str, Path], ...]
    ) -> "Sources":
        typed = [tuple((o.key_or_group, o.input_line or "") for o in given) for given in (overrides, choices)]
        return cls(typed[0], typed[1], files)

    def place(self, key: str) -> str:
        """Where ``key`` (dotted) got its value, or the nearest node above it; empty if it was never written."""
        for written, text in reversed(self.overrides):
            if key == written or key.startswith(written + ".") or written.startswith(key + "."):
                return f"the command line: {text}"
        parts = key.split(".")
        for depth in range(len(parts), 0, -1):
            for package, path in reversed(self.files):
                line = _line(path, _below(parts[:depth], package))
                if line:
                    return f"{path}:{line}"
        return next((f"the command line: {text}" for group, text in self.choices if group == key), "")


def files_of(defaults: Sequence[ResultDefault], repo: IConfigRepository) -> tuple[tuple[str, Path], ...]:
    """Pairs (package, path of the file) of a defaults list, see :class:`Sources`."""
    files = []
    for default in defaults:
        if default.config_path is None or default.config_path.startswith("hydra/"):
            continue
        loaded = repo.load_config(default.config_path)
        if loaded is not None and loaded.path.startswith("file://"):
            path = Path(loaded.path.removeprefix("file://")) / f"{default.config_path}.yaml"
            files.append((default.package or "", path))
    return tuple(files)


def _below(parts: list[str], package: str) -> tuple[str, ...] | None:
    """The key inside a file of ``package``, or None where the file cannot hold it."""
    prefix = package.split(".") if package else []
    if parts[: len(prefix)] != prefix or len(parts) == len(prefix):
        return None
    return tuple(parts[len(prefix) :])


@cache
def _line(path: Path, parts: tuple[str, ...] | None) -> int:
    """The 1-based line of a key in a YAML file; 0 where the file does not hold it."""
    if parts is None or not path.is_file():
        return 0
    node = yaml.compose(path.read_text(encoding="utf-8"))
    line = 0
    for part in parts:
        if not isinstance(node, yaml.MappingNode):
            return 0
        for name, value in node.value:
            if name.value == part:
                line, node = name.start_mark.line + 1, value
                break
        else:
            return 0
    return line
