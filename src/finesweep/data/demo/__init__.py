"""The embedded data sets: texts about one small invented world, written by seeded generators; no network, no files.

Each writer is a function ``(world, count, *, seed, unseen)`` that yields rows for a task, named ``module.function``
below this package. Its templates are filled with things that belong together (a person, their employer, its seat).
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Literal

from finesweep.data.demo.world import make_world

Split = Literal["train", "validation", "test"]
Writer = Callable[..., Iterator[dict[str, Any]]]


def writer_of(name: str) -> Writer:
    """The writer that ``module.function`` names.

    Raises:
        ValueError: there is none.
    """
    module, _, function = name.partition(".")
    try:
        found = getattr(import_module(f"{__name__}.{module}"), function, None)
    except ImportError:
        found = None
    if found is None or not function or function.startswith("_"):
        raise ValueError(f"there is no writer '{name}'")
    return found


def demo_splits(name: str, seed: int, sizes: Mapping[Split, int], unseen: float) -> dict[Split, list[dict[str, Any]]]:
    """The rows of a writer: training about known things, ``unseen`` of the other rows about held-out ones."""
    write, world = writer_of(name), make_world(seed)
    # By name: a split must not change with what stands beside it.
    offsets: dict[Split, int] = {"train": 0, "validation": 1, "test": 2}
    return {
        split: list(write(world, count, seed=seed * 1000 + offsets[split], unseen=0.0 if split == "train" else unseen))
        for split, count in sizes.items()
    }
