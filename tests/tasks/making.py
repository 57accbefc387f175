"""What the tests of tasks share: a task as its YAML configures it, files read by it, a frame around a tokenizer."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from finesweep.config.instantiate import build
from finesweep.config.paths import conf_dir
from finesweep.config.schema import Objective
from finesweep.data.base import SPLITS, Limit
from finesweep.data.sources import FileSource
from finesweep.data.table import Table
from finesweep.tasks.base import Examples, Frame, Kind, Task


def task_of(name: str, **changes: Any) -> Any:
    """The task of ``conf/task/<name>.yaml`` with some of its keys changed."""
    folder = conf_dir() / "task"
    own: Any = OmegaConf.load(folder / f"{name}.yaml")
    merged = OmegaConf.merge(*(OmegaConf.load(folder / f"{base}.yaml") for base in own.pop("defaults", [])), own)
    if "cache_dir" in merged:  # which is the run's
        merged.cache_dir = os.environ["FINESWEEP_CACHE"]
    values: Any = OmegaConf.to_container(merged, resolve=True)
    return build({**values, "objective": Objective(**values["objective"]), **changes}, [])


def source_of(task: Task, **changes: Any) -> FileSource:
    """Files for a task, as ``conf/data/files.yaml`` configures them but for the changes."""
    values: dict[str, Any] = {}
    for name in ("_base", "files"):
        values |= yaml.safe_load((conf_dir() / "data" / f"{name}.yaml").read_text())
    values |= {"task": task.name, "limit": Limit(**values["limit"]), "validation_fraction": 0.5}
    return FileSource(
        **{key: value for key, value in (values | changes).items() if key not in ("defaults", "_target_")}
    )


def read_files(
    task: Task, folder: Path, contents: Mapping[str, str], labels: Sequence[str] | None = None, **changes: Any
) -> Examples:
    """Write files named by their splits (``train.txt``), and have the task read them."""
    paths = {}
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")
        paths[name.partition(".")[0]] = str(folder / name)
    source = source_of(task, **paths, **changes)
    return task.read(tables_of(task, source), source, labels)


def tables_of(task: Task, source: FileSource) -> dict[str, Table]:
    """Every file with the task's columns found and all its rows: nothing is held out."""
    tables = source.tables(SPLITS, task.wanted)
    return {split: table.find(task.wanted, source.columns_set()) for split, table in tables.items()}


def frame_of(tokenizer: Any, labels: Sequence[str] = (), max_length: int = 32, kind: Kind = "encoder") -> Frame:
    """What a task has to know of a model."""
    return Frame(tokenizer, list(labels), max_length, kind)
