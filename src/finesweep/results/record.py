"""The record of a run: written when it starts, when it ends well, and when it does not. Everything else mirrors it."""

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from finesweep.config.errors import UserError
from finesweep.config.identity import (
    REPLICATES,
    Replicate,
    config_hash,
    configuration,
    filled_up,
    has_effect,
    replicate,
)
from finesweep.config.secrets import is_redacted, redacted, redacted_text
from finesweep.results.files import write_atomically

FILE = "record.json"
#: What a job of a sweep has printed, beside its record.
LOG = "log.txt"
#: 1: without ``config``, ``cwd``, ``sweep``, ``process`` and ``resumed``. 2: with them.
FORMAT = 2
Status = Literal["running", "ok", "failed", "interrupted", "pruned"]


@dataclass
class RunRecord:
    """What a run was and what came of it.

    Attributes:
        folder: where the run lies; not written, since folders move.
        status: ``running``, ``ok``, ``failed`` (``error`` holds the traceback), ``interrupted`` or ``pruned``.
        format: of the record; older ones can be read.
        git: of the working directory's repository, see :func:`finesweep.results.environment.git_state`; what is not
            committed lies in uncommitted.diff. ``finesweep`` is the same of the code's own, if it is another.
        config_hash: of the resolved configuration, see :func:`finesweep.config.identity.config_hash`.
        overrides: what was changed on the command line, without a sweep's other jobs.
        data: for each split its rows, their fingerprint and where they came from.
        batch: ``rows`` of a training batch, how many of them ``accumulate`` to an optimizer step, and how many chunks
            of like length ``mix`` in it.
        model: ``fingerprint`` of the files that it was loaded from, and of the trained ``weights``; ``dropped``, why
            it is not there any more, if a sweep had better ones.
        labels: in the order of the model's outputs.
        parameters: ``total`` and ``trainable``, embeddings of sub-words among them that no training text has.
        objective: ``metric``, ``direction``, and the best ``value`` with its ``epoch`` and ``step``.
        metrics: ``before`` (the untrained model), ``validation`` and ``test`` (the best one), each by name.
        timing: ``train_seconds`` (optimisation alone), ``samples_per_second``, ``tokens_per_second``, …; of runs that
            trained as one each has its share of the time.
        fused: how many runs trained as one with it at most, itself among them, and shared its memory; 0 of a run alone.
            Dropout was drawn for all of them, so that no other run repeats it to the last digit.
        config: the resolved configuration; ``cwd`` is the folder that its relative paths start from.
        sweep: the name of the sweep that it belongs to.
        process: which one works or worked on it last, ``pid`` and ``host``.
        resumed: for each time that it went on after a stop: ``at``, the ``step``, and what of the environment
            ``differs`` from the first time.
        reproduces: the ``run`` that it does again, with how many ``threads`` and which ``batch``, the ``verdict`` and
            what ``differs``.
        notes: what the data reader decided that the user should know.
    """

    folder: Path
    name: str
    seed: int
    config_hash: str
    command: str
    overrides: list[str]
    status: Status = "running"
    format: int = FORMAT
    started: str = field(default_factory=lambda: now())
    finished: str | None = None
    git: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    batch: dict[str, int] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    parameters: dict[str, int] = field(default_factory=dict)
    objective: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    peak_memory_bytes: int | None = None
    fused: int = 0
    config: dict[str, Any] = field(default_factory=dict)
    cwd: str = "."
    sweep: str | None = None
    process: dict[str, Any] = field(default_factory=dict)
    resumed: list[dict[str, Any]] = field(default_factory=list)
    reproduces: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str | None = None

    def write(self) -> None:
        """Write ``record.json`` into the folder, atomically and without secrets."""
        values = redacted({key: value for key, value in asdict(self).items() if key != "folder"})
        write_atomically(self.folder / FILE, json.dumps(values, indent=2, ensure_ascii=False) + "\n")

    def end(self, status: Status, error: str | None = None) -> None:
        """Write the record with its final status."""
        self.status, self.error = status, redacted_text(error) if error else None
        self.finished = now()
        self.write()

    @classmethod
    def read(cls, folder: str | Path) -> "RunRecord":
        """The record in a folder.

        Raises:
            UserError: there is none, or it cannot be read.
        """
        file = Path(folder) / FILE
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
            newer = values.get("format", 1) > FORMAT
            known = {f.name for f in fields(cls)}
            record = cls(folder=Path(folder), **{key: value for key, value in values.items() if key in known})
        except FileNotFoundError as error:
            raise UserError("this is no run, it has no record.json", where=str(folder)) from error
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"the record cannot be read: {error}", where=str(file)) from error
        if newer:
            message = f"a newer finesweep wrote this record (format {record.format}, known up to {FORMAT})"
            raise UserError(message, where=str(file), remedy="update finesweep")
        return record

    @cached_property
    def known_config(self) -> dict[str, Any]:
        """``config``; of a record of old what its config.yaml holds, or nothing where that is gone."""
        with contextlib.suppress(UserError):
            return self.config or recorded_config(self)
        return {}

    @cached_property
    def given(self) -> dict[str, str]:
        """The overrides that can change a result: key or group -> value, as it was written."""
        parts = (text.lstrip("+~").partition("=") for text in self.overrides)
        return {key: value for key, _, value in parts if has_effect(key)}

    @cached_property
    def configuration(self) -> str:
        """What it has in common with runs that differ in nothing but seed and fold."""
        if self.known_config:
            return configuration(self.known_config)
        return json.dumps(sorted(each for each in self.given.items() if each[0] not in REPLICATES))

    @cached_property
    def replicate(self) -> Replicate:
        """What sets it apart from those: its seed and fold."""
        return replicate(self.known_config) if self.known_config else (self.seed, self.given.get("data.fold"))


def recorded_config(record: RunRecord) -> dict[str, Any]:
    """The resolved configuration of a run, as its record or, in records of old, config.yaml holds it.

    Raises:
        UserError: it is not the one that the run was started with.
    """
    file = record.folder / "config.yaml"
    try:
        values = record.config or yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"the configuration of the run cannot be read: {error}", where=str(file)) from error
    if config_hash(values) != record.config_hash:
        where = str(record.folder / FILE if record.config else file)
        raise UserError("this is not the configuration of the run: its hash is another one", where=where)
    return filled_up(values)


def repeatable_config(record: RunRecord) -> dict[str, Any]:
    """The same, to run it again.

    Raises:
        UserError: as :func:`recorded_config`, or there were secrets in it, which no record holds.
    """
    values = recorded_config(record)
    if is_redacted(values):
        message = "the configuration of the run has secrets in it, which the record does not hold"
        raise UserError(message, where=str(record.folder), remedy=f"give the command again: {record.command}")
    return values


@contextlib.contextmanager
def working_folder(folder: str) -> Iterator[None]:
    """Inside, relative paths start from where they did when a run began, as long as that is there."""
    if not Path(folder).is_dir():
        message = f"{folder}, where the run was started, is gone: relative paths start from here"
        logging.getLogger("finesweep").warning(message)
        yield
        return
    with contextlib.chdir(folder):
        yield


def records_in(folder: Path, known: dict[Path, tuple[Any, RunRecord]] | None = None) -> list[RunRecord]:
    """The records of the runs right below a folder; one that cannot be read is no reason to stop.

    Args:
        known: what was read before; only files that have changed since are read again, and it is brought up to date.
    """
    known = {} if known is None else known
    records = []
    for file in sorted(folder.glob(f"*/{FILE}")):
        with contextlib.suppress(UserError, FileNotFoundError):
            state = file.stat()
            version = state.st_ino, state.st_mtime_ns, state.st_size
            if known.get(file, (None,))[0] != version:
                known[file] = version, RunRecord.read(file.parent)
            records.append(known[file][1])
    return records


def records_below(folder: Path) -> list[RunRecord]:
    """The records of all runs below a folder, however deep; of one that cannot be read a warning.

    Raises:
        UserError: none of them has ended, or the folder is that of one run.
    """
    if (folder / FILE).is_file():
        remedy = f"read {folder / 'report.md'}, or name the folder that it lies in"
        raise UserError("this is a single run, which has a report of its own", where=str(folder), remedy=remedy)
    if not folder.is_dir():
        raise UserError("there is no such folder", where=str(folder))
    found = []
    for file in sorted(folder.glob(f"**/{FILE}")):
        try:
            found.append(RunRecord.read(file.parent))
        except UserError as error:
            logging.getLogger("finesweep").warning(f"left out: {error.where}: {error.what}")
    if all(record.status == "running" for record in found):
        what = "the runs here have not ended yet" if found else "there are no runs below this folder"
        raise UserError(what, where=str(folder), remedy="name a folder with runs in it, such as outputs/<name>")
    return found


def unfinished(root: Path, config_hash: str) -> list[Path]:
    """The runs right below a folder that have this hash and did not end well, the newest first."""
    found = [record for record in records_in(root) if record.config_hash == config_hash and record.status != "ok"]
    return [record.folder for record in sorted(found, key=lambda record: record.started, reverse=True)]


def find_run(text: str, root: Path = Path("outputs")) -> Path:
    """The run folder that ``text`` names: a path, or a unique part of the path of a run below ``root``.

    Raises:
        UserError: no run, or several.
    """
    given = Path(text).expanduser()
    if (given / FILE).is_file():
        return given
    if given.name == FILE and given.is_file():
        return given.parent
    runs = sorted(file.parent for file in root.glob(f"**/{FILE}"))
    found = [run for run in runs if text in str(run)]
    if len(found) == 1:
        return found[0]
    if given.is_dir():
        raise UserError("this folder is no run, it has no record.json", where=text, remedy="name the folder of one run")
    if not found:
        raise UserError(f"there is no run '{text}' below {root}/", remedy="name a run folder, or a part of its name")
    listed = "\n     ".join(str(run) for run in found[:8])
    raise UserError(f"'{text}' fits {len(found)} runs:\n     {listed}", remedy="name a longer part")


def prediction_lines(rows: Iterable[dict[str, Any]], predictions: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Each row with its prediction beside it; keys that the row has too get ``predicted_`` before them.

    Keys that begin with ``_`` are what stands around a row, and not written.
    """
    for full, prediction in zip(rows, predictions, strict=True):
        row = {key: value for key, value in full.items() if not key.startswith("_")}
        named = {(f"predicted_{key}" if key in row else key): value for key, value in prediction.items()}
        yield json.dumps({**row, **named}, ensure_ascii=False) + "\n"


def now() -> str:
    """The time, to the microsecond: of two runs, the newer can be told."""
    return datetime.now(UTC).isoformat()
