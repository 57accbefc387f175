"""Whether a training batch fits into memory, told before the training begins; and the largest one that does.

One and two of the longest rows run forwards. What autograd keeps of them for the way back grows by the same bytes with
each further row, so the need of any batch follows, and nothing has to run out of memory to find out.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import nn

from finesweep.config.errors import UserError
from finesweep.data.base import DataSource
from finesweep.data.batch_plan import lengths_of
from finesweep.results.environment import free_memory
from finesweep.results.tables import size_text
from finesweep.strategies.base import set_modes
from finesweep.tasks.base import Batch, Feature, Task
from finesweep.training.components import Components, Features

#: What the way back takes for a moment, and what the allocator wastes, as a share of what is kept.
_MARGIN = 1.2
_REMEDY = "data.batch_size=auto finds one that fits, trainer.gradient_checkpointing=true needs less"


def fitting(
    parts: Components,
    model: nn.Module,
    features: Features,
    batch_of: Callable[[Sequence[Feature]], Batch],
    forward: Callable[[Batch], Any],
) -> dict[str, int]:
    """``rows`` in a training batch, and how many batches ``accumulate`` to an optimizer step.

    ``data.batch_size=auto`` takes the largest batch that fits and divides ``data.effective_batch_size`` evenly; a step
    has as many rows in any case.

    Args:
        model: with the strategy applied, on its device.
        batch_of: features to a padded batch on that device.
        forward: of the model, under the precision of the training.

    Raises:
        UserError: the batch that is asked for does not fit, or not even one row does.
    """
    data, trainer = parts.data, parts.trainer
    need = need_of(parts.task, model, features["train"], batch_of, forward)
    free = free_memory(next(model.parameters()).device, trainer.devices)
    if data.batch_size != "auto":
        rows = rows_of_longest(data, lengths_of(features["train"]))
        if free is not None and need(rows) > free:
            message = f"a batch of {rows} of the longest rows needs about {size_text(round(need(rows)))}, and "
            where = "data.max_batch_tokens" if data.max_batch_tokens else "data.batch_size"
            raise UserError(f"{message}{size_text(free)} of memory are free", where=where, remedy=_REMEDY)
        return {"rows": data.batch_size, "accumulate": trainer.accumulate_grad_batches}
    rows = data.effective_batch_size // trainer.devices
    for size in _divisors(rows):
        if free is None or need(size) <= free:
            return {"rows": size, "accumulate": rows // size}
    message = f"one of the longest rows needs about {size_text(round(need(1)))}, {size_text(free or 0)} are free"
    raise UserError(message, where="data.max_length", remedy="set a smaller one, or take a smaller model")


def rows_of_longest(data: DataSource, lengths: np.ndarray) -> int:
    """How many rows a training batch of the longest ones has."""
    if data.max_batch_tokens:
        return max(1, data.max_batch_tokens // int(lengths.max()))
    assert data.batch_size != "auto"  # which is settled by now
    return data.batch_size


def _divisors(rows: int) -> Iterator[int]:
    """From the largest down."""
    return (size for size in range(rows, 0, -1) if rows % size == 0)


def need_of(
    task: Task,
    model: nn.Module,
    train: Sequence[Feature],
    batch_of: Callable[[Sequence[Feature]], Batch],
    forward: Callable[[Batch], Any],
) -> Callable[[int], float]:
    """Bytes beside the weights that training takes with so many of the longest rows in a batch."""
    longest = np.argsort(-lengths_of(train), kind="stable")[:2].tolist()
    set_modes(model)

    def kept(rows: int) -> int:
        batch = batch_of([train[longest[i % len(longest)]] for i in range(rows)])
        saved = _Saved(model)
        with saved.watched(), torch.random.fork_rng():
            batch = task.corrupt(batch, training=True)
            task.loss(forward(batch), batch, smooth=True)
        return saved.bytes

    one, two = kept(1), kept(2)
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    states = trained * 3  # the gradient, and the two moments of Adam
    return lambda rows: states + _MARGIN * (one + max(0, two - one) * (rows - 1))


class _Saved:
    """How many bytes autograd keeps for the way back, those of parameters left out."""

    def __init__(self, model: nn.Module) -> None:
        self._known = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        self._kept: list[torch.Tensor] = []  # alive until all are counted, or an address could come twice
        self.bytes = 0

    def watched(self) -> AbstractContextManager[Any]:
        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self._known:
                self._known.add(storage.data_ptr())
                self._kept.append(tensor)
                self.bytes += storage.nbytes()
            return tensor

        return torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
