"""Do a run again from its record, and say for every number whether it came out the same, and if not, why it may not."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from finesweep.config.errors import ChangedError, UserError
from finesweep.config.identity import differences
from finesweep.results.environment import changed_code, environment
from finesweep.results.record import RunRecord, repeatable_config
from finesweep.results.tables import markdown_table
from finesweep.training.components import Components, data_record, read_data
from finesweep.training.runner import run

Verdict = Literal["identical", "within tolerance", "different"]


@dataclass(frozen=True)
class Surroundings:
    """What is not as it was: ``inputs`` (data, base model) that must be, and ``others``."""

    inputs: list[str]
    others: list[str]

    def __str__(self) -> str:
        if not self.inputs + self.others:
            return "Data, base model, packages, Python, processor, threads and code are as they were."
        return "Not as it was:\n" + "\n".join(f"  {line}" for line in self.inputs + self.others)


@dataclass(frozen=True)
class Reproduction:
    """The two runs, what their surroundings do not share, and a verdict for each metric and for the weights."""

    then: RunRecord
    now: RunRecord
    surroundings: Surroundings
    verdicts: dict[str, Verdict]

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        order: tuple[Verdict, ...] = ("identical", "within tolerance", "different")
        return max(self.verdicts.values(), key=order.index)

    def __str__(self) -> str:
        rows: list[list[Any]] = []
        for name, verdict in self.verdicts.items():
            split, _, metric = name.partition("/")
            values = [record.metrics.get(split, {}).get(metric) for record in (self.then, self.now)]
            rows.append([name, *(f"{value:.10g}" if value is not None else "" for value in values), verdict])
        lines = [markdown_table(["metric", "then", "now", "verdict"], rows), "", f"{self.verdict}."]
        if self.verdict != "identical":
            why = "\n".join(f"  {line}" for line in self.surroundings.others)
            lines.append(f"It may differ because of\n{why}" if why else "Nothing that is recorded tells why.")
        return "\n".join(lines)


def surroundings(record: RunRecord) -> Surroundings:
    """Compare what a run was made with and on to what there is.

    Raises:
        UserError: data or model cannot be read, or the run needs a device that is not there.
    """
    import torch

    values = repeatable_config(record)
    parts = Components.of(values)
    if parts.trainer.accelerator == "gpu" and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise UserError("the run was made on a GPU, and there is none here", where=str(record.folder))
    inputs = differences({"data": record.data}, {"data": data_record(read_data(parts))})
    model = parts.model.fingerprint()
    if record.model.get("fingerprint", model) != model:
        inputs.append(f"model.fingerprint: {record.model['fingerprint']}, now {model}")
    then = {key: value for key, value in record.environment.items() if key != "threads"}  # the run sets those
    here = {key: value for key, value in environment().items() if key in then}
    others = changed_code(record.git, Path.cwd()) + differences(then, here)
    if record.fused:
        others.insert(0, f"it trained in a group of {record.fused}, and its dropout was drawn for all of them")
    return Surroundings(inputs, others)


def reproduce(record: RunRecord, found: Surroundings, folder: Path, *, command: str, tolerance: float) -> Reproduction:
    """Run again what a record holds, with as many threads, in a new folder.

    Args:
        found: of :func:`surroundings`.
        tolerance: how far a metric may be off, relative to its size or to 1, whichever is larger.

    Raises:
        ChangedError: data or base model are not what they were.
    """
    if found.inputs:
        raise ChangedError(
            "the run cannot be done again, for there has changed\n     " + "\n     ".join(found.inputs),
            where=str(record.folder),
            remedy="restore what it was",
        )
    new = run(repeatable_config(record), folder, command=command, overrides=record.overrides, like=record)
    verdicts = compare_metrics(record.metrics, new.metrics, tolerance)
    if "weights" in record.model:
        # Weights differ in a digit as soon as anything does: by how much that matters, the metrics tell.
        same = record.model["weights"] == new.model["weights"]
        verdicts["weights"] = "identical" if same else "within tolerance"
    done = Reproduction(record, new, found, verdicts)
    new.reproduces |= {"verdict": done.verdict, "differs": found.others}
    new.write()
    return done


def compare_metrics(
    then: dict[str, dict[str, float]], now: dict[str, dict[str, float]], tolerance: float
) -> dict[str, Verdict]:
    """``validation/f1`` and so on -> the verdict."""
    return {
        f"{split}/{metric}": _verdict(value, now.get(split, {}).get(metric, math.nan), tolerance)
        for split, metrics in then.items()
        for metric, value in metrics.items()
    }


def _verdict(then: float, now: float, tolerance: float) -> Verdict:
    if then == now or (math.isnan(then) and math.isnan(now)):
        return "identical"
    if not (math.isfinite(then) and math.isfinite(now)):
        return "different"
    return "within tolerance" if abs(then - now) <= tolerance * max(1.0, abs(then)) else "different"
