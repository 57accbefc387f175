"""A frozen encoder runs once over each row; its states are kept on disk, for all epochs, jobs and later sweeps.

What lies below the first layer that trains gives the same for the same row in every epoch. The states that leave it
are written to a file that is read through memory, and the layers that gave them return them from there.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from finesweep.config.errors import UserError
from finesweep.models.pretrained import Loaded
from finesweep.results.environment import environment
from finesweep.strategies.anatomy import layer_stacks, layers_from_top
from finesweep.strategies.base import set_modes
from finesweep.tasks.base import Batch, Frame
from finesweep.training.components import Components, Features
from finesweep.training.features import Stored
from finesweep.training.precision import autocast
from finesweep.training.states import Maker, Replay, StateRows, Store

#: Splits whose rows come again and again.
_SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Encoded:
    """What the frozen part of a model says of rows.

    Attributes:
        replay: its layers, which return it; None where they compute it in each batch.
        rows: of each split that comes again and again.
        seconds: that it took to get there.
        why_not: what a user should know if it is not kept.
    """

    replay: Replay | None = None
    rows: dict[str, StateRows] | None = None
    seconds: float = 0.0
    why_not: str = ""


def encode_once(parts: Components, loaded: Loaded, model: nn.Module, features: Features, frame: Frame) -> Encoded:
    """The states that leave the frozen part of a model, from the disk or computed now.

    Args:
        model: with the strategy applied.
    """
    begun, task = time.perf_counter(), parts.task
    layers = frozen_layers(model, parts.strategy.trainable(model, parts.trainer.max_epochs - 1))
    again = {split: each for split in _SPLITS if isinstance(each := features[split], Stored)}
    if not layers or not parts.cache_gb or task.hides or loaded.kind == "encoder-decoder" or len(again) < len(_SPLITS):
        return Encoded()
    device = torch.device("cpu")
    if parts.trainer.accelerator == "gpu":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    model.to(device)
    replay, rows = Replay(layers), {}
    assert parts.cache_dir is not None  # or the features would not be stored
    store = Store(Path(parts.cache_dir).expanduser() / "states", parts.cache_gb * 1e9)
    key = {**_key(parts, loaded, device), "layers": len(layers)}

    def forward(batch: Batch) -> Any:
        with autocast(parts.trainer.precision, device.type):
            return task.forward(model, batch)

    def batch(split: str, indices: list[int]) -> Batch:
        made = task.collate([features[split][i] for i in indices], frame)
        return {name: value.to(device) for name, value in made.items()}

    def states(split: str, indices: list[int]) -> torch.Tensor:
        found = replay.states(forward, batch(split, indices))
        assert found is not None  # as it was of the first row
        return found

    with torch.inference_mode(), torch.random.fork_rng():
        for split, each in again.items():
            like = _steady(model, replay, batch(split, [0]), forward)
            if like is None:
                replay.remove()
                return Encoded()
            maker = Maker(each.lengths, like, partial(states, split))
            found = store.rows({**key, "features": each.key}, maker)
            if found is None:
                replay.remove()
                size = f"{maker.size / 1e9:.1f} GB of states are more than cache_gb allows or the disk has room for"
                return Encoded(why_not=f"the frozen part runs in every epoch: {size}")
            rows[split] = found
    return Encoded(replay, rows, time.perf_counter() - begun)


def frozen_layers(model: nn.Module, trainable: Iterable[str]) -> list[nn.Module]:
    """The layers of a model's only stack below which, and in which, nothing trains; from the first on."""
    try:
        stacks = layer_stacks(model)
    except UserError:
        return []
    if len(stacks) != 1:
        return []
    (name, depth), above = stacks[0], layers_from_top(model)
    deepest = max((above[parameter] for parameter in trainable if parameter in above), default=-1)
    stack: Any = model.get_submodule(name)
    return list(stack)[: max(0, depth - 1 - deepest)]


def _steady(model: nn.Module, replay: Replay, batch: Batch, forward: Callable[[Batch], Any]) -> torch.Tensor | None:
    """What leaves the layers, the model in evaluation mode; None if it is another thing in training mode, at random."""
    set_modes(model)
    trained = replay.states(forward, batch)
    model.eval()
    scored = replay.states(forward, batch)
    return scored if trained is not None and scored is not None and torch.equal(trained, scored) else None


def _key(parts: Components, loaded: Loaded, device: torch.device) -> dict[str, Any]:
    """What, beside rows and layers, decides what the states are, to the last digit."""
    strategy = {name: value for name, value in vars(parts.strategy).items() if name != "lr"}
    here = environment()
    return {
        "model": [loaded.fingerprint, parts.model.dtype, None if parts.model.pretrained else parts.seed],
        "strategy": [type(parts.strategy).__qualname__, strategy],
        "precision": parts.trainer.precision,
        "device": [device.type, *(here[name] for name in ("cpu", "threads", "gpus", "cuda", "cudnn"))],
        "versions": {name: metadata.version(name) for name in ("torch", "transformers")},
    }
