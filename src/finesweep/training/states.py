"""States of layers on disk, and layers that return them instead of computing them."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import nn

from finesweep.data.batch_plan import evaluation_plan
from finesweep.results.record import replacing

#: Rows that are encoded at a time. The last digits of a state depend on it, so no run has a say in it.
_ROWS = 64
Batch = Mapping[str, Any]


class Replay:
    """Layers that return known states instead of computing them, where there are any.

    Args:
        layers: of a stack, from the first on; their ``forward`` is replaced, nothing else of the model.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._layers = layers
        self._states: torch.Tensor | None = None
        self._seen: list[Any] = []
        self._watching = False
        self._in_tuple = 0
        for layer in layers:
            layer.forward = partial(self._forward, layer.forward, layer is layers[-1])

    def remove(self) -> None:
        """Let the layers compute again."""
        for layer in self._layers:
            del layer.forward

    def _forward(self, original: Callable[..., Any], last: bool, *inputs: Any, **named: Any) -> Any:
        if self._states is None:
            said = original(*inputs, **named)
            if last and self._watching:
                self._seen.append(said)
            return said
        return (self._states, *[None] * (self._in_tuple - 1)) if self._in_tuple else self._states

    @contextmanager
    def known(self, batch: Batch) -> Iterator[None]:
        """Inside, the layers return ``batch["states"]`` (batch, seq, hidden), if the batch has them."""
        self._states = batch.get("states")
        try:
            yield
        finally:
            self._states = None

    def states(self, forward: Callable[[Batch], Any], batch: Batch) -> torch.Tensor | None:
        """What leaves the last of the layers, (batch, seq, hidden); None where it is not one tensor for a batch."""
        self._seen, self._watching = [], True
        try:
            forward(batch)
        finally:
            self._watching = False
        if len(self._seen) != 1:  # a layer that is used again and again, as ALBERT's
            return None
        said = self._seen.pop()
        first, *rest = said if isinstance(said, tuple) else (said,)
        if any(other is not None for other in rest):  # what the layers above would miss
            return None
        self._in_tuple = len(said) if isinstance(said, tuple) else 0
        fits = isinstance(first, torch.Tensor) and first.shape[:2] == batch["input_ids"].shape
        return first if fits else None


class StateRows:
    """States of the features of a split, in a file that is read through memory.

    Args:
        array: (sub-words of all features, hidden); bfloat16, which NumPy does not have, as uint16.
        lengths: sub-words of each feature.
    """

    def __init__(self, array: np.ndarray, lengths: np.ndarray) -> None:
        states = torch.from_numpy(array)
        self._states = states.view(torch.bfloat16) if states.dtype == torch.uint16 else states
        self._ends = np.cumsum(lengths)
        self._lengths = lengths

    def padded(self, indices: Sequence[int], width: int) -> torch.Tensor:
        """Of these features (batch, width, hidden), with zeros behind each."""
        out = self._states.new_zeros(len(indices), width, self._states.size(1))
        for row, index in enumerate(indices):
            length, end = self._lengths[index], self._ends[index]
            out[row, :length] = self._states[end - length : end]
        return out


@dataclass(frozen=True)
class Store:
    """Where states are kept, and how many bytes they may take; what was not read for longest goes first."""

    folder: Path
    limit: float

    def rows(self, key: Mapping[str, Any], maker: "Maker") -> StateRows | None:
        """The states that a key stands for, from the disk or made now; None where there is no room for them.

        Jobs that want the same at once wait for the one that makes it.
        """
        text = json.dumps(key, sort_keys=True, default=str)
        path = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()}.npy"
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.is_file():
                if not self._room(maker.size):
                    return None
                with replacing(path) as temporary:
                    maker.write(temporary)
            os.utime(path)
        # Copy on write: torch has no tensors that cannot be written.
        return StateRows(np.load(path, mmap_mode="c"), maker.lengths)

    def _room(self, size: int) -> bool:
        """Whether so many bytes may be added; others are removed for that where it helps."""
        if size > min(self.limit, shutil.disk_usage(self.folder).free):
            return False
        kept = sorted(self.folder.glob("*.npy"), key=lambda file: file.stat().st_mtime)
        total = sum(file.stat().st_size for file in kept)
        for file in kept:
            if total + size <= self.limit:
                break
            total -= file.stat().st_size
            file.unlink(missing_ok=True)  # whoever has it open keeps it
        return True


@dataclass(frozen=True)
class Maker:
    """How the states of the features of a split are made.

    Attributes:
        lengths: sub-words of each feature.
        like: states of some, for their size and type.
        states: gives (batch, seq, hidden) for the features of these indices.
    """

    lengths: np.ndarray
    like: torch.Tensor
    states: Callable[[list[int]], torch.Tensor]

    @property
    def size(self) -> int:
        """In bytes."""
        return int(self.lengths.sum()) * self.like.size(-1) * self.like.element_size()

    def write(self, path: Path) -> None:
        ends = np.cumsum(self.lengths)
        dtype = _for_numpy(self.like).numpy().dtype
        shape = (int(ends[-1]), self.like.size(-1))
        array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        for indices in evaluation_plan(self.lengths, _ROWS):
            for index, states in zip(indices, _for_numpy(self.states(indices)).numpy(), strict=True):
                array[ends[index] - self.lengths[index] : ends[index]] = states[: self.lengths[index]]
        array.flush()


def _for_numpy(states: torch.Tensor) -> torch.Tensor:
    return states.cpu().view(torch.uint16) if states.dtype == torch.bfloat16 else states.cpu()
