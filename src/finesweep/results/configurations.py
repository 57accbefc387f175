"""Runs by configuration: which ones are replicates of each other, and what sets configurations apart."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from finesweep.config.identity import REPLICATES, Replicate, differences, effective, value_at
from finesweep.results.record import RunRecord

#: The runs of one configuration, by seed and fold.
Runs = dict[Replicate, RunRecord]
_MISSING = object()


def by_configuration(records: Sequence[RunRecord]) -> list[Runs]:
    """Group runs that differ in nothing but seed and fold, the configuration that was begun first before the others.

    A job that was done several times counts once: twice the same seed would feign certainty.
    """
    found: dict[str, Runs] = {}
    for record in sorted(by_job(records).values(), key=_worth):
        found.setdefault(record.configuration, {})[record.replicate] = record
    groups = sorted(found.values(), key=lambda runs: min(map(_age, runs.values())))
    return [dict(sorted(runs.items(), key=lambda pair: (pair[1].seed, str(pair[0])))) for runs in groups]


def by_job(records: Iterable[RunRecord]) -> dict[str, RunRecord]:
    """The run of each job, by its hash: of several the last that ended well, or the last if none did."""
    return {record.config_hash: record for record in sorted(originals(records), key=_worth)}


def originals(records: Iterable[RunRecord]) -> list[RunRecord]:
    """All but those that did a job again to see whether it can be reproduced, where the run of the job is there too."""
    found = list(records)
    there = {record.config_hash for record in found if not record.reproduces}
    return [record for record in found if not record.reproduces or record.config_hash not in there]


def _worth(record: RunRecord) -> tuple[bool, str, str]:
    return record.status == "ok", *_age(record)


def standing(lost_race: bool, score: float, direction: str) -> tuple[bool, bool, float]:
    """What to sort the configurations of one data set by, the best first.

    Whichever has lost a race, so that some of its runs are pruned, is behind: its score is one over other seeds.
    Behind all are those whose score is no number.
    """
    if not math.isfinite(score):
        return True, lost_race, 0.0
    return False, lost_race, -score if direction == "maximize" else score


def seed_scores(scores: Mapping[Replicate, float]) -> dict[Any, float]:
    """The score of each seed: the mean over its folds, which share training rows and are no independent replicates."""
    found: dict[Any, list[float]] = {}
    for (seed, _), score in scores.items():
        found.setdefault(seed, []).append(score)
    return {seed: mean(each) for seed, each in found.items()}


def mean(scores: Sequence[float]) -> float:
    """Of at least one score; nan if one of them is no finite number."""
    return statistics.fmean(scores) if all(map(math.isfinite, scores)) else math.nan


def settings_of(groups: Sequence[Runs]) -> list[dict[str, str]]:
    """What sets each configuration apart from the others: key -> value, the same keys for all.

    These are the keys that some command line gave and that have not the same value everywhere. Where one has not been
    given, the value is the one that it had all the same.
    """
    configs = [next(iter(runs.values())).known_config for runs in groups]
    given = [{key: text for record in runs.values() for key, text in record.given.items()} for runs in groups]

    def told(keys: Iterable[str]) -> list[dict[str, str]]:
        return [{key: _text(config, texts, key) for key in keys} for config, texts in zip(configs, given, strict=True)]

    keys = dict.fromkeys(key for texts in given for key in texts if key not in REPLICATES)
    if len({value_at(config, "data.name") for config in configs if config}) > 1:  # an experiment may have brought it
        keys.setdefault("data")
    found = told(keys)
    vary = [key for key in keys if len({each[key] for each in found}) > 1]
    # What no command line tells apart was made with other files of configuration.
    more = _unlike(configs, [tuple(each[key] for key in vary) for each in found])
    return told(dict.fromkeys([*vary, *more]))


def _age(record: RunRecord) -> tuple[str, str]:
    return record.started, str(record.folder)


def _text(config: dict[str, Any], given: Mapping[str, str], key: str) -> str:
    """The value of a key, spelled in one way however it came about; of a group its option."""
    value = value_at(config, key, _MISSING)
    if value is _MISSING:
        return given.get(key, "")
    if isinstance(value, dict) and ("_target_" in value or "name" in value):
        return given.get(key) or str(value.get("name") or value["_target_"].rpartition(".")[2])
    return _plain(value)


def _plain(value: Any) -> str:
    """A value as a command line has it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_plain(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_plain, value)) + "]"
    return scalar_text(value)


def scalar_text(value: Any) -> str:
    """A single value as a command line has it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _unlike(configs: Sequence[dict[str, Any]], told: Sequence[tuple[str, ...]]) -> list[str]:
    """The keys in which configurations differ of which the same is told."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for config, each in zip(configs, told, strict=True):
        alike.setdefault(each, []).append(config)
    lines = [
        line
        for first, *others in alike.values()
        for other in others
        for line in differences(effective(first), effective(other))
    ]
    keys = dict.fromkeys(line.partition(": ")[0] for line in lines)
    return [key for key in keys if key not in REPLICATES and not key.endswith("_target_")]
