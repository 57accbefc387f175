"""What a sweep's command line spans: fixed overrides, and the values of those that vary."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from hydra._internal.hydra import Hydra
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig

from finesweep.config.compose import compose_parsed, config_errors, parse_overrides
from finesweep.config.errors import ConfigError, Problem, did_you_mean


@dataclass(frozen=True)
class Space:
    """The overrides of a sweep.

    Attributes:
        fixed: those that every job shares, Hydra's own left out.
        varying: those that sweep, on the command line or in an experiment's ``hydra.sweeper.params``.
        master: the configuration of the sweep itself: ``hydra.launcher``, ``hydra.sweeper``, ``replicates``, ``keep``.
    """

    fixed: list[Override]
    varying: list[Override]
    master: DictConfig

    @property
    def fixed_texts(self) -> list[str]:
        return [text_of(each) for each in self.fixed]

    @property
    def fixed_keys(self) -> list[str]:
        return [each.key_or_group for each in self.fixed]


def space(hydra: Hydra, overrides: Sequence[str]) -> Space:
    """Tell what varies from what does not.

    Raises:
        ConfigError: an override cannot be parsed, or the groups do not compose.
    """
    given = parse_overrides(hydra, overrides)
    fixed = [each for each in given if not each.is_sweep_override()]
    master = compose_parsed(hydra, fixed, RunMode.MULTIRUN)
    params = master.hydra.sweeper.get("params")
    if params is not None and not isinstance(params, DictConfig):
        raise ConfigError([Problem("hydra.sweeper.params", f"should be keys with their values, not {params!r}")])
    in_file = [f"{key!s}={value}" for key, value in (params or {}).items()]
    names = {each.key_or_group for each in given}
    more = [each for each in parse_overrides(hydra, in_file) if each.key_or_group not in names]
    varying = [each for each in (*given, *more) if each.is_sweep_override()]
    own = [each for each in (*given, *more) if each not in varying and not each.key_or_group.startswith("hydra")]
    _check_varying(varying)
    if set(map(text_of, own)) - set(map(text_of, fixed)):  # params sets something for all jobs
        master = compose_parsed(hydra, [*fixed, *(each for each in own if each not in fixed)], RunMode.MULTIRUN)
    return Space(own, varying, master)


def _check_varying(varying: Sequence[Override]) -> None:
    keys = [each.key_or_group for each in varying]
    problems = [
        Problem(key, "belongs to the sweep itself and cannot vary within it: give it one value")
        for key in keys
        if key.startswith("hydra")
    ]
    problems += [Problem(key, "is given several values more than once") for key in set(keys) if keys.count(key) > 1]
    if problems:
        raise ConfigError(problems)


def text_of(override: Override) -> str:
    """An override that does not sweep, in one spelling."""
    return f"{override.get_key_element()}={override.get_value_element_as_str()}"


def values_of(override: Override) -> list[str]:
    """The values of an override that sweeps, each as an override.

    Raises:
        ConfigError: they cannot be counted (``interval(0, 1)``).
    """
    if not override.is_discrete_sweep():
        message = f"'{override.input_line}' has no end of values: hydra/sweeper=optuna searches in it, a grid cannot"
        raise ConfigError([Problem(override.key_or_group, message, "the command line")])
    with config_errors():
        return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def combinations(found: Space, together: Sequence[Sequence[str]] = ()) -> list[list[str]]:
    """One list of overrides for each combination of the values that vary, in the order of the command line.

    Args:
        together: keys that advance side by side instead of being combined.

    Raises:
        ConfigError: such keys do not vary, or have not as many values.
    """
    values = {each.key_or_group: values_of(each) for each in found.varying}
    _check_together(values, together)
    axes: list[list[tuple[str, ...]]] = []
    for key in values:
        group = next((keys for keys in together if key in keys), [key])
        if key == next(each for each in values if each in group):  # the first of them stands for all
            axes.append(list(zip(*(values[each] for each in group), strict=True)))
    fixed = found.fixed_texts
    return [[*fixed, *itertools.chain(*chosen)] for chosen in itertools.product(*axes)]


def _check_together(values: dict[str, list[str]], together: Sequence[Sequence[str]]) -> None:
    problems = []
    where = "hydra.sweeper.zip"
    named = [key for keys in together for key in keys]
    for key in named:
        if key not in values:
            problems.append(Problem(where, f"'{key}' has no values to go through.{did_you_mean(key, values)}"))
        elif named.count(key) > 1:
            problems.append(Problem(where, f"'{key}' stands in it more than once"))
    for keys in together:
        counts = {key: len(values[key]) for key in keys if key in values}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{key} has {count}" for key, count in counts.items())
            problems.append(Problem(where, f"keys that advance together need as many values each: {told}"))
    if problems:
        raise ConfigError(problems)
