"""What a search searches in: Hydra's override syntax as Optuna's distributions, and their values as overrides again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import yaml
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from omegaconf import OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from finesweep.config.errors import ConfigError, Problem
from finesweep.config.grid import Space, values_of
from finesweep.config.identity import REPLICATES

#: Digits of a float that is searched for: a name of a folder can be read, and no result hangs on the fifth.
_DIGITS = 4


@dataclass(frozen=True)
class Axis:
    """A key that is searched.

    Attributes:
        key: as an override has it, a group too.
        element: the same with Hydra's prefix, ``+key`` for example.
        distribution: of its values; those of a choice are texts, as an override has them.
    """

    key: str
    element: str
    distribution: BaseDistribution

    def override(self, value: Any) -> str:
        """The override that sets it to a value of the distribution."""
        if not isinstance(self.distribution, FloatDistribution):
            return f"{self.element}={value}"
        short = float(f"{value:.{_DIGITS}g}")
        return f"{self.element}={min(max(short, self.distribution.low), self.distribution.high)}"

    def standing_for(self, value: Any) -> Any:
        """The value of the distribution that stands for one of a configuration, None if it does not lie in it."""
        if isinstance(self.distribution, CategoricalDistribution):
            same = [text for text in self._choices if text == str(value) or _plain(text) == value]
            return same[0] if same else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        inside = self.distribution._contains(self.distribution.to_internal_repr(value))
        return value if inside else None

    @property
    def ends(self) -> list[Any]:
        """Every choice, or the least and the greatest value."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self._choices
        assert isinstance(self.distribution, IntDistribution | FloatDistribution)
        return [self.distribution.low, self.distribution.high]

    @cached_property
    def values(self) -> list[Any] | None:
        """All values, None where they have no end."""
        match self.distribution:
            case CategoricalDistribution():
                return self._choices
            case IntDistribution(low=low, high=high, step=step):
                return list(range(low, high + 1, step))
            case FloatDistribution(low=low, high=high, step=float(step)):
                count = round((high - low) / step) + 1
                return [float(Decimal(str(low)) + i * Decimal(str(step))) for i in range(count)]
        return None

    @property
    def _choices(self) -> list[str]:
        assert isinstance(self.distribution, CategoricalDistribution)
        return [str(choice) for choice in self.distribution.choices]


def axes(found: Space) -> tuple[list[Axis], list[Override]]:
    """What is searched, and what sets replicates apart, which is never searched.

    Raises:
        ConfigError: nothing is searched, or a space cannot be understood; all of them are named.
    """
    searched, problems = [], []
    for each in found.varying:
        if each.key_or_group in REPLICATES:
            continue
        try:
            searched.append(Axis(each.key_or_group, each.get_key_element(), _distribution(each)))
        except ValueError as error:
            problems.append(Problem(each.key_or_group, str(error), "the command line or hydra.sweeper.params"))
    if problems:
        raise ConfigError(problems)
    return searched, [each for each in found.varying if each.key_or_group in REPLICATES]


def default_of(found: Space, axis: Axis) -> Any:
    """The value of the distribution that stands for what the configuration has without the search, or None."""
    chosen = found.master.hydra.runtime.choices.get(axis.key)
    value = chosen if chosen is not None else OmegaConf.select(found.master, axis.key)
    return axis.standing_for(OmegaConf.to_container(value) if OmegaConf.is_config(value) else value)


def _plain(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _distribution(override: Override) -> BaseDistribution:
    """
    Raises:
        ValueError: with what is wrong with it.
    """
    value: Any = override.value()
    tags: set[str] = getattr(value, "tags", set())
    if unknown := sorted(tags - {"log"}):
        raise ValueError(f"the tag '{unknown[0]}' means nothing here, only log does: tag(log, interval(1e-5, 1e-3))")
    log = "log" in tags
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        assert low is not None
        assert high is not None
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"'{override.input_line}' must have an end")
        if low >= high or (log and low <= 0):
            must = "start above 0, for its logarithm," if log else "start"
            raise ValueError(f"'{override.input_line}' must {must} below its end")
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=log)
        return FloatDistribution(float(low), float(high), log=log)
    if isinstance(value, RangeSweep):
        return _range(override, value, log)
    if log:
        raise ValueError("a choice has no logarithm: leave tag(log, …) out")
    choices = [text.partition("=")[2] for text in values_of(override)]
    if not choices:
        raise ValueError(f"'{override.input_line}' has no values")
    return CategoricalDistribution(list(dict.fromkeys(choices)))


def _range(override: Override, value: RangeSweep, log: bool) -> BaseDistribution:
    """The end of a range does not belong to it, as in Python and for Hydra."""
    every: Sequence[Any] = sorted(value.range())
    if not every:
        raise ValueError(f"'{override.input_line}' has no values")
    whole = all(isinstance(each, int) for each in every)
    step = abs(value.step)
    if log and not (whole and step == 1 and every[0] > 0):
        raise ValueError("a logarithm goes with whole numbers above 0 in steps of 1 only, or with interval(…)")
    if whole:
        return IntDistribution(every[0], every[-1], log=log, step=int(step))
    return FloatDistribution(float(every[0]), float(every[-1]), step=float(step))
