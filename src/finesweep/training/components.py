"""The parts that a checked configuration names, and what can be done with them before there is a training.

Nothing here takes Lightning, which is slow to import: a dry run needs only this.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from torch import nn

from finesweep.config.errors import UserError
from finesweep.config.instantiate import build
from finesweep.config.schema import Objective
from finesweep.data.base import DataSource
from finesweep.data.batch_plan import lengths_of, steps_per_epoch
from finesweep.models.pretrained import Loaded, PretrainedModel
from finesweep.strategies.base import Purpose, Strategy, freeze
from finesweep.strategies.fits import misfit
from finesweep.tasks.base import Examples, Feature, Frame, Task
from finesweep.training.features import stored
from finesweep.training.loggers import LoggerSettings
from finesweep.training.optimizers import OptimizerSettings
from finesweep.training.schedules import Schedule
from finesweep.training.settings import TrainerSettings

#: Of each split.
Features = dict[str, Sequence[Feature]]


@dataclass(frozen=True)
class Components:
    """One object for each group of a configuration, nothing loaded yet."""

    data: DataSource
    task: Task
    model: PretrainedModel
    strategy: Strategy
    optimizer: OptimizerSettings
    schedule: Schedule
    trainer: TrainerSettings
    logger: LoggerSettings
    objective: Objective
    seed: int
    #: Where encoded rows are kept; None of a run from before there was a place.
    cache_dir: str | None
    #: How many GB the states of frozen encoders may take there.
    cache_gb: float

    @property
    def longest(self) -> int:
        """Sub-words that the model has to take, those among them that the strategy puts before the text."""
        return self.data.max_length + self.strategy.positions

    def apply(self, loaded: Loaded) -> nn.Module:
        """The loaded model with the strategy applied, and frozen but for what trains at some time.

        Raises:
            UserError: the strategy does not fit the model and the task, or trains nothing.
        """
        peft_type, new_head = self.task.peft_type_for(loaded.kind), self.task.new_head
        architecture = str(loaded.model.config.model_type)
        if why := misfit(self.strategy.name, loaded.kind, architecture, peft_type, new_head):
            raise UserError(f"{self.strategy.name} {why}", where="finetune_strategy")
        model = self.strategy.apply(loaded.model, Purpose(peft_type, new_head))
        if not (trainable := self.strategy.trainable(model, self.trainer.max_epochs - 1)):
            message = f"{self.strategy.name} trains nothing: the model has no new head"
            raise UserError(message, where="finetune_strategy", remedy="let layers of the model train")
        freeze(model, trainable)
        return model

    def sized(self, rows: int, accumulate: int) -> "Components":
        """The same with so many rows in a batch, and so many batches in an optimizer step."""
        data, trainer = replace(self.data, batch_size=rows), replace(self.trainer, accumulate_grad_batches=accumulate)
        return replace(self, data=data, trainer=trainer)

    def total_steps(self, features: Sequence[Feature]) -> int:
        """Optimizer steps of the whole training on these features."""
        data, trainer = self.data, self.trainer
        rows = data.effective_batch_size // trainer.devices if data.batch_size == "auto" else data.batch_size
        epoch = steps_per_epoch(
            lengths_of(features), rows, max_tokens=data.max_batch_tokens,
            accumulate=trainer.accumulate_grad_batches, world_size=trainer.devices,
        )  # fmt: skip
        steps = epoch * trainer.max_epochs
        return min(steps, trainer.max_steps) if trainer.max_steps is not None else steps

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Components":
        """Build every group of a checked configuration."""

        def group(name: str) -> Any:
            return build(values[name], values["extension_packages"])

        return cls(
            group("data"), group("task"), group("model"), group("finetune_strategy"), group("optimizer"),
            group("scheduler"), group("trainer"), group("logger"), Objective(**values["objective"]), values["seed"],
            values.get("cache_dir"), values.get("cache_gb", 0),
        )  # fmt: skip


def read_data(parts: Components) -> Examples:
    """The rows of the data source in the task's form."""
    return parts.task.read(parts.data.load(parts.task.wanted), parts.data)


def encoded(parts: Components, examples: Examples, loaded: Loaded) -> Features:
    """The rows of each split as the model takes them; what is cut off is noted."""
    frame, length = frame_of(parts, examples, loaded), parts.data.max_length
    if parts.cache_dir is None:
        features = {split: parts.task.encode(rows, frame) for split, rows in examples.splits.items()}
    else:
        folder, made = Path(parts.cache_dir).expanduser(), parts.task.encode
        features = {
            split: stored(folder, _key(parts.task, examples.fingerprints[split], frame), partial(made, rows, frame))
            for split, rows in examples.splits.items()
        }
    examples.notes.extend(note for split in features for note in _cuts(split, features[split], length))
    return features


def _key(task: Task, rows: str, frame: Frame) -> dict[str, Any]:
    """Everything that decides what a task makes of rows with this fingerprint."""
    tokenizer = frame.tokenizer
    return {
        "task": {"class": f"{type(task).__module__}.{type(task).__qualname__}", **vars(task)},
        "rows": rows,
        "labels": frame.labels,
        "max_length": frame.max_length,
        "kind": frame.kind,
        "tokenizer": tokenizer.backend_tokenizer.to_str() if tokenizer.is_fast else repr(tokenizer),
        "special": [tokenizer.special_tokens_map, tokenizer.chat_template, tokenizer.model_input_names],
        "versions": {name: metadata.version(name) for name in ("finesweep", "tokenizers", "transformers")},
    }


def frame_of(parts: Components, examples: Examples, loaded: Loaded) -> Frame:
    return Frame(loaded.tokenizer, examples.labels, parts.data.max_length, loaded.kind)


def _cuts(split: str, features: Sequence[Feature], max_length: int) -> list[str]:
    cut = {feature.row: feature.cut for feature in features if feature.cut}  # windows of one row share what it loses
    if not cut:
        return []
    limits = f"data.max_length={max_length} and the task's own limits"
    return [f"{split}: {len(cut)} rows are longer than {limits} allow; {sum(cut.values())} sub-words are cut off"]


def data_record(examples: Examples) -> dict[str, dict[str, Any]]:
    """For each split the number of rows and their fingerprint."""
    return {
        split: {"rows": len(rows), "fingerprint": examples.fingerprints[split]}
        for split, rows in examples.splits.items()
    }


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """``total`` and ``trainable`` numbers of parameters; shared ones count once, packed ones as what they hold."""
    every = list(model.parameters())
    trainable = sum(p.numel() for p in every if p.requires_grad)
    return {"total": sum(getattr(p, "quant_state", p).shape.numel() for p in every), "trainable": trainable}
