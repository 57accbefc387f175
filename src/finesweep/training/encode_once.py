"""A frozen encoder runs once over each row; its states are kept on disk, for all epochs, jobs and later sweeps.

What lies below the first layer that trains gives the same for the same row in every epoch. The states that leave it
are written to a file that is read through memory, and the layers that gave them return them from there.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from finesweep.data.module import States
from finesweep.models.pretrained import Loaded
from finesweep.results.environment import environment
from finesweep.strategies.anatomy import body_names, layers_from_top, stacks_if_any
from finesweep.strategies.base import set_modes
from finesweep.tasks.base import Batch, Feature
from finesweep.training.components import Components, Features
from finesweep.training.features import Stored
from finesweep.training.states import Maker, Replay, Store

#: Splits whose rows come again and again in a run; others do in a sweep.
_AGAIN = ("train", "validation")


@dataclass(frozen=True)
class Encoded:
    """What the frozen part of a model says of rows.

    Attributes:
        replay: its layers, which return it; None where they compute it in each batch.
        whole: whether that is all layers that the model has.
        rows: of each split, that of a test only where there is room for it.
        seconds: that it took to get there.
        why_not: what a user should know if it is not kept.
    """

    replay: Replay | None = None
    whole: bool = False
    rows: Mapping[str, States] | None = None
    seconds: float = 0.0
    why_not: str = ""


def encode_once(
    parts: Components,
    loaded: Loaded,
    model: nn.Module,
    features: Features,
    batch_of: Callable[[Sequence[Feature]], Batch],
    forward: Callable[[Batch], Any],
) -> Encoded:
    """The states that leave the frozen part of a model, from the disk or computed now.

    Args:
        model: with the strategy applied, on its device.
        batch_of: features to a padded batch on that device.
        forward: of the model, under the precision of the training.
    """
    begun = time.perf_counter()
    stored = {split: each for split, each in features.items() if isinstance(each, Stored)}
    if not parts.cache_gb or parts.task.hides or loaded.kind == "encoder-decoder" or len(stored) < len(features):
        return Encoded()
    assert parts.cache_dir is not None  # or the features would not be stored
    store = Store(Path(parts.cache_dir).expanduser() / "states", parts.cache_gb * 1e9)
    key, rows = _key(parts, loaded, next(model.parameters()).device), dict[str, States]()
    with torch.inference_mode(), torch.random.fork_rng():
        replay, like = _found(model, _frozen(model, parts), batch_of([features["train"][0]]), forward)
        if replay is None or like is None:
            return Encoded()

        def states(split: str, indices: list[int]) -> torch.Tensor:
            found = replay.states(forward, batch_of([features[split][i] for i in indices]))
            assert found is not None  # as it was of the first row
            return found

        total = 0
        for split, each in stored.items():
            maker = Maker(each.lengths, like, partial(states, split))
            total += maker.size
            once = split not in _AGAIN
            if once and total > store.limit:  # for which the others would have to go
                continue
            found = store.rows({**key, "after": replay.name, "features": each.key}, maker)
            if found is None and once:
                continue
            if found is None:
                replay.remove()
                size = f"{maker.size / 1e9:.1f} GB of states are more than cache_gb allows or the disk has room for"
                return Encoded(why_not=f"the frozen part runs in every epoch: {size}")
            rows[split] = found
    ends = [*body_names(model), *(f"{stack}.{depth - 1}" for stack, depth in stacks_if_any(model))]
    return Encoded(replay, replay.name in ends, rows, time.perf_counter() - begun)


def _frozen(model: nn.Module, parts: Components) -> Iterator[dict[str, nn.Module]]:
    """By name, modules that follow each other from the first of the model on, and in and before which nothing trains:
    the whole body, or the first layers of its stack."""
    trainable = parts.strategy.trainable(model, parts.trainer.max_epochs - 1)
    bodies = body_names(model)
    if len(bodies) == 1 and not any(name.startswith(f"{bodies[0]}.") for name in trainable):
        yield {bodies[0]: model.get_submodule(bodies[0])}
    stacks = stacks_if_any(model)
    if len(stacks) != 1:
        return
    above = layers_from_top(model)
    deepest = max((above[name] for name in trainable if name in above), default=-1)
    name, depth = stacks[0]
    if depth - 1 - deepest > 0:
        yield {f"{name}.{place}": model.get_submodule(f"{name}.{place}") for place in range(depth - 1 - deepest)}


def _found(
    model: nn.Module, choices: Iterable[dict[str, nn.Module]], batch: Batch, forward: Callable[[Batch], Any]
) -> tuple[Replay | None, torch.Tensor | None]:
    """The first of the choices that gives the same states each time, and those of a batch."""
    for modules in choices:
        replay = Replay(modules)
        set_modes(model)
        trained = replay.states(forward, batch)
        model.eval()
        scored = replay.states(forward, batch)
        if trained is not None and scored is not None and torch.equal(trained, scored):  # none of it is random
            return replay, scored
        replay.remove()
    return None, None


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
