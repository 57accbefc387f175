"""The jobs of a sweep: composed, checked, and named, before any of them starts."""

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra
from omegaconf import OmegaConf

from finesweep.config.check import check
from finesweep.config.compose import Composer, parse_overrides
from finesweep.config.errors import ConfigError, Problem, UserError
from finesweep.config.grid import Space, text_of
from finesweep.config.identity import NO_EFFECT, REPLICATES, config_hash, replicate
from finesweep.results.record import RunRecord

#: Letters that a folder's name may have, and how many.
_NAME = re.compile(r"[\w.=,+\-\[\]:]{1,120}")


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        overrides: all of it, as its record holds them.
        values: the checked configuration.
        hash: of it, which is the job's identity.
        name: of its folder, by the keys that set it apart.
    """

    overrides: list[str]
    values: dict[str, Any]
    hash: str
    name: str


class Planner:
    """Makes jobs of overrides.

    Args:
        fixed: keys that all jobs share, which do not go into names; but for seed and fold, of which more may come.
    """

    def __init__(self, hydra: Hydra, fixed: Sequence[str]) -> None:
        self._composer, self._fixed = Composer(hydra), set(fixed) - set(REPLICATES)

    def job(self, overrides: Sequence[str]) -> Job:
        """
        Raises:
            ConfigError: with all its problems.
        """
        values = check(self._composer.compose(overrides))
        texts = [text.lstrip("+~") for text in overrides]
        hashed = config_hash(values)
        return Job(texts, values, hashed, self._name(texts, hashed))

    def _name(self, texts: Sequence[str], hashed: str) -> str:
        """Its own overrides, the seed last; the hash where those make no good name."""
        own = [text for text in texts if text.partition("=")[0] not in self._fixed]
        name = ",".join(sorted(own, key=lambda text: text.startswith("seed=")))
        return name if _NAME.fullmatch(name) else hashed[:16]


def planned(planner: Planner, combinations: Sequence[Sequence[str]]) -> list[Job]:
    """Every job of a grid.

    Raises:
        ConfigError: the problems of all jobs, each said once; or two of them are the same run.
    """
    jobs = composed(planner, combinations)
    seen: dict[str, Job] = {}
    for job in jobs:
        twin = seen.setdefault(job.hash, job)
        if twin is not job:
            message = f"two jobs of the sweep are the same run: '{' '.join(twin.overrides)}' and "
            raise ConfigError([Problem("command line", f"{message}'{' '.join(job.overrides)}'")])
    return jobs


def composed(planner: Planner, combinations: Sequence[Sequence[str]]) -> list[Job]:
    """Several jobs.

    Raises:
        ConfigError: the problems of all jobs, each said once.
    """
    jobs: list[Job] = []
    problems: list[Problem] = []
    for overrides in combinations:
        try:
            jobs.append(planner.job(overrides))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return jobs


def sweep_hash(found: Space) -> str:
    """What makes two calls the same sweep: the keys that vary, and the values of those that do not.

    Not the values that vary, nor seeds and folds: a grid may grow.
    """
    free = {*REPLICATES, *NO_EFFECT}
    fixed = sorted(text_of(each) for each in found.fixed if each.key_or_group not in free)
    varying = sorted(each.key_or_group for each in found.varying if each.key_or_group not in free)
    return sha256("\n".join(["fixed", *fixed, "varying", *varying]).encode()).hexdigest()[:8]


def sweep_folder(found: Space, names: Sequence[str]) -> Path:
    """``hydra.sweep.dir``, by the name that all jobs share, or ``mixed``."""
    name = names[0] if len(set(names)) == 1 else "mixed"
    OmegaConf.register_new_resolver("sweep_hash", lambda: sweep_hash(found), replace=True)
    master = found.master.copy()
    master.name = name
    return Path(str(master.hydra.sweep.dir))


def with_replicates(found: Space, hydra: Hydra) -> Space:
    """The space with the seeds that ``replicates`` asks for.

    Raises:
        ConfigError: seeds vary already.
    """
    count, first = found.master.replicates, found.master.seed
    if not isinstance(count, int) or not isinstance(first, int) or count <= 1:  # which the check of the jobs tells
        return found
    if any(each.key_or_group == "seed" for each in found.varying):
        raise ConfigError([Problem("replicates", "seed has several values already: give one of the two")])
    seeds = parse_overrides(hydra, [f"seed={','.join(str(first + i) for i in range(count))}"])
    fixed = [each for each in found.fixed if each.key_or_group not in ("seed", "replicates")]
    return replace(found, fixed=fixed, varying=[*found.varying, *seeds])


def folder_of(sweep: Path, job: Job, known: Mapping[str, RunRecord]) -> Path:
    """The folder of a job: where its run is, whatever that was called when it was begun; else by the job's name, and
    its hash too where another configuration has taken that name.

    Args:
        known: the runs of jobs by their hash.
    """
    if job.hash in known:
        return known[job.hash].folder
    plain = sweep / job.name
    with contextlib.suppress(UserError):  # there is none, or it was damaged and is written anew
        if RunRecord.read(plain).config_hash != job.hash:
            return sweep / f"{job.name}-{job.hash[:8]}"
    return plain


def by_replicate(jobs: Sequence[Job]) -> list[Job]:
    """The first replicate of all configurations, then the second, …"""
    order = list(dict.fromkeys(replicate(job.values) for job in jobs))
    return sorted(jobs, key=lambda job: order.index(replicate(job.values)))
