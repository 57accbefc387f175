"""The one LightningModule: it joins a model, a task and a strategy, and knows nothing of any particular one."""

import random
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn

from finesweep.data.module import DataModule
from finesweep.results.tables import Scores
from finesweep.strategies.base import Strategy, freeze, set_modes
from finesweep.tasks.base import Frame, Row, Task
from finesweep.training.optimizers import OptimizerSettings, clip_in_step, parameter_groups
from finesweep.training.schedules import Schedule
from finesweep.training.states import Replay
from finesweep.training.unpadded import Unpadded


@dataclass(frozen=True)
class Outcome:
    """What scoring a split gave: metrics (with ``loss``), tables, and one prediction for each row."""

    metrics: dict[str, float]
    scores: Scores
    predictions: list[Row]


class FineTuner(pl.LightningModule):
    """Train and score.

    Args:
        model: with the strategy applied.
        frame: what the task has to know of the model.
        total_steps: optimizer steps of the whole training, which the schedule spans.
        epochs: of the whole training; the optimizer holds from the start whatever trains in the last.
        replay: layers whose states are known of the rows that come with them; None where there are none.
        unpadded: takes the padding out of batches that say how; None where the model needs it.
        seed: the generators are seeded at every batch from (seed, epoch, batch), so no generator state need be kept.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        strategy: Strategy,
        optimizer: OptimizerSettings,
        schedule: Schedule,
        *,
        frame: Frame,
        total_steps: int,
        epochs: int,
        replay: Replay | None,
        unpadded: Unpadded | None,
        seed: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.task, self.strategy = task, strategy
        self.optimizer_settings, self.schedule = optimizer, schedule
        self.frame, self.total_steps, self.epochs, self.seed = frame, total_steps, epochs, seed
        self.replay, self.unpadded = replay, unpadded
        self.outcome: Outcome | None = None
        self.log_scores = True  # off when the best weights are scored once more, which is no point of the curve
        self._raw: list[tuple[int, Any]] = []
        self._loss = self._weight = torch.zeros(())

    def trainable(self) -> dict[str, float]:
        """All parameters that train at some time, with their factors."""
        return self.strategy.trainable(self.model, self.epochs - 1)

    def learning_rate(self, step: int) -> float:
        """The learning rate (factor 1) at an optimizer step, counted from 0."""
        return self.optimizer_settings.lr * self.schedule.factor(step, self.total_steps)

    def configure_optimizers(self) -> Any:
        groups = parameter_groups(self.model, self.trainable(), self.optimizer_settings)
        optimizer = self.optimizer_settings.build(groups)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: self.schedule.factor(s, self.total_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def forward(self, batch: Mapping[str, Any]) -> Any:
        """What the model says to a batch: logits."""
        states = batch.get("states")
        if self.unpadded is not None:
            self.unpadded.expect(batch)
            states = None if states is None else self.unpadded.flat(states)
        with self.replay.known(states) if self.replay is not None else nullcontext():
            return self.task.forward(self.model, batch)

    # --- training -----------------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        freeze(self.model, self.strategy.trainable(self.model, self.current_epoch))
        set_modes(self.model)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        seed_batch(self.seed, self.current_epoch, batch_idx, self.global_rank)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, torch.Tensor]:
        losses_of, weights_of = [], []
        for part in batch["parts"]:
            seen = self.task.corrupt(part, training=True)
            losses, weights = self.task.loss(self(seen), seen, smooth=True)
            losses_of.append(losses.sum())
            weights_of.append(weights.sum())
        total, weight = torch.stack(losses_of).sum(), torch.stack(weights_of).sum()
        real = bool(batch["scale"])  # and not there for show
        return {"loss": total * batch["scale"], "summed": total.detach() * real, "weight": weight * real}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        if gradient_clip_val and not clip_in_step(optimizer, gradient_clip_val):
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    # --- scoring ------------------------------------------------------------------------------------------------

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        seed_batch(self.seed, 0, batch_idx, self.global_rank)

    def on_test_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        seed_batch(self.seed, 0, batch_idx, self.global_rank)

    def on_validation_epoch_start(self) -> None:
        self.begin_scoring()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self._score(batch)

    def on_validation_epoch_end(self) -> None:
        self.end_scoring("validation")

    def on_test_epoch_start(self) -> None:
        self.begin_scoring()

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self._score(batch)

    def on_test_epoch_end(self) -> None:
        self.end_scoring("test")

    def _score(self, batch: dict[str, Any]) -> None:
        (batch,) = batch["parts"]
        seen = self.task.corrupt(batch, training=False)
        self.collect(seen, self(seen))

    def begin_scoring(self) -> None:
        """Forget what the last split gave."""
        self._raw = []
        self._loss = self._weight = torch.zeros((), device=self.device, dtype=torch.float64)

    def collect(self, seen: Mapping[str, Any], logits: Any) -> None:
        """Take down what the model says to a batch of a split."""
        losses, weights = self.task.loss(logits, seen, smooth=False)
        self._loss = self._loss + losses.double().sum()
        self._weight = self._weight + weights.sum()
        self._raw += zip(seen["index"].tolist(), self.task.predict(self.model, logits, seen, self.frame), strict=True)

    def end_scoring(self, split: str) -> None:
        """Score all that was taken down: :attr:`outcome`."""
        raw, loss, weight = self._gathered()
        data: DataModule = self.trainer.datamodule  # type: ignore[attr-defined]
        rows, features = data.rows[split], data.features[split]
        by_feature = [prediction for _, prediction in sorted(raw, key=lambda pair: pair[0])]
        predictions = self.task.decode(rows, features, by_feature, self.frame)
        mean = loss / max(weight, 1.0)
        scores = self.task.score(rows, predictions, mean)
        metrics = {"loss": mean, **scores.metrics}
        self.outcome = Outcome(metrics, scores, predictions)
        if self.log_scores:
            prefix = {"validation": "val"}.get(split, split)
            for logger in self.trainer.loggers:
                logger.log_metrics(
                    {f"{prefix}/{key}": value for key, value in metrics.items()}, self.trainer.global_step
                )

    def _gathered(self) -> tuple[list[tuple[int, Any]], float, float]:
        """Raw predictions, loss and weight of all devices."""
        mine = (self._raw, float(self._loss), float(self._weight))
        if self.trainer.world_size == 1:
            return mine
        everyone: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(everyone, mine)
        return list(chain(*(e[0] for e in everyone))), sum(e[1] for e in everyone), sum(e[2] for e in everyone)


def seed_batch(seed: int, epoch: int, batch: int, rank: int) -> None:
    """Seed all generators for one batch: what is random in it depends on nothing that ran before."""
    number = int(np.random.SeedSequence([seed, epoch, batch, rank]).generate_state(1, np.uint64)[0])
    seed_generators(number)


def seed_generators(number: int) -> None:
    """Seed Python's, NumPy's and torch's generators, those of GPUs if there are any."""
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_available():  # else torch would keep it, with a stack trace, for when there are
        torch.cuda.manual_seed_all(number)
