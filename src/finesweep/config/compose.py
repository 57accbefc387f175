"""From command-line overrides to composed jobs: the only place that talks to Hydra's composition.

``hydra_session`` opens Hydra on ``conf/`` (and a user's ``--config-dir``), ``expand`` turns a sweep into one list
of overrides a job, ``compose`` makes the configuration of one job together with where each value was written.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hydra import version
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
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
from finesweep.config.provenance import Sources

CONFIG_NAME = "train"


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
    OmegaConf.register_new_resolver("job_folder", _job_folder, replace=True)
    before = GlobalHydra.instance().hydra
    try:
        yield Hydra.create_main_hydra2(CONFIG_NAME, search_path)
    finally:
        GlobalHydra.instance().clear()
        GlobalHydra.instance().hydra = before


def _short_hash(*, _root_: DictConfig) -> str:
    return config_hash(settle(plain(_root_)))[:8]


def _job_folder(*, _root_: DictConfig) -> str:
    """The folder of a sweep's job: its own overrides, the seed last; its number where those make no good name."""
    fixed = set(_root_.hydra.job.config.override_dirname.exclude_keys)
    texts = [text.lstrip("+~") for text in _root_.hydra.overrides.task]
    own = [text for text in texts if text.partition("=")[0] not in fixed]
    name = ",".join(sorted(own, key=lambda text: text.startswith("seed=")))
    plain_name = re.fullmatch(r"[\w.=,+\-\[\]:]{1,120}", name)
    return name if plain_name else str(_root_.hydra.job.num)


@dataclass(frozen=True)
class Grid:
    """The jobs of a sweep.

    Attributes:
        jobs: one list of overrides for each combination of the swept values, in Hydra's order.
        fixed: the keys that every job shares.
    """

    jobs: list[list[str]]
    fixed: list[str]


def expand(hydra: Hydra, overrides: Sequence[str]) -> Grid:
    """The jobs of a grid, with what an experiment file sweeps in ``hydra.sweeper.params``.

    Raises:
        ConfigError: an override cannot be parsed, or sweeps a continuous range, which a grid cannot.
    """
    parsed = _parse(hydra, overrides)
    given = {override.key_or_group for override in parsed}
    master = _compose(hydra, [o for o in parsed if not o.is_sweep_override()], RunMode.MULTIRUN)
    in_file = [f"{key}={value}" for key, value in (master.hydra.sweeper.get("params") or {}).items()]
    parsed += [o for o in _parse(hydra, in_file) if o.key_or_group not in given]
    try:
        jobs = BasicSweeper.split_arguments(parsed, None)[0]
    except HydraException as error:
        raise ConfigError([Problem("command line", _first_line(error))]) from error
    own = [[text for text in job if not text.lstrip("+~").startswith(("hydra.", "hydra/"))] for job in jobs]
    return Grid(own, [o.key_or_group for o in parsed if not o.is_sweep_override()])


@dataclass(frozen=True)
class Composition:
    """A composed job: its configuration without Hydra's own part, and where each key of it was written."""

    cfg: DictConfig
    sources: Sources


def compose(hydra: Hydra, overrides: Sequence[str]) -> Composition:
    """Compose one job. Unknown keys do not stop it: they are added, so that the check can report all at once.

    Raises:
        ConfigError: the groups do not compose (an unknown option, an override that cannot be parsed).
    """
    parsed = _parse(hydra, overrides)
    _check_options(hydra, parsed)
    cfg = _compose(hydra, parsed, RunMode.RUN)
    defaults = hydra.config_loader.compute_defaults_list(CONFIG_NAME, lenient(hydra, overrides), RunMode.RUN).defaults
    choices = [override for override in parsed if _options(hydra, override)]
    values = [override for override in parsed if override not in choices]
    repository = hydra.config_loader.repository  # type: ignore[attr-defined]
    with open_dict(cfg):
        del cfg["hydra"]
    return Composition(cfg, Sources.of(values, choices, defaults, repository))


def _compose(hydra: Hydra, parsed: Sequence[Override], mode: RunMode) -> DictConfig:
    texts = [_as_addition(hydra, override) for override in parsed]
    try:
        return hydra.compose_config(CONFIG_NAME, texts, run_mode=mode, with_log_configuration=False)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError([Problem(_origin(error), _first_line(error))]) from error


def lenient(hydra: Hydra, overrides: Sequence[str]) -> list[str]:
    """The overrides such that Hydra adds a key that it does not know, where the check has the last word on keys."""
    return [_as_addition(hydra, override) for override in _parse(hydra, overrides)]


def _parse(hydra: Hydra, overrides: Sequence[str]) -> list[Override]:
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


def _check_options(hydra: Hydra, overrides: Sequence[Override]) -> None:
    """Every group choice must exist; Hydra itself stops at the first that does not."""
    problems = []
    for override in overrides:
        options = _options(hydra, override)
        chosen = override.value()
        for choice in chosen if isinstance(chosen, list) else [chosen]:
            if options and isinstance(choice, str) and choice.removesuffix(".yaml") not in options:
                hint = did_you_mean(choice, options, otherwise=f" Options: {', '.join(options)}.")
                place = f"the command line: {override.input_line}"
                problems.append(Problem(override.key_or_group, f"there is no '{choice}'.{hint}", place))
        if override.is_sweep_override():
            message = "several values, but this is a single run. Add -m to sweep, or quote a text that has commas"
            problems.append(Problem(override.key_or_group, message, f"the command line: {override.input_line}"))
    if problems:
        raise ConfigError(problems)


def _options(hydra: Hydra, override: Override) -> list[str]:
    """The options of the group that an override chooses from; none where it sets a plain value."""
    names = hydra.config_loader.get_group_options(override.key_or_group)
    return [name for name in names if not name.startswith("_")]


def _as_addition(hydra: Hydra, override: Override) -> str:
    """``key=value`` as ``++key=value``; group choices, deletions and Hydra's own keys stay as they are."""
    text = override.input_line or ""
    own = not override.is_delete() and not override.key_or_group.startswith("hydra")
    if own and not _options(hydra, override):
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
