"""The features of a split as tensors that stay on a device, where batches are made of them in a few operations."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_map

Collate = Callable[[Sequence[Any]], dict[str, Any]]
#: Features whose tensors are joined at a time, so that there are never many small ones.
_JOINED = 1000
#: Features that a gathered batch is tried with.
_TRIED = 16


@dataclass(frozen=True)
class _Column:
    """One of the tensors of all features.

    Attributes:
        flat: what they have, one behind the other, (cells, …).
        lengths: cells of each feature, (features,); the same on the device as ``counts``; None where each has one, and
            its batches no dimension for it.
        fill: what stands behind those of a shorter row; None where there are none.
    """

    flat: torch.Tensor
    lengths: np.ndarray | None
    counts: torch.Tensor
    starts: torch.Tensor
    fill: torch.Tensor | None = None

    def batch(self, rows: np.ndarray, places: torch.Tensor) -> torch.Tensor:
        """Of these features, (rows, longest of them, …).

        Args:
            places: the same numbers on the device.
        """
        if self.lengths is None:
            return self.flat.index_select(0, places)
        steps = torch.arange(int(self.lengths[rows].max()), device=places.device)
        cells = (self.starts[places][:, None] + steps).clamp_(max=len(self.flat) - 1)
        found = self.flat[cells]
        if self.fill is None:
            return found
        there = (steps < self.counts[places][:, None]).view(*cells.shape, *[1] * (found.dim() - 2))
        return torch.where(there, found, self.fill)


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The same on a device. Of memory that is not pinned a copy waits for all that the device has to do."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def moved(part: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """A batch on a device, with all that it holds."""
    there: dict[str, Any] = tree_map(
        lambda value: sent(value, device) if isinstance(value, torch.Tensor) else value, part
    )
    return there


class Resident:
    """Makes the batches of a split that ``collate`` would make; see :func:`resident`."""

    def __init__(self, columns: Mapping[str, _Column], device: torch.device) -> None:
        self._columns, self._device = columns, device

    def __call__(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """The batch of these features, on the device."""
        places = sent(torch.from_numpy(indices), self._device)
        return {name: column.batch(indices, places) for name, column in self._columns.items()}


def resident(features: Sequence[Any], collate: Collate, device: torch.device, limit: float) -> Resident | None:
    """The features of a split on a device; None where ``collate`` does more than fill up each row at its end, or they
    take more bytes than ``limit``."""
    pieces: dict[str, list[torch.Tensor]] = {}
    lengths: dict[str, list[int]] = {}
    size = 0
    for own in _joined(features, collate):
        if own is None or (pieces and own.keys() != pieces.keys()):
            return None
        for name, (cells, counts) in own.items():
            pieces.setdefault(name, []).append(cells)
            lengths.setdefault(name, []).extend(counts)
            size += cells.numel() * cells.element_size()
        if size > limit:
            return None
    if any(len({(piece.shape[1:], piece.dtype) for piece in each}) > 1 for each in pieces.values()):
        return None
    columns = {name: _column(name, pieces[name], lengths[name], features, collate, device) for name in pieces}
    made = Resident(columns, device)
    return made if _agrees(made, features, collate) else None


def _joined(features: Sequence[Any], collate: Collate) -> Iterator[dict[str, tuple[torch.Tensor, list[int]]] | None]:
    """The tensors of some features at a time with the cells of each, which are 0 where there is one without a
    dimension; None where they cannot be joined."""
    for first in range(0, len(features), _JOINED):
        own = [collate([features[i]]) for i in range(first, min(first + _JOINED, len(features)))]
        names = own[0].keys()
        values = [value for batch in own for value in batch.values()]
        tensors = all(isinstance(value, torch.Tensor) and value.dim() for value in values)
        if not tensors or any(batch.keys() != names for batch in own):
            yield None
            return
        every = {name: [batch[name] if batch[name].dim() == 1 else batch[name][0] for batch in own] for name in names}
        if any(len({cells.shape[1:] for cells in each}) > 1 for each in every.values()):
            yield None
            return
        yield {
            name: (torch.cat(each), [len(cells) if own[0][name].dim() > 1 else 0 for cells in each])
            for name, each in every.items()
        }


def _column(
    name: str, pieces: list[torch.Tensor], counts: list[int], features: Sequence[Any], collate: Collate,
    device: torch.device,
) -> _Column:  # fmt: skip
    flat, lengths = torch.cat(pieces).to(device), np.asarray(counts)
    starts = torch.from_numpy(np.cumsum(lengths) - lengths).to(device)
    shortest, longest, fill = int(lengths.argmin()), int(lengths.argmax()), None
    if lengths[shortest] < lengths[longest]:
        fill = collate([features[shortest], features[longest]])[name][0, -1].to(device)
    return _Column(flat, lengths if lengths.any() else None, torch.from_numpy(lengths).to(device), starts, fill)


def _agrees(made: Resident, features: Sequence[Any], collate: Collate) -> bool:
    """Whether a batch is the same, of the shortest feature, of the longest, and of some between."""
    order = np.argsort([len(feature) for feature in features], kind="stable")
    rows = order[np.linspace(0, len(order) - 1, _TRIED).round().astype(int)].tolist()
    expected, found = collate([features[i] for i in rows]), made(np.array(rows))
    return all(
        found[name].dtype == value.dtype and torch.equal(found[name].cpu(), value) for name, value in expected.items()
    )
