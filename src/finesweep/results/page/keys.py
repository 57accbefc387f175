"""The keys that vary within a sweep: which values they have, and where these stand on an axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from finesweep.results.leaderboard import Entry

#: So many different numbers have a tick each; more get round ones.
_FEW = 6
#: Ticks closer than this, of an axis of length 1, would be written over each other.
_APART = 0.045


@dataclass(frozen=True)
class Axis:
    """Where values stand.

    Attributes:
        positions: of each value, from 0 to 1.
        ticks: positions and what is written there.
        step: between two neighbours, where values are no numbers; else 0.
    """

    positions: list[float]
    ticks: list[tuple[float, str]]
    step: float = 0.0


def varying(found: Sequence[Entry]) -> list[str]:
    """The keys that are not the same in all configurations."""
    keys = list(found[0].settings) if found else []
    return [key for key in keys if len({entry.settings[key] for entry in found}) > 1]


def numbers(values: Sequence[str]) -> list[float] | None:
    """The values as numbers; None if one of them is none."""
    try:
        found = [float(value) for value in values]
    except ValueError:
        return None
    return found if all(math.isfinite(value) for value in found) else None


def spans_decades(values: Sequence[float]) -> bool:
    """Whether numbers are far enough apart for a logarithmic axis."""
    return min(values) > 0 and max(values) / min(values) >= 10


def axis_of(values: Sequence[str]) -> Axis:
    """The axis of a key's values: of numbers a linear one, or a logarithmic one where they span decades."""
    found = numbers(values)
    if found is None:
        names = sorted(set(values))
        step = 1 / max(1, len(names) - 1)
        at = {name: i * step for i, name in enumerate(names)}
        return Axis([at[value] for value in values], _apart([(at[name], name or "unset") for name in names]), step)
    texts = dict(zip(found, values, strict=True))
    return axis_of_numbers(found, texts if len(texts) <= _FEW else None)


def axis_of_numbers(values: Sequence[float], texts: dict[float, str] | None = None) -> Axis:
    """
    Args:
        texts: the ticks, value -> what is written there; None chooses some.
    """
    log = spans_decades(values)
    low, high = min(values), max(values)

    def position(value: float) -> float:
        if high == low:
            return 0.5
        if log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    if texts is None:
        texts = {value: f"{value:.3g}" for value in (_decades(low, high) if log else _round(low, high))}
    return Axis([position(v) for v in values], _apart(sorted((position(v), text) for v, text in texts.items())))


def _round(low: float, high: float) -> list[float]:
    """About five round numbers in between."""
    if high == low:
        return [low]
    rough = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = size * next(factor for factor in (1, 2, 5, 10) if factor * size >= rough * 0.999)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _decades(low: float, high: float) -> list[float]:
    inside = [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    return sorted({low, *inside, high})


def _apart(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    kept: list[tuple[float, str]] = []
    for at, text in ticks:
        if not kept or at - kept[-1][0] >= _APART:
            kept.append((at, text))
    return kept


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Key -> its last part, where no other key ends in the same."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)}


def name_of(entry: Entry, keys: Sequence[str]) -> str:
    """What a configuration is called in a figure: ``lora, lr=0.001``, options of groups by their names alone."""
    names = short_names(keys)
    parts = []
    for key in keys:
        value = entry.settings[key] or "unset"
        of_group = "." not in key and numbers([value]) is None and value != "unset"
        parts.append(value if of_group else f"{names[key]}={value}")
    return ", ".join(parts) or "the configuration"
