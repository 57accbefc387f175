"""States of layers on disk, and layers that return them instead of computing them."""

import copy
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
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
from finesweep.data.resident import sent
from finesweep.results.files import replacing

#: Rows that are encoded at a time. The last digits of a state depend on it, so no run has a say in it.
_ROWS = 64
Batch = Mapping[str, Any]


class Replay:
    """Modules that return known states instead of computing them, where there are any.

    Args:
        modules: that follow each other, by name; the last of them gives the states. Their ``forward`` is replaced,
            nothing else of the model.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.name = list(modules)[-1]
        self._modules = list(modules.values())
        self._states: torch.Tensor | None = None
        self._watched: list[Any] | None = None
        self._in_form: Callable[[torch.Tensor], Any] = lambda states: states
        for module in self._modules:
            module.forward = partial(self._forward, module.forward, module is self._modules[-1])

    def remove(self) -> None:
        """Let the modules compute again."""
        for module in self._modules:
            del module.forward

    def _forward(self, original: Callable[..., Any], last: bool, *inputs: Any, **named: Any) -> Any:
        if self._states is not None:
            return self._in_form(self._states)
        said = original(*inputs, **named)
        if last and self._watched is not None:
            self._watched.append(said)
        return said

    @contextmanager
    def known(self, states: torch.Tensor | None) -> Iterator[None]:
        """Inside, the modules return these states (batch, seq, hidden), if there are any."""
        self._states = states
        try:
            yield
        finally:
            self._states = None

    def states(self, forward: Callable[[Batch], Any], batch: Batch) -> torch.Tensor | None:
        """What leaves the last of the modules, (batch, seq, hidden); None where that is not one tensor for a batch."""
        watched: list[Any] = []
        self._watched = watched
        try:
            forward(batch)
        finally:
            self._watched = None
        if len(watched) != 1:  # a layer that is used again and again, as ALBERT's
            return None
        said: Any = watched[0]
        values = list(said.values()) if isinstance(said, dict) else [*said] if isinstance(said, tuple) else [said]
        first, *rest = values
        # What else there is the head or the layers above would miss.
        if not isinstance(first, torch.Tensor) or any(other is not None for other in rest):
            return None
        if isinstance(said, dict):
            name, form = next(iter(said)), type(said)
            self._in_form = lambda states: form(**{name: states})
        elif isinstance(said, tuple):
            self._in_form = lambda states: (states, *[None] * len(rest))
        return first if first.shape[:2] == batch["input_ids"].shape else None


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

    def padded(self, indices: np.ndarray, width: int) -> torch.Tensor:
        """Of these features (batch, width, hidden), with zeros behind each."""
        steps, device = np.arange(width), self._states.device
        lengths, ends = self._lengths[indices][:, None], self._ends[indices][:, None]
        places = torch.from_numpy((ends - lengths + np.minimum(steps, lengths - 1).clip(0)).ravel())
        behind = torch.from_numpy(np.flatnonzero(steps >= lengths))
        states = self._states.index_select(0, sent(places, device)).index_fill_(0, sent(behind, device), 0)
        return states.view(len(indices), width, -1)

    def on(self, device: torch.device, limit: float) -> "StateRows":
        """The same, on a device if they take no more bytes there than ``limit``. From the disk to the processor they
        come by themselves."""
        if device.type == "cpu" or self._states.numel() * self._states.element_size() > limit:
            return self
        other = copy.copy(self)
        other._states = self._states.to(device)
        return other


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
