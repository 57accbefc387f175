"""Several runs as one model: a step on a batch of each of them, and what they say to a split."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from finesweep.config.errors import ApartError
from finesweep.data.batch_plan import evaluation_plan
from finesweep.data.resident import moved, sent
from finesweep.strategies.base import set_modes
from finesweep.sweeps.fused.leaves import WHERE
from finesweep.sweeps.fused.optimizer import STEPPERS
from finesweep.sweeps.fused.stack import Stack
from finesweep.sweeps.fused.trainer import SliceTrainer
from finesweep.training.assemble import Assembled
from finesweep.training.batch_size import rows_of_longest
from finesweep.training.module import FineTuner, seed_batch, seed_generators
from finesweep.training.optimizers import parameter_groups
from finesweep.training.precision import autocast

#: Rows of a split that are scored at a time, of all runs: a GPU wants many, the caches of a CPU take no more. MiniLM
#: with 8 adapters scores 1,000 sentences in 38 s by 128, in 46 s by 512. And of each run at least, where they are many.
_SCORED, _LEAST = {"cpu": 128, "cuda": 1024}, 16


class Joint:
    """The models of several runs in one piece, until :meth:`part`.

    Args:
        template: what runs in their place.
        works: what each of them works with.

    Raises:
        ApartError: they cannot be one.
    """

    def __init__(self, template: Assembled, works: Sequence[Assembled]) -> None:
        self._template, self._works = template, works
        groups = _names(works[0].tuner)
        if any(_names(work.tuner) != groups for work in works):
            raise ApartError("parameters are grouped otherwise for the optimizers of other runs", where=WHERE)
        self._stack = Stack(template.tuner.model, [work.tuner.model for work in works], groups)
        self.part = self._stack.release
        if self._stack.differ and template.tuner.replay is not None:
            self.part()
            raise ApartError("what is frozen differs from run to run, and its states with it", where=WHERE)
        self._device = self._stack.data[0].device
        self._step: Callable[[torch.Tensor], None] | None = None
        # A loss grows with label smoothing as a straight line does: that of any follows from two.
        smoothing = [getattr(work.parts.task, "label_smoothing", 0.0) for work in works]
        task: Any = works[0].parts.task
        several = len(set(smoothing)) > 1
        self._tasks = [replace(task, label_smoothing=share) for share in (0.0, 0.5)] if several else [task]
        self._smoothing = self._vector([2 * share for share in smoothing])
        if (unpadded := template.tuner.unpadded) is not None:  # all have a dropout of their own, or none
            dropouts = [work.parts.model.dropout for work in works]
            unpadded.dropouts = None if dropouts[0] is None else dropouts

    def begin(self, trainers: Sequence[SliceTrainer]) -> None:
        """Be ready to train, with what the runs' own optimizers know, if that is not so already."""
        if self._step is not None:
            return
        settings = [work.parts.optimizer for work in self._works]
        clips = [work.parts.trainer.gradient_clip_val for work in self._works]
        make = STEPPERS[type(settings[0])]
        self._step = make(self._stack, settings, [trainer.optimizers[0] for trainer in trainers], clips).step
        for work in self._works:
            work.fused = max(work.fused, len(self._works))
        self._train_mode()

    def train(self, trainers: Sequence[SliceTrainer], whole: bool) -> list[tuple[dict[str, Any], dict[str, int]]]:
        """A batch of each run, with an optimizer step if their gradients are whole.

        Returns:
            for each what its module's ``training_step`` gives, and the batch's numbers of rows, tokens and positions.
        """
        assert self._step is not None
        if not self._template.tuner.model.training:  # it has scored since
            self._train_mode()
        planned, counts = _even([trainer.plan[trainer.batch] for trainer in trainers])
        data = self._template.data
        batch = data.batch("train", planned, self._template.cut)
        seeds = [n for each in trainers for n in (each.work.parts.seed, each.current_epoch, each.batch)]
        seed_generators(int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0]))
        there = self._vector(counts)[:, None]
        # The scale is as Lightning needs it, which divides by the number of batches that a step adds up. It is zero
        # where there are no rows, and one runs for show.
        accumulate = self._template.parts.trainer.accumulate_grad_batches
        scales = self._vector([scale / accumulate for _, scale in planned])
        summed = weights = torch.zeros((), device=self._device)
        for part in (moved(part, self._device) for part in batch["parts"]):
            with self._precision():
                losses, own = self._losses(self._said(part), part)
            real = part["place"].view_as(losses) < there
            total = (losses * real).sum(1)
            (total * scales.to(total.dtype)).sum().backward()
            summed, weights = summed + total.detach(), weights + (own * real).sum(1)
        if whole:
            self._step(self._vector([each.rate for each in trainers])[:, None])
        summed, weights = summed.float() * (scales != 0), weights.float() * (scales != 0)
        said = zip(summed, weights, planned, counts, strict=True)
        every, positions = data.lengths["train"], batch["positions"] // len(planned)
        return [
            (
                {"summed": own, "weight": weight},
                {
                    "rows": count * bool(scale),
                    "tokens": int(every[rows[:count]].sum()) * bool(scale),
                    "positions": positions,
                },
            )
            for own, weight, (rows, scale), count in said
        ]

    @torch.inference_mode()
    def score(
        self, split: str, take_down: Sequence[Callable[[Any, Any], object]], goes_on: Callable[[int], bool]
    ) -> None:
        """Have the models say something to a split.

        Args:
            take_down: for each run what is told of it: a batch, and what its model says.
            goes_on: is asked before each batch, by its number.
        """
        data, count = self._template.data, len(self._works)
        for work in (self._template, *self._works):
            work.tuner.model.eval()
        asked = self._template.parts.data.eval_batch_size
        # No more in all than one asks for alone, or than there are in training, so that they fit into memory.
        most = max(asked // count, rows_of_longest(self._template.parts.data, data.lengths["train"]))
        size = min(asked, most, max(_LEAST, _SCORED[self._device.type] // count))
        for number, rows in enumerate(evaluation_plan(data.lengths[split], size)):
            if not goes_on(number):
                return
            seed_batch(self._template.parts.seed, 0, number, 0)
            (part,) = data.batch(split, [(rows, 1.0)])["parts"]
            one = moved(part, self._device)
            with self._precision():
                said = self._said({name: each.repeat(count, *[1] * (each.dim() - 1)) for name, each in one.items()})
                for take, own in zip(take_down, _slices(said, count), strict=True):
                    take(one, own)

    def _train_mode(self) -> None:
        """As the runs' own models are, in which what is frozen stays in evaluation mode."""
        for work in self._works:
            set_modes(work.tuner.model)
        modes = {name: module.training for name, module in self._works[0].tuner.model.named_modules()}
        for name, module in self._template.tuner.model.named_modules():
            module.training = modes[name]

    def _losses(self, said: Any, part: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Losses and weights of the rows of each slice, (slices, rows)."""
        sharp, *smooth = [task.loss(said, part, smooth=True) for task in self._tasks]
        losses, weights = (each.view(len(self._works), -1) for each in sharp)
        for other, _ in smooth:
            losses = losses.lerp(other.view_as(losses), self._smoothing.to(losses.dtype)[:, None])
        return losses, weights

    def _said(self, part: dict[str, Any]) -> Any:
        """What the models say of a part of a batch that holds the rows of all of them."""
        # Of several choices in a row each is a row to the model.
        rows = part["input_ids"].shape[:-1].numel()
        self._stack.rows.count, self._stack.rows.unpadded = rows, "layout" in part
        return self._template.tuner(part)

    def _precision(self) -> Any:
        return autocast(self._template.parts.trainer.precision, self._device.type)

    def _vector(self, values: Sequence[float]) -> torch.Tensor:
        """A number for each run, in 64 bits, on the device, for which nobody waits."""
        return sent(torch.tensor(values, dtype=torch.float64), self._device)


def _names(tuner: FineTuner) -> list[list[str]]:
    """The parameters that the optimizer of a run has, by group."""
    return [group["names"] for group in parameter_groups(tuner.model, tuner.trainable(), tuner.optimizer_settings)]


def _even(planned: Sequence[tuple[list[int], float]]) -> tuple[list[tuple[list[int], float]], list[int]]:
    """The same number of rows for each: some get their first once more, which does not count. And how many do."""
    counts = [len(rows) for rows, _ in planned]
    most = max(counts)
    return [([*rows, *[rows[0]] * (most - len(rows))], scale) for rows, scale in planned], counts


def _slices(values: Any, count: int) -> Iterator[Any]:
    """The rows of each slice, in whatever holds tensors (slices * rows, …)."""
    leaves, form = tree_flatten(values)
    parts = [leaf.chunk(count) if isinstance(leaf, torch.Tensor) else [leaf] * count for leaf in leaves]
    return (tree_unflatten(list(own), form) for own in zip(*parts, strict=True))
