"""From a checked configuration to the parts of a run: data read, model loaded, strategy applied, rows encoded."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from finesweep.config.errors import UserError
from finesweep.config.instantiate import build
from finesweep.config.schema import Objective
from finesweep.data.base import DataSource
from finesweep.data.fingerprint import fingerprint
from finesweep.data.module import DataModule
from finesweep.models.pretrained import Loaded, PretrainedModel
from finesweep.strategies.base import Purpose, Strategy, freeze
from finesweep.strategies.fits import misfit
from finesweep.tasks.base import Examples, Feature, Frame, Task
from finesweep.training.loggers import LoggerSettings
from finesweep.training.module import FineTuner
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

    @property
    def longest(self) -> int:
        """Sub-words that the model has to take, those among them that the strategy puts before the text."""
        return self.data.max_length + self.strategy.positions

    def apply(self, loaded: Loaded) -> nn.Module:
        """The loaded model with the strategy applied.

        Raises:
            UserError: the strategy does not fit the model and the task.
        """
        peft_type, new_head = self.task.peft_type_for(loaded.kind), self.task.new_head
        architecture = str(loaded.model.config.model_type)
        if why := misfit(self.strategy.name, loaded.kind, architecture, peft_type, new_head):
            raise UserError(f"{self.strategy.name} {why}", where="finetune_strategy")
        return self.strategy.apply(loaded.model, Purpose(peft_type, new_head))

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Components":
        """Build every group of a checked configuration."""

        def group(name: str) -> Any:
            return build(values[name], values["extension_packages"])

        return cls(
            group("data"), group("task"), group("model"), group("finetune_strategy"), group("optimizer"),
            group("scheduler"), group("trainer"), group("logger"), Objective(**values["objective"]), values["seed"],
        )  # fmt: skip


@dataclass
class Assembled:
    """What a training works with."""

    examples: Examples
    loaded: Loaded
    tuner: FineTuner
    data: DataModule

    @property
    def parameters(self) -> dict[str, int]:
        """``total`` and ``trainable`` numbers of parameters; shared ones count once, packed ones as what they hold."""
        every = list(self.tuner.model.parameters())
        trainable = sum(p.numel() for p in every if p.requires_grad)
        return {"total": sum(getattr(p, "quant_state", p).shape.numel() for p in every), "trainable": trainable}


def read_data(parts: Components) -> Examples:
    """The rows of the data source in the task's form."""
    return parts.task.read(parts.data.load(parts.task.wanted), parts.data)


def assemble(parts: Components) -> Assembled:
    """Read, load, apply, encode. The generators are seeded first: the head's weights depend on the seed alone.

    Raises:
        UserError: data or model are not what the configuration says.
    """
    examples = read_data(parts)
    seed_everything(parts.seed)
    loaded = parts.model.load(parts.task, examples.labels, parts.longest, parts.strategy.loading())
    model = parts.apply(loaded)
    return connect(parts, examples, encoded(parts, examples, loaded), loaded, model)


def encoded(parts: Components, examples: Examples, loaded: Loaded) -> Features:
    """The rows of each split as the model takes them; what is cut off is noted."""
    frame, length = _frame(parts, examples, loaded), parts.data.max_length
    features = {split: parts.task.encode(rows, frame) for split, rows in examples.splits.items()}
    examples.notes.extend(note for split in features for note in _cuts(split, features[split], length))
    return features


def _frame(parts: Components, examples: Examples, loaded: Loaded) -> Frame:
    return Frame(loaded.tokenizer, examples.labels, parts.data.max_length, loaded.kind)


def connect(parts: Components, examples: Examples, features: Features, loaded: Loaded, model: nn.Module) -> Assembled:
    """Put data, model and task together."""
    task, source, trainer = parts.task, parts.data, parts.trainer
    frame = _frame(parts, examples, loaded)
    data = DataModule(
        examples.splits,
        features,
        partial(task.collate, frame=frame),
        task.weight,
        batch_size=source.batch_size,
        eval_batch_size=source.eval_batch_size,
        accumulate=trainer.accumulate_grad_batches,
        seed=parts.seed,
        num_workers=source.num_workers,
    )
    steps = data.steps_per_epoch(trainer.devices) * trainer.max_epochs
    tuner = FineTuner(
        model,
        task,
        parts.strategy,
        parts.optimizer,
        parts.schedule,
        frame=frame,
        total_steps=min(steps, trainer.max_steps) if trainer.max_steps is not None else steps,
        epochs=trainer.max_epochs,
        seed=parts.seed,
    )
    if not (trainable := tuner.trainable()):
        raise UserError(
            f"{parts.strategy.name} trains nothing in the first epoch: the model has no new head",
            where="finetune_strategy",
            remedy="let layers of the model train",
        )
    freeze(model, trainable)
    return Assembled(examples, loaded, tuner, data)


def _cuts(split: str, features: Sequence[Feature], max_length: int) -> list[str]:
    cut = {feature.row: feature.cut for feature in features if feature.cut}  # windows of one row share what it loses
    if not cut:
        return []
    limits = f"data.max_length={max_length} and the task's own limits"
    return [f"{split}: {len(cut)} rows are longer than {limits} allow; {sum(cut.values())} sub-words are cut off"]


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def data_record(examples: Examples) -> dict[str, dict[str, Any]]:
    """For each split the number of rows and their fingerprint."""
    return {split: {"rows": len(rows), "fingerprint": fingerprint(rows)} for split, rows in examples.splits.items()}
