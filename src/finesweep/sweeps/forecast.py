"""What can be told of jobs before they run: how many there are, what each needs, how long they take, if they fit."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from finesweep.config.errors import UserError
from finesweep.config.identity import config_hash
from finesweep.results.configurations import originals
from finesweep.results.environment import machine_memory
from finesweep.results.record import RunRecord, Status, records_in
from finesweep.results.tables import aligned, duration_text, size_text
from finesweep.sweeps.plan import Job
from finesweep.sweeps.pool import Pool
from finesweep.sweeps.sketch import Sketch
from finesweep.training.estimate import LIBRARIES, Estimate, Estimator, kind

_NOTE = (
    "memory: roughly, of weights, gradients, optimizer and the activations of a full batch of the longest rows;\n"
    f"        Python and its libraries take about {size_text(LIBRARIES)} beside it in each process"
)


@dataclass
class _Kind:
    """Jobs that differ in nothing that matters here.

    Attributes:
        estimate: for each of them; None where the job would fail, and ``problem`` says why.
        done: how many of them, which took so many ``seconds``, where that can be told.
    """

    jobs: list[Job] = field(default_factory=list)
    estimate: Estimate | None = None
    problem: str = ""
    done: int = 0
    seconds: list[float] = field(default_factory=list)

    @property
    def left(self) -> int:
        return len(self.jobs) - self.done


@dataclass(frozen=True)
class Forecast:
    """All of it as text, and how many jobs would fail."""

    text: str
    broken: int


def forecast_run(overrides: Sequence[str], values: dict[str, Any]) -> Forecast:
    """What can be told of a single run."""
    job = Job(list(overrides), values, config_hash(values), " ".join(overrides) or values["name"])
    kinds = _kinds([job])
    lines = _memory(kinds, 1, _gpu_memory("0") if values["trainer"]["accelerator"] == "gpu" else None)
    return _told(_table(kinds, ["job"], [[job.name]]), "1 job", lines, kinds)


def forecast_sweep(asked: Sketch) -> Forecast:
    """What can be told of a sweep, by its jobs and by what is done of them in its folder."""
    records = originals(records_in(asked.folder))
    kinds = _kinds(asked.jobs, records)
    names = [[name] for name in _names(kinds)]
    if asked.search is not None:
        head = f"{_jobs(asked.search.jobs)} at most (above the default and the ends of the space)"
        table, counted = _table(kinds, ["which"], names), [_searched(kinds, records, asked.search.jobs)]
    else:
        hashes = {job.hash for job in asked.jobs}
        records = [record for record in records if record.config_hash in hashes]
        cells = [[*name, len(each.jobs), each.done] for name, each in zip(names, kinds, strict=True)]
        head, table, counted = _jobs(len(asked.jobs)), _table(kinds, ["which", "jobs", "done"], cells), kinds
    lines = [_states(asked.folder, Counter(record.status for record in records))]
    left = sum(each.left for each in counted)
    if left and not any(each.problem for each in kinds):
        pool = asked.pool()
        slots = min(pool.slots, left)
        lines += [_time(counted, slots), *_memory(counted, *_crowd(pool, slots))]
    return _told(table, head, lines, kinds)


def _searched(probes: Sequence[_Kind], records: Sequence[RunRecord], total: int) -> _Kind:
    """The jobs of a search as one kind: as large as the largest of its probes, and as long as those done so far."""
    estimates = [each.estimate for each in probes if each.estimate is not None]
    return _Kind(
        probes[0].jobs[:1] * total, max(estimates, key=lambda each: each.memory, default=None),
        done=min(total, sum(record.status in ("ok", "pruned") for record in records)), seconds=_seconds(records),
    )  # fmt: skip


def _kinds(jobs: Sequence[Job], records: Sequence[RunRecord] = ()) -> list[_Kind]:
    estimator, kinds = Estimator(), dict[str, _Kind]()
    done = {record.config_hash for record in records if record.status == "ok"}
    for job in jobs:
        each = kinds.setdefault(kind(job.values), _Kind())
        each.jobs.append(job)
        each.done += job.hash in done
    for each in kinds.values():
        try:
            each.estimate = estimator.estimate(each.jobs[0].values)
        except UserError as error:
            each.problem = str(error)
    for record in records:
        if (name := kind(record.config)) in kinds:
            kinds[name].seconds += _seconds([record])
    estimator.note()
    return list(kinds.values())


def _seconds(records: Sequence[RunRecord]) -> list[float]:
    """How long runs took, of some that trained as one each its share; of one that went on after a stop that cannot be
    told."""
    done = [each for each in records if each.status == "ok" and each.finished and not each.resumed]
    times = [[datetime.fromisoformat(text) for text in (each.started, each.finished or "")] for each in done]
    spans = [(finished - started).total_seconds() for started, finished in times]
    return [span / max(1, each.fused) for span, each in zip(spans, done, strict=True)]


def _names(kinds: Sequence[_Kind]) -> list[str]:
    """What the jobs of each kind have in common that not all have."""
    shared = [set.intersection(*(set(job.overrides) for job in each.jobs)) for each in kinds]
    common = set.intersection(*shared)
    other = "all" if len(kinds) == 1 else "the others"
    return [
        " ".join(text for text in each.jobs[0].overrides if text in own - common) or other
        for each, own in zip(kinds, shared, strict=True)
    ]


def _table(kinds: Sequence[_Kind], header: list[str], cells: Sequence[list[Any]]) -> str:
    rows: list[list[Any]] = [[*header, "rows", "steps", "trainable", "parameters", "memory"]]
    for each, own in zip(kinds, cells, strict=True):
        known = each.estimate
        numbers = [known.rows, known.steps, known.trainable, known.parameters, size_text(known.memory)] if known else []
        rows.append([*own, *(numbers or ["?"] * 5)])
    return aligned(rows)


def _told(table: str, head: str, lines: Sequence[str], kinds: Sequence[_Kind]) -> Forecast:
    """Problems last, where they are seen; each once, however many jobs have it."""
    problems: Counter[str] = Counter()
    for each in kinds:
        if each.problem:
            problems[each.problem] += len(each.jobs)
    broken = problems.total()
    which = "which" if broken == sum(len(each.jobs) for each in kinds) else f"{broken:,} of which"
    verdict = f"{which} would fail here" if broken else "nothing wrong with the configuration"
    told = [f"  {_jobs(count)}: {text}" for text, count in problems.items()]
    return Forecast("\n".join([table, "", f"{head}, {verdict}", *told, *lines]), broken)


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"


def _states(folder: Path, states: Mapping[Status, int]) -> str:
    words: dict[Status, str] = {
        "ok": "done", "running": "running", "pruned": "pruned", "failed": "failed", "interrupted": "stopped"
    }  # fmt: skip
    told = ", ".join(f"{states[status]:,} {word}" for status, word in words.items() if states[status])
    return f"folder: {folder}, {told or 'nothing is done yet'}"


def _time(kinds: Sequence[_Kind], slots: int) -> str:
    known = [each for each in kinds if each.seconds]
    if not known:
        return "time:   unknown, no job like these is done yet"
    whole = sum(statistics.mean(each.seconds) * each.left for each in known) / slots
    done, left = sum(len(each.seconds) for each in known), sum(each.left for each in known)
    told = f"time:   about {duration_text(whole)} for {left:,} more, {slots} side by side, as {done:,} done have taken"
    unknown = sum(each.left for each in kinds) - left
    return told + (f";\n        {unknown:,} beside them of which none like them is done yet" if unknown else "")


def _crowd(pool: Pool, slots: int) -> tuple[int, int | None]:
    """How many jobs share the fullest device, and the bytes that it has; None for the machine's own memory."""
    devices = Counter(name for slot in range(slots) for name in (pool.devices(slot) or "").split(",") if name)
    if not devices:
        return slots, None
    name, crowd = devices.most_common(1)[0]
    return crowd, _gpu_memory(name)


def _gpu_memory(name: str) -> int | None:
    import torch

    if not torch.cuda.is_available() or int(name) >= torch.cuda.device_count():
        return None
    return int(torch.cuda.get_device_properties(int(name)).total_memory)


def _memory(kinds: Sequence[_Kind], crowd: int, device: int | None) -> list[str]:
    """The largest jobs at once, against what there is.

    Args:
        crowd: how many run at a time.
        device: bytes that the GPU has on which they do; None for the machine.
    """
    left = (each.estimate.memory for each in kinds if each.estimate for _ in range(min(each.left, crowd)))
    heaviest = sorted(left, reverse=True)
    if not heaviest:
        return []
    whole, where = (device, "the GPU") if device is not None else (machine_memory(), "this machine")
    needs = sum(heaviest[:crowd]) + crowd * LIBRARIES
    largest = heaviest[0] + LIBRARIES
    told = f"{size_text(largest)} with libraries" + (f", {crowd} side by side {size_text(needs)}" if crowd > 1 else "")
    lines = [_NOTE, f"        the largest job takes {told}" + (f"; {where} has {size_text(whole)}" if whole else "")]
    if whole is not None and needs > whole:
        fit = math.floor(whole / largest)
        remedy = f"hydra.launcher.slots={fit} would" if fit else "a smaller data.batch_size or data.max_length may"
        lines.append(f"WARNING: this will hardly fit into memory; {remedy}")
    return lines
