"""``report.md``: what a run was, what fine-tuning gained, its tables and pictures; and the card of its model."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finesweep.results.figures import confusion_matrix, learning_curve
from finesweep.results.files import write_atomically
from finesweep.results.record import RunRecord
from finesweep.results.tables import ReportTable, Scores, markdown_table

#: What report.md says of the scores, for programs.
DATA = "report.json"


def write_report(
    record: RunRecord,
    scores: Mapping[str, Scores],
    curves: Mapping[int, Mapping[str, float]],
    hardest: Mapping[str, ReportTable],
) -> None:
    """Write ``report.md`` and its figures, and ``report.json`` with the tables of each split and its confusion.

    Args:
        record: with metrics, timing and parameters.
        scores: of each split that was scored, with their tables.
        curves: step -> logged values.
        hardest: of a split, the errors to look at.
    """
    data = {
        split: {
            "tables": [asdict(table) for table in scored.tables],
            "confusion": {"labels": scored.confusion_labels, "counts": scored.confusion_counts},
            "hardest": asdict(hardest[split]) if split in hardest else None,
        }
        for split, scored in scores.items()
    }
    write_atomically(record.folder / DATA, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    metric = record.objective["metric"]
    learning_curve(curves, metric, record.objective["step"], record.folder / "figures" / "learning_curve.png")
    parts = [f"# {record.name}, seed {record.seed}\n", _summary(record), _gain(record)]
    parts.append("## Learning curve\n\n![Loss and objective over optimizer steps](figures/learning_curve.png)\n")
    for split, scored in scores.items():
        parts.append(f"## Scores on {split}\n")
        parts += [table.markdown() for table in scored.tables]
        if split in hardest and hardest[split].rows:
            parts.append(hardest[split].markdown())
        if scored.confusion_labels:
            name = f"confusion_{split}.png"
            confusion_matrix(scored.confusion_labels, scored.confusion_counts, record.folder / "figures" / name)
            parts.append(f"### Confusion\n\n![Gold labels down, predicted ones across](figures/{name})\n")
    if record.notes:
        parts.append("## Notes on the data\n\n" + "\n".join(f"- {note}" for note in record.notes) + "\n")
    write_atomically(record.folder / "report.md", "\n".join(parts))


def _summary(record: RunRecord) -> str:
    parameters, timing = record.parameters, record.timing
    share = 100 * parameters["trainable"] / max(1, parameters["total"])
    rows = ", ".join(f"{split} {data['rows']:,}" for split, data in record.data.items())
    beside = f", as one with {record.fused - 1} other runs" if record.fused > 1 else ""
    memory = f"{record.peak_memory_bytes / 2**20:,.0f} MiB" if record.peak_memory_bytes is not None else "unknown"
    facts = [
        ["command", f"`{record.command}`" if record.command else "from Python"],
        ["configuration", f"[config.yaml](config.yaml), hash `{record.config_hash[:12]}`"],
        ["rows", rows],
        ["labels", str(len(record.labels))],
        ["trainable parameters", f"{parameters['trainable']:,} of {parameters['total']:,} ({share:.1f} %)"],
        ["weights kept", f"of epoch {record.objective['epoch']}, step {record.objective['step']}"],
        ["training", f"{timing['train_seconds']:.1f} s, {timing['samples_per_second']:.1f} rows a second{beside}"],
        ["seen in training", f"{timing['tokens_seen']:,.0f} sub-words, each epoch counted"],
        ["padding", f"{100 * timing['padding_fraction']:.1f} % of the positions in training batches"],
        ["peak memory", memory],
    ]
    return markdown_table(["", ""], facts) + "\n"


def _gain(record: RunRecord) -> str:
    """The untrained model beside the trained one: what fine-tuning gained."""
    columns = ["before", *(split for split in ("validation", "test") if split in record.metrics)]
    names = list(record.metrics["validation"])
    rows = [[name, *(record.metrics[column].get(name) for column in columns)] for name in names]
    header = ["metric", "validation, untrained", *(f"{column}, fine-tuned" for column in columns[1:])]
    return "## What fine-tuning gained\n\n" + markdown_table(header, rows) + "\n"


def model_card(record: RunRecord, values: dict[str, Any], auto_class: str, pipeline: str) -> str:
    """``README.md`` of the model folder: where it comes from, how good it is, how to load it."""
    base, strategy, data = values["model"]["name_or_path"], values["finetune_strategy"]["name"], values["data"]["name"]
    scored = [split for split in ("validation", "test") if split in record.metrics]
    names = list(record.metrics["validation"])
    rows = [[name, *(record.metrics[split].get(name) for split in scored)] for name in names]
    local = Path(base).is_dir()
    hub = f"base_model: {base}\n" if values["model"]["pretrained"] and not local and ":" not in base else ""
    base = f"path/to/{Path(base).name}" if local else base
    folder = record.folder / "model"
    if (folder / "adapter_config.json").is_file():
        own = (folder / "base").is_dir()
        pipeline, load = "", _adapter_code(auto_class, "path/to/this/folder", base, own_base=own)
        if not own and ":" in base:  # of this package's own models transformers knows nothing
            load = 'import finesweep\n\nmodel = finesweep.load("path/to/this/folder/..").model'
    elif pipeline:
        load = f'from transformers import pipeline\n\npipeline({pipeline}, model="path/to/this/folder")("…")'
    else:
        load = f'from transformers import {auto_class}\n\nmodel = {auto_class}.from_pretrained("path/to/this/folder")'
    tag = f"pipeline_tag: {pipeline.split(',')[0]}\n" if pipeline else ""
    lines = [
        f"---\nlibrary_name: transformers\n{tag}{hub}tags: [finesweep]\n---\n",
        f"# {record.name}\n",
        f"`{base}` fine-tuned on `{data}` ({strategy}, seed {record.seed}) with finesweep; configuration hash "
        f"`{record.config_hash[:12]}`.\n",
        *([f"Labels: {', '.join(record.labels)}.\n"] if record.labels else []),
        markdown_table(["metric", *scored], rows) + "\n",
        f"```python\n{load}\n```\n",
    ]
    if (folder / "adapter").is_dir():
        code = _adapter_code(auto_class, "path/to/this/folder/adapter", base)
        lines.append(f"`adapter/` holds the same as a small adapter for the base:\n\n```python\n{code}\n```\n")
    return "\n".join(lines)


def _adapter_code(auto_class: str, adapter: str, base: str, *, own_base: bool = False) -> str:
    """How peft puts an adapter on its base; the configuration beside it tells the size of the head."""
    whole = adapter.removesuffix("/adapter")
    base = f"{whole}/base" if own_base else base
    return (
        f"from peft import PeftModel\nfrom transformers import AutoConfig, {auto_class}\n\n"
        f'config = AutoConfig.from_pretrained("{whole}")\n'
        f'base = {auto_class}.from_pretrained("{base}", config=config)\n'
        f'model = PeftModel.from_pretrained(base, "{adapter}")'
    )
