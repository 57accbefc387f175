"""What ``finesweep check`` says of a job before it is trained: optimizer steps, parameters, memory."""

import json
import logging
from collections.abc import Sequence
from typing import Any

import torch

from finesweep.config.errors import UserError
from finesweep.results.tables import cell_text
from finesweep.tasks.base import Examples
from finesweep.training.assemble import Assembled, Components, connect, read_data

_HEADER = ["job", "rows", "steps", "trainable", "parameters", "memory"]
_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


def estimate_table(jobs: Sequence[tuple[list[str], dict[str, Any]]]) -> str:
    """A row for each job, and below it what could not be told and why.

    The model's architecture is built without its weights, so this needs its configuration file and its tokenizer
    but no memory. Data and architecture are read once for all jobs that share them.
    """
    lines, problems = [], []
    read: dict[str, Examples] = {}
    for number, (overrides, values) in enumerate(jobs):
        name = " ".join(overrides) or values["name"]
        parts = Components.of(values)
        try:
            key = json.dumps(values["data"], sort_keys=True)
            if key not in read:
                read[key] = read_data(parts)
            lines.append([name, *_estimate(parts, values, read[key])])
        except UserError as error:
            lines.append([name, *["?"] * 5])
            problems.append(f"job {number}: {error}")
    notes = dict.fromkeys(note for examples in read.values() for note in examples.notes)
    for note in notes:
        logging.getLogger("finesweep").warning(note)
    table = _aligned([_HEADER, *lines])
    count = "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"
    foot = (
        "memory: roughly, of weights, gradients, optimizer and the activations of a full batch of the longest rows;\n"
        "        Python and its libraries take about 0.5 GiB beside it"
    )
    unknown = "\nnot known here:\n  " + "\n  ".join(dict.fromkeys(problems)) if problems else ""
    return f"{table}\n\n{count}, nothing wrong with the configuration\n{foot}{unknown}"


def _estimate(parts: Components, values: dict[str, Any], examples: Examples) -> list[str]:
    loaded = parts.model.skeleton(parts.task, examples.labels, parts.longest)
    with torch.device("meta"):
        model = parts.apply(loaded)
    work = connect(parts, examples, loaded, model)
    parameters = work.parameters
    memory = _memory(work, loaded.model.config, values)
    return [
        f"{len(examples.splits['train']):,}",
        f"{work.tuner.total_steps:,}",
        f"{parameters['trainable']:,}",
        f"{parameters['total']:,}",
        f"{memory / 2**20:,.0f} MiB",
    ]


def _memory(work: Assembled, config: Any, values: dict[str, Any]) -> float:
    """Bytes, roughly.

    Weights once, and for what trains a gradient and two moments. Activations of a transformer layer as in Korthikanti
    et al. (2022, https://arxiv.org/abs/2205.05198): ``s b h (34 + 5 a s / h)`` bytes in 16 bits, twice that in 32.
    """
    size = _BYTES[values["model"]["dtype"]]
    moments = 0 if values["optimizer"]["_target_"].endswith("SGD") and not values["optimizer"].get("momentum") else 2
    states = work.parameters["trainable"] * size * (1 + moments)
    longest = max(len(feature) for feature in work.data.features["train"])
    batch, hidden = values["data"]["batch_size"], _of(config, "hidden_size", "dim")
    layers, heads = _of(config, "num_hidden_layers", "n_layers"), _of(config, "num_attention_heads", "n_heads")
    half = 1 if "16" in values["trainer"]["precision"] else 2
    activations = half * layers * longest * batch * hidden * (34 + 5 * heads * longest / hidden)
    return float(work.parameters["total"] * size + states + activations)


def _of(config: Any, *names: str) -> int:
    return next((int(getattr(config, name)) for name in names if hasattr(config, name)), 1)


def _aligned(rows: Sequence[Sequence[Any]]) -> str:
    """Columns of text, the first to the left and the others to the right."""
    texts = [[cell_text(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in texts) for i in range(len(texts[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in texts
    )
