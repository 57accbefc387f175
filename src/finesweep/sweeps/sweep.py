"""A sweep: expand it, check every job before the first one starts, run them through Hydra, sum them up."""

import math
import sys
import traceback
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from finesweep.config.check import check
from finesweep.config.compose import CONFIG_NAME, Composition, compose, expand, lenient
from finesweep.config.errors import ConfigError, Problem, UserError
from finesweep.config.identity import config_hash
from finesweep.config.provenance import Sources
from finesweep.results.leaderboard import write_leaderboard
from finesweep.results.record import RunRecord


def checked_jobs(hydra: Hydra, overrides: Sequence[str]) -> tuple[list[tuple[list[str], dict[str, Any]]], list[str]]:
    """Every job of a sweep, composed and checked, as pairs (overrides, configuration); and the keys they all share.

    Raises:
        ConfigError: the problems of all jobs, each said once.
    """
    grid = expand(hydra, overrides)
    jobs: list[tuple[list[str], dict[str, Any]]] = []
    problems: list[Problem] = []
    for job in grid.jobs:
        try:
            jobs.append((job, check(compose(hydra, job))))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    seen: dict[str, list[str]] = {}
    for job, values in jobs:
        twin = seen.setdefault(config_hash(values), job)
        if twin is not job:
            message = f"two jobs of the sweep are the same run: '{' '.join(twin)}' and '{' '.join(job)}'"
            raise ConfigError([Problem("command line", message)])
    return jobs, grid.fixed


def run_sweep(hydra: Hydra, overrides: Sequence[str], command: str) -> int:
    """Run all jobs of a sweep and write its leaderboard, also if some fail or the sweep is stopped.

    Returns:
        the number of jobs that did not end well.

    Raises:
        ConfigError: something is wrong with some job; none was started.
    """
    jobs, fixed = checked_jobs(hydra, overrides)
    texts = [*lenient(hydra, overrides), f"hydra.job.config.override_dirname.exclude_keys={_listed(fixed)}"]
    if not any(text.startswith("hydra.sweep.dir=") for text in texts):
        texts.append(f"hydra.sweep.dir='{_fresh_folder([values['name'] for _, values in jobs])}'")
    failures: list[str] = []
    folders: list[Path] = []

    def job(cfg: DictConfig) -> float:
        folder = Path(HydraConfig.get().runtime.output_dir)
        folders.append(folder)
        overrides = [text.lstrip("+") for text in HydraConfig.get().overrides.task]
        print(f"[{len(folders)}/{len(jobs)}] {folder.name}", file=sys.stderr)
        try:
            record = run_job(cfg, folder, overrides, command, sweep=folder.parent.name)
            return float(record.objective["value"])
        except Exception as error:
            failures.append(folder.name)
            what = str(error) if isinstance(error, UserError) else "".join(traceback.format_exception_only(error))
            print(f"  failed: {what.strip()}\n  see {folder}/record.json", file=sys.stderr)
            return math.nan  # the sweep goes on; a search takes it for a failed trial

    try:
        hydra.multirun(CONFIG_NAME, job, texts)
    finally:
        if folders:
            _summarise(folders)
    return len(failures)


def run_job(cfg: DictConfig, folder: Path, overrides: list[str], command: str, sweep: str | None = None) -> RunRecord:
    """One job as Hydra hands it over."""
    from finesweep.training.runner import run  # imports torch and Lightning: only once something is to be trained

    values = check(Composition(cfg, Sources()))
    return run(values, folder, command=command, overrides=overrides, sweep=sweep)


def _fresh_folder(names: list[str]) -> Path:
    """A folder that no other sweep has, below the name that all jobs share, or ``mixed``."""
    name = names[0] if len(set(names)) == 1 else "mixed"
    stem = Path("outputs") / name / f"sweep-{datetime.now():%Y-%m-%d_%H-%M-%S}"
    folder, number = stem, 1
    while True:
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            folder = stem.with_name(f"{stem.name}-{number}")
        else:
            return folder


def _listed(keys: list[str]) -> str:
    return "[" + ",".join(f"'{key}'" for key in keys) + "]"


def _summarise(folders: list[Path]) -> None:
    records = [RunRecord.read(folder) for folder in folders if (folder / "record.json").is_file()]
    if records:
        sweep = folders[0].parent
        print(write_leaderboard(records, sweep))
        print(f"\nResults: {sweep}/leaderboard.csv, and a folder for each run beside it")
