"""The LightningDataModule: features of each split, in the batches of the plan."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Literal, Protocol

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Sampler

from finesweep.config.errors import UserError
from finesweep.data.batch_plan import evaluation_plan, lengths_of, training_plan
from finesweep.data.layout import layout, parts
from finesweep.data.resident import Collate, resident
from finesweep.results.environment import free_memory

#: How the rows of a batch go to the model: in one padded piece, in parts of like length, or in one piece whose layout
#: says how to take the padding out.
Cut = Literal["whole", "parts", "unpadded"]
#: The collated batch of features by their numbers.
Gather = Callable[[np.ndarray], dict[str, Any]]
#: The share of a device's free memory that a split may take there.
_RESIDENT = 0.1


class States(Protocol):
    """What an encoder says of rows."""

    def padded(self, indices: np.ndarray, width: int) -> torch.Tensor:
        """Of these rows, (batch, width, hidden)."""

    def on(self, device: torch.device, limit: float) -> "States":
        """The same, on a device if they take no more bytes there than ``limit``."""


class DataModule(pl.LightningDataModule):
    """Features in batches.

    Args:
        rows: the rows of each split, as the task reads them.
        features: what the model sees of them; ``len(feature)`` is its length in sub-words.
        collate: features to a padded batch (the task's, with the padding token filled in).
        weight: the weight of a feature in the loss (the task's).
        batch_size, eval_batch_size: rows in a batch, on each device.
        max_batch_tokens: positions of a training batch, in place of ``batch_size``.
        mix: chunks of like length in an optimizer step.
        cut: of training batches.
        accumulate: batches that one optimizer step adds up.
        seed: draws the order of the training rows.
    """

    def __init__(
        self,
        rows: Mapping[str, Sequence[Any]],
        features: Mapping[str, Sequence[Any]],
        collate: Collate,
        weight: Callable[[Any], float],
        *,
        batch_size: int,
        eval_batch_size: int,
        max_batch_tokens: int | None,
        mix: int,
        cut: Cut,
        accumulate: int,
        seed: int,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        self.rows, self.features = rows, features
        self._collate, self._weight = collate, weight
        self._batch_size, self._eval_batch_size, self._accumulate = batch_size, eval_batch_size, accumulate
        self._max_batch_tokens, self._mix, self._seed = max_batch_tokens, mix, seed
        self._cut, self._num_workers = cut, num_workers
        #: Sub-words of every feature.
        self.lengths = {split: lengths_of(each) for split, each in features.items()}
        #: The epoch that a resumed training goes on in, and how many of its batches it has had.
        self.done = (0, 0)
        #: Makes a batch of features by their numbers, of splits that are on a device.
        self._gather: dict[str, Gather] = {}
        #: Of splits whose rows a frozen encoder has seen: what it says of them.
        self.states: dict[str, States] = {}

    def train_dataloader(self) -> DataLoader:
        trainer = self.trainer
        assert trainer is not None  # Lightning sets it before it asks
        rank, world = trainer.global_rank, trainer.world_size
        epoch, done = self.done
        batches = self.training_batches(trainer.current_epoch, rank, world)
        return self._loader("train", batches, done if trainer.current_epoch == epoch else 0, self._cut)

    def val_dataloader(self) -> DataLoader:
        return self._evaluation_loader("validation")

    def test_dataloader(self) -> DataLoader:
        return self._evaluation_loader("test")

    @cached_property
    def _weights(self) -> np.ndarray:
        """Of each training feature in the loss."""
        return np.fromiter(map(self._weight, self.features["train"]), float, len(self.features["train"]))

    def training_batches(self, epoch: int, rank: int = 0, world: int = 1) -> list[tuple[list[int], float]]:
        """Batches of one device with the factor that makes their summed losses the mean over the optimizer step.

        Lightning divides by the accumulated batches and averages over devices; the factor undoes both, so that
        accumulating, several devices and the large batch give the same gradient.
        """
        plans = [
            training_plan(
                self.lengths["train"],
                self._batch_size,
                epoch=epoch,
                seed=self._seed,
                mix=self._mix,
                max_tokens=self._max_batch_tokens,
                accumulate=self._accumulate,
                rank=r,
                world_size=world,
            )
            for r in range(world)
        ]
        batches = []
        for index, step in enumerate(plans[rank]):
            weight = sum(self._weights[batch].sum() for plan in plans for batch in plan[index] if batch)
            scale = self._accumulate * world / (float(weight) or 1.0)
            # Where there is no row, one runs for show: other devices would wait, and Lightning counts batches.
            batches += [(batch, scale) if batch else ([0], 0.0) for batch in step]
        return batches

    def _evaluation_loader(self, split: str) -> DataLoader:
        trainer = self.trainer
        assert trainer is not None
        lengths = self.lengths[split]
        if len(lengths) < trainer.world_size:
            message = f"{len(lengths)} rows of {split} are too few for {trainer.world_size} devices"
            raise UserError(message, where="data")
        # Every device needs a batch: one without would not come to where the others wait for its predictions.
        size = min(self._eval_batch_size, len(lengths) // trainer.world_size)
        plan = evaluation_plan(lengths, size, rank=trainer.global_rank, world_size=trainer.world_size)
        return self._loader(split, [(batch, 1.0) for batch in plan])

    def _loader(
        self, split: str, batches: list[tuple[list[int], float]], done: int = 0, cut: Cut = "whole"
    ) -> DataLoader:
        # The planned batches are the data set; PyTorch's own batching is off (batch_size=None).
        return DataLoader(
            [[batch] for batch in batches],  # type: ignore[arg-type]
            batch_size=None,
            sampler=_Rest(len(batches), done),
            collate_fn=partial(_make_batch, self._gathering(split), self.lengths[split], self.states.get(split), cut),
            num_workers=self._num_workers,
            persistent_workers=False,
        )

    def reside(self, split: str, device: torch.device) -> None:
        """Have what batches of a split are made of on a device, as far as it is no large part of the memory there."""
        free = free_memory(device, 1)
        limit = float("inf") if free is None else _RESIDENT * free
        if split in self.states:
            self.states[split] = self.states[split].on(device, limit)
        if (made := resident(self.features[split], self._collate, device, limit)) is not None:
            self._gather[split] = made

    def batch(self, split: str, planned: Sequence[tuple[list[int], float]], cut: Cut = "whole") -> dict[str, Any]:
        """A batch, as :func:`_make_batch` gives it, of one model or of several."""
        return _make_batch(self._gathering(split), self.lengths[split], self.states.get(split), cut, planned)

    def _gathering(self, split: str) -> Gather:
        return self._gather.get(split) or partial(_collated, self.features[split], self._collate)


def _collated(features: Sequence[Any], collate: Collate, indices: np.ndarray) -> dict[str, Any]:
    return collate([features[i] for i in indices])


class _Rest(Sampler[int]):
    """What is left of an epoch, with the length of the whole: the trainer counts from its beginning."""

    def __init__(self, count: int, done: int) -> None:
        self._count, self._done = count, done

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._done, self._count))


def _make_batch(
    gather: Gather,
    every: np.ndarray,
    states: States | None,
    cut: Cut,
    planned: Sequence[tuple[list[int], float]],
) -> dict[str, Any]:
    """A batch, of one model or of several, whose rows stand one behind the other.

    Args:
        gather: makes batches of the split.
        every: the lengths of all its features.
        planned: of each model its rows, equally many, and the scale of its loss.

    Returns:
        its ``parts``: ``collate``'s tensors with ``index`` and ``place`` among its model's of each row, (rows,),
        ``states`` (rows, seq, hidden) where they are known, and a ``layout`` if it is to be unpadded; the ``scale`` of
        the loss, of the first model; and the numbers of ``rows``, of sub-words (``tokens``) and of ``positions`` that
        the models get.
    """
    indices, scale = np.array([i for own, _ in planned for i in own]), planned[0][1]
    lengths = every[indices]
    made, positions = [], 0
    for own in parts(lengths, len(planned)) if cut == "parts" else [np.arange(len(indices))]:
        chosen = indices[own]
        part: dict[str, Any] = gather(chosen)
        width = part["input_ids"].size(1)
        if states is not None:
            part["states"] = states.padded(chosen, width)
        if cut == "unpadded":
            part["layout"] = layout(lengths, width, len(planned))
        positions += len(part["layout"]["kept"]) if cut == "unpadded" else part["input_ids"].numel()
        place = torch.from_numpy(own % len(planned[0][0]))
        made.append({**part, "index": torch.from_numpy(chosen), "place": place})
    return {
        "parts": made,
        "scale": scale,
        "rows": len(indices) if scale else 0,
        "tokens": int(lengths.sum()) if scale else 0,
        "positions": positions,
    }
