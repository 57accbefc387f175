"""From command-line overrides to composed jobs: the only place that talks to Hydra's composition.

``hydra_session`` opens Hydra on ``conf/`` (and a user's ``--config-dir``), ``Composer`` makes the configuration of each
job together with where each value was written.
"""

import logging
import pickle
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from finesweep.config.errors import ConfigError, Problem, UserError, did_you_mean
from finesweep.config.identity import config_hash, plain
from finesweep.config.machine import settle
from finesweep.config.paths import conf_dir
from finesweep.config.provenance import Sources, files_of

CONFIG_NAME = "train"
#: Of Hydra's own keys those that a check of ours has the last word on.
_CHECKED = ("hydra.launcher.", "hydra.sweeper.")


@contextmanager
def hydra_session(config_dir: str | Path | None = None) -> Iterator[Hydra]:
    """Hydra, set up on our ``conf/`` with the user's own groups from ``config_dir`` before it.

    Raises:
        UserError: ``config_dir`` is no folder.
    """
    version.setbase("1.3")
    search_path = create_config_search_path(str(conf_dir()))
    if config_dir is not None:
        folder = Path(config_dir).resolve()
        if not folder.is_dir():
            raise UserError(f"'{config_dir}' is no folder", where="--config-dir", remedy="name an existing folder")
        search_path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema", path=None))
    OmegaConf.register_new_resolver("config_hash", _short_hash, replace=True)
    before = GlobalHydra.instance().hydra
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield Hydra.create_main_hydra2(CONFIG_NAME, search_path)
    finally:
        GlobalHydra.instance().clear()
        GlobalHydra.instance().hydra = before
        root.handlers[:], root.level = handlers, level  # Hydra's flags that print something leave theirs behind


def _short_hash(*, _root_: DictConfig) -> str:
    return config_hash(settle(plain(_root_)))[:8]


@dataclass(frozen=True)
class Composition:
    """A composed job: its configuration without Hydra's own part, and where each key of it was written.

    ``multirun`` tells whether a file, an experiment's say, makes a sweep of it.
    """

    cfg: DictConfig
    sources: Sources
    multirun: bool = False


class Composer:
    """Compose jobs. Hydra takes its time, so each choice of groups is composed once, and values are set on a copy."""

    def __init__(self, hydra: Hydra) -> None:
        self._hydra = hydra
        self._known: dict[str, _Known] = {}
        #: Pickled: of all ways to copy a configuration the quickest, four times as quick as a deep copy.
        self._bases: dict[tuple[str, ...], tuple[bytes, tuple[tuple[str, Path], ...], bool]] = {}

    def compose(self, overrides: Sequence[str]) -> Composition:
        """Compose one job. Unknown keys do not stop it: they are added, so that the check can report all at once.

        Raises:
            ConfigError: the groups do not compose (an unknown option, an override that cannot be parsed).
        """
        new = [text for text in dict.fromkeys(overrides) if text not in self._known]
        self._known |= zip(new, map(self._look_at, parse_overrides(self._hydra, new)), strict=True)
        known = [self._known[text] for text in overrides]
        if problems := [problem for each in known for problem in each.problems]:
            raise ConfigError(problems)
        choices = [each.typed for each in known if each.options]
        key = tuple(each.input_line or "" for each in choices)
        if key not in self._bases:
            self._bases[key] = self._base(choices)
        base, files, multirun = self._bases[key]
        cfg = pickle.loads(base)
        # Of Hydra's own part nothing is left here. What it would do with the values, it does: by the same function.
        values = [each for each in known if not each.options]
        own = [each.addition for each in values if not each.typed.key_or_group.startswith("hydra")]
        with config_errors():
            ConfigLoaderImpl._apply_overrides_to_config(own, cfg)
        return Composition(cfg, Sources.of([each.typed for each in values], choices, files), multirun)

    def _look_at(self, override: Override) -> "_Known":
        options = _options(self._hydra, override)
        (addition,) = parse_overrides(self._hydra, [_as_addition(override, options)])
        return _Known(override, options, addition, _option_problems(override, options))

    def _base(self, choices: Sequence[Override]) -> tuple[bytes, tuple[tuple[str, Path], ...], bool]:
        cfg = compose_parsed(self._hydra, choices, RunMode.RUN)
        multirun = cfg.hydra.mode == RunMode.MULTIRUN
        with open_dict(cfg):
            del cfg["hydra"]
        texts = [each.input_line or "" for each in choices]
        loader: Any = self._hydra.config_loader
        files = files_of(loader.compute_defaults_list(CONFIG_NAME, texts, RunMode.RUN).defaults, loader.repository)
        return pickle.dumps(cfg, pickle.HIGHEST_PROTOCOL), files, multirun


@dataclass(frozen=True)
class _Known:
    """An override as it was typed, the options of the group that it chooses from, and what is wrong with it.

    ``addition`` is the same such that a key that nobody knows is added.
    """

    typed: Override
    options: list[str]
    addition: Override
    problems: list[Problem]


def compose(hydra: Hydra, overrides: Sequence[str]) -> Composition:
    """One job, see :meth:`Composer.compose`."""
    return Composer(hydra).compose(overrides)


@contextmanager
def config_errors() -> Iterator[None]:
    """Inside, errors of Hydra and OmegaConf become a ConfigError."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError([Problem(_origin(error), _first_line(error))]) from error


def compose_parsed(hydra: Hydra, overrides: Sequence[Override], mode: RunMode) -> DictConfig:
    """Hydra's own composition, with its part of the configuration.

    Raises:
        ConfigError: the groups do not compose.
    """
    texts = [_as_addition(override, _options(hydra, override)) for override in overrides]
    with config_errors():
        return hydra.compose_config(CONFIG_NAME, texts, run_mode=mode, with_log_configuration=False)


def lenient(hydra: Hydra, overrides: Sequence[str]) -> list[str]:
    """The overrides such that Hydra adds a key that it does not know, where the check has the last word on keys."""
    return [_as_addition(override, _options(hydra, override)) for override in parse_overrides(hydra, overrides)]


def parse_overrides(hydra: Hydra, overrides: Sequence[str]) -> list[Override]:
    """
    Raises:
        ConfigError: some cannot be parsed; all of them are named.
    """
    parser = OverridesParser.create(config_loader=hydra.config_loader)
    parsed, problems = [], []
    for text in overrides:
        try:
            parsed += parser.parse_overrides([text])
        except HydraException as error:
            problems.append(Problem("command line", f"'{text}' is no override: {_first_line(error)}"))
    if problems:
        raise ConfigError(problems)
    return parsed


def _option_problems(override: Override, options: list[str]) -> list[Problem]:
    """What is wrong with the choice of an option; Hydra itself stops at the first that does not exist."""
    problems = []
    chosen = override.value()
    for choice in chosen if isinstance(chosen, list) else [chosen]:
        if options and isinstance(choice, str) and choice.removesuffix(".yaml") not in options:
            hint = did_you_mean(choice, options, otherwise=f" Options: {', '.join(options)}.")
            place = f"the command line: {override.input_line}"
            problems.append(Problem(override.key_or_group, f"there is no '{choice}'.{hint}", place))
    if override.is_sweep_override():
        message = "several values, but this is a single run. Add -m to sweep, or quote a text that has commas"
        problems.append(Problem(override.key_or_group, message, f"the command line: {override.input_line}"))
    return problems


def _options(hydra: Hydra, override: Override) -> list[str]:
    """The options of the group that an override chooses from; none where it sets a plain value."""
    return _options_of(hydra.config_loader, override.key_or_group)


@lru_cache(maxsize=256)  # of the hundreds of values of a seed it need not be asked again
def _options_of(loader: ConfigLoader, key: str) -> list[str]:
    return [name for name in loader.get_group_options(key) if not name.startswith("_")]


def _as_addition(override: Override, options: list[str]) -> str:
    """``key=value`` as ``++key=value``; group choices, deletions and Hydra's own keys stay as they are."""
    text = override.input_line or ""
    checked = not override.key_or_group.startswith("hydra") or override.key_or_group.startswith(_CHECKED)
    if checked and not override.is_delete() and not options:
        return "++" + text.lstrip("+")
    return text


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # Hydra wraps what OmegaConf says of a broken file in an error without words.
    return lines[0] if lines else _first_line(error.__cause__) if error.__cause__ else type(error).__name__


def _origin(error: Exception) -> str:
    """The key that an error of OmegaConf or Hydra is about."""
    key = getattr(error, "full_key", None)
    if key:
        return str(key)
    found = re.search(r"'([\w./@-]+)'", str(error))
    return found.group(1) if found and isinstance(error, ConfigCompositionException) else "configuration"
