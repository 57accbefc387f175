"""Compare runs, or configurations with several seeds: what differs, the scores side by side, and whether it matters."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from finesweep.config.errors import UserError
from finesweep.config.identity import REPLICATES, differences, effective, without_replicate
from finesweep.config.instantiate import build
from finesweep.results.configurations import Runs
from finesweep.results.ranking import entries
from finesweep.results.record import FILE, RunRecord, find_run, recorded_config
from finesweep.results.significance import Tally, Test, holm, over_replicates, over_rows
from finesweep.results.tables import markdown_table
from finesweep.tasks.base import Task

Split = Literal["validation", "test"]


@dataclass(frozen=True)
class Group:
    """One configuration: a run, or several that differ in nothing but seed and fold."""

    name: str
    runs: Runs
    config: dict[str, Any]

    @property
    def records(self) -> list[RunRecord]:
        """Its runs, by seed and fold."""
        return list(self.runs.values())

    def scores(self, split: Split, metric: str) -> list[float]:
        """The score of each run."""
        return [record.metrics[split][metric] for record in self.records]


@dataclass(frozen=True)
class Comparison:
    """The first configuration against another one.

    Attributes:
        rows: the test over rows; None, with ``why`` not, where rows are not the same or predictions are missing.
        seeds: the test over seeds; None with fewer than two of them.
        rows_p, seeds_p: p of both after Holm's correction for all comparisons made.
    """

    other: str
    rows: Test | None
    seeds: Test | None
    why: str
    rows_p: float | None = None
    seeds_p: float | None = None


@dataclass(frozen=True)
class Report:
    """All of it, to be printed."""

    split: Split
    metric: str
    objective: str
    groups: list[Group]
    differences: dict[str, list[str]]
    comparisons: list[Comparison]

    def __str__(self) -> str:
        base = self.groups[0].name
        lines = [f"# {self.split}, {base} against {', '.join(group.name for group in self.groups[1:])}", ""]
        for name, found in self.differences.items():
            lines += [f"{name}, where it differs from {base}:", *(f"  {line}" for line in found or ["nothing"]), ""]
        lines += [self._scores(), "", self._tests(), ""]
        if self.metric != self.objective:
            lines += [f"Tested is {self.metric}: no row has a part of its own in {self.objective}, the objective.", ""]
        lines += [f"{c.other}: no test over rows, {c.why}" for c in self.comparisons if c.rows is None]
        lines.append(
            "Rows: 95 % interval by paired bootstrap, p by approximate randomisation. Seeds: Student's paired t-test "
            "(Welch's where the seeds are others),\neach the mean over its folds. Holm's p holds for all comparisons "
            "together. That rows differ tells of these runs;\na claim about configurations needs the test over seeds."
        )
        return "\n".join(lines)

    def _scores(self) -> str:
        names = list(self.groups[0].records[0].metrics[self.split])
        rows: list[list[Any]] = []
        for name in names:
            cells = []
            for group in self.groups:
                values = group.scores(self.split, name)
                spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
                cells.append(f"{statistics.mean(values):.4f}{spread}")
            rows.append([name, *cells])
        return markdown_table(["metric", *(f"{group.name} (n={len(group.records)})" for group in self.groups)], rows)

    def _tests(self) -> str:
        rows: list[list[Any]] = []
        for each in self.comparisons:
            for over, test, p in (("rows", each.rows, each.rows_p), ("seeds", each.seeds, each.seeds_p)):
                if test is not None and p is not None:
                    interval = f"{test.low:+.4f} to {test.high:+.4f}"
                    verdict = "significant" if p < 0.05 else "not significant"
                    rows.append([each.other, over, f"{test.difference:+.4f}", interval, test.p, p, verdict])
        header = ["against", "over", f"difference in {self.metric}", "95 % interval", "p", "p (Holm)", "at 5 %"]
        return markdown_table(header, rows) if rows else "No test can be made."

    def as_json(self) -> str:
        """The same for programs."""
        groups = [
            {"name": g.name, "runs": [str(r.folder) for r in g.records], self.metric: g.scores(self.split, self.metric)}
            for g in self.groups
        ]
        found = {
            "split": self.split,
            "metric": self.metric,
            "objective": self.objective,
            "groups": groups,
            "differences": self.differences,
        }
        return json.dumps({**found, "comparisons": [asdict(each) for each in self.comparisons]}, indent=2)


def compare(paths: Sequence[str], *, split: Split, metric: str | None, resamples: int) -> Report:
    """Compare the first of several runs, or of the configurations of sweeps, with each of the others.

    Args:
        paths: run folders, parts of their names, or folders with runs below: each configuration there is a group.
        metric: to be tested; None takes the objective, or what of the task's metrics can be tested.

    Raises:
        UserError: there are fewer than two, they cannot be compared, or the metric cannot be tested.
    """
    groups = [group for path in paths for group in _groups(path, split)]
    if len(groups) < 2:
        raise UserError("one configuration alone cannot be compared", remedy="name two runs, or a sweep of several")
    first, *others = groups
    for other in others:
        if other.config["task"]["name"] != first.config["task"]["name"]:
            raise UserError(f"{first.name} and {other.name} are of different tasks", remedy="compare runs of one task")
    task: Task = build(first.config["task"], first.config["extension_packages"])
    known = list(first.records[0].metrics[split])
    if metric is not None and metric not in known:
        raise UserError(f"there is no metric '{metric}', only {', '.join(known)}", where="--metric")
    wished = [metric] if metric else [first.records[0].objective["metric"], *task.metric_names]
    chosen = next((name for name in wished if tally_of(task, name, first.records[0], split) is not None), wished[0])
    tallies = {record.folder: tally_of(task, chosen, record, split) for group in groups for record in group.records}
    made = [_against(first, other, split, chosen, tallies, resamples) for other in others]
    return Report(
        split, chosen, metric or wished[0], groups, {g.name: _differs(first, g) for g in others}, _corrected(made)
    )


def _groups(path: str, split: Split) -> list[Group]:
    """The runs that a path names, by configuration; those of a sweep in the order of its leaderboard, best first."""
    folder = Path(path).expanduser()
    inside = sorted(file.parent for file in folder.glob(f"*/{FILE}")) if not (folder / FILE).is_file() else []
    records = [RunRecord.read(each) for each in inside or [find_run(path)]]
    if not inside and records[0].status != "ok":
        status, where = records[0].status, str(records[0].folder)
        raise UserError(f"the run did not end well, its status is {status}", where=where)
    groups = []
    for entry in entries(records):
        for record in entry.records:
            if split not in record.metrics:
                where = str(record.folder)
                raise UserError(f"the run has no scores on {split}", where=where, remedy="choose another --split")
        if entry.records:
            first = min(entry.records, key=lambda record: record.started)
            name = _name(first) if inside else first.folder.name
            runs = {record.replicate: record for record in entry.records}
            groups.append(Group(name, runs, without_replicate(recorded_config(first))))
    return groups


def _name(record: RunRecord) -> str:
    """What a run of a sweep is called without its seed and fold."""
    parts = [part for part in record.folder.name.split(",") if part.partition("=")[0] not in REPLICATES]
    return ",".join(parts) or record.name


def _differs(first: Group, other: Group) -> list[str]:
    found = differences(effective(first.config), effective(other.config), word="here")
    return [line for line in found if "._target_:" not in line]  # the class says what the name beside it says


def _against(
    first: Group, other: Group, split: Split, metric: str, tallies: Mapping[Path, Tally | None], resamples: int
) -> Comparison:
    """The tests of one pair. What both have done with the same seed and fold is paired; else the order pairs."""
    ours, theirs = ({each: run.metrics[split][metric] for each, run in group.runs.items()} for group in (first, other))
    seeds = over_replicates(ours, theirs)
    by_seed = _pairs(first, other)
    rows = {
        tuple(pair[i].data.get(split, {}).get("fingerprint") for pair in pairs) for pairs in by_seed for i in (0, 1)
    }
    if len(rows) > 1:
        return Comparison(other.name, None, seeds, f"they were scored on different rows of {split}")
    if any(tallies[record.folder] is None for pairs in by_seed for pair in pairs for record in pair):
        why = f"no row has a part of its own in {metric}, or predictions are missing"
        return Comparison(other.name, None, seeds, why)
    a, b = ([_joined([tallies[pair[i].folder] for pair in pairs]) for pairs in by_seed] for i in (0, 1))
    return Comparison(other.name, over_rows(a, b, resamples=resamples), seeds, "")


def _pairs(first: Group, other: Group) -> list[list[tuple[RunRecord, RunRecord]]]:
    """For each seed the runs to be compared, a pair for each fold that all seeds have."""
    shared = [each for each in first.runs if each in other.runs]
    if not shared:
        return [[pair] for pair in zip(first.records, other.records, strict=False)]
    seeds = dict.fromkeys(seed for seed, _ in shared)
    folds = [fold for fold in dict.fromkeys(fold for _, fold in shared) if all((s, fold) in shared for s in seeds)]
    if not folds:  # of each seed another fold
        return [[(first.runs[each], other.runs[each])] for each in shared]
    return [[(first.runs[seed, fold], other.runs[seed, fold]) for fold in folds] for seed in seeds]


def _joined(tallies: Sequence[Tally | None]) -> Tally:
    """Of the rows of all folds of a seed."""
    known = [tally for tally in tallies if tally is not None]
    return Tally(np.concatenate([tally.counts for tally in known]), known[0].value)


def _corrected(made: list[Comparison]) -> list[Comparison]:
    rows = iter(holm([each.rows.p for each in made if each.rows is not None]))
    seeds = iter(holm([each.seeds.p for each in made if each.seeds is not None]))
    return [
        replace(each, rows_p=next(rows) if each.rows else None, seeds_p=next(seeds) if each.seeds else None)
        for each in made
    ]


def tally_of(task: Task, metric: str, record: RunRecord, split: Split) -> Tally | None:
    """What each stored prediction of a run adds to a metric."""
    file = record.folder / "predictions" / f"{split}.jsonl"
    if not file.is_file():
        return None
    with file.open(encoding="utf-8") as stream:  # lines end at line feeds alone, whatever else a text may hold
        rows = [json.loads(line) for line in stream]
    mark = "predicted_"
    said = [{**row, **{k.removeprefix(mark): v for k, v in row.items() if k.startswith(mark)}} for row in rows]
    return task.tally(metric, rows, said, record.labels)
