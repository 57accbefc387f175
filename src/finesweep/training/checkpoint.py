"""Checkpoints: trainable weights and plain values in safetensors files, written so that a good one is always there.

Nothing in such a file is code: tensors are read as numbers, and all else as JSON.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finesweep.config.errors import TrainingError
from finesweep.results.files import to_disk

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = 1
_KEY = "finesweep"


class CheckpointError(TrainingError):
    """A checkpoint cannot be written or read."""


class Checkpoints:
    """The checkpoints of one run.

    ``step-<n>`` is the whole state after optimizer step n, the newest two of them; ``best-<n>`` are the weights of the
    best validation so far, and of the one that was best when an older ``step-`` file was written.
    """

    #: Whole states kept: one more than is needed, should the newest turn out to be damaged.
    _KEPT = 2

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: The step of the best weights that each state refers to.
        self._refers: dict[Path, int] = {}

    def best(self, step: int) -> Path:
        """Where the weights go that are the best at a step."""
        return self.folder / f"best-{step:08d}.safetensors"

    def save(self, tensors: Mapping[str, "Tensor"], state: Mapping[str, Any], *, step: int, best: int) -> None:
        """Write a state, and drop what it makes superfluous.

        Args:
            best: the step of the best weights so far, 0 for none.

        Raises:
            CheckpointError: it cannot be written (the disk is full, say); those before it are still there.
        """
        path = self.folder / f"step-{step:08d}.safetensors"
        write(path, tensors, {**state, "best": best})
        self._refers[path] = best
        for old in sorted(self._refers)[: -self._KEPT]:
            old.unlink(missing_ok=True)
            del self._refers[old]
        self.drop_bests(best)

    def save_best(self, tensors: Mapping[str, "Tensor"], step: int) -> None:
        """Write the weights that are the best so far.

        Raises:
            CheckpointError: they cannot be written; those before them are still there.
        """
        write(self.best(step), tensors, {"step": step})
        self.drop_bests(step)

    def drop_bests(self, step: int) -> None:
        """Remove best weights that are not the ones of a step, and that no state refers to."""
        kept = {self.best(each) for each in (step, *self._refers.values())}
        for path in self.folder.glob("best-*.safetensors"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def latest(self) -> tuple[dict[str, "Tensor"], dict[str, Any], list[str]] | None:
        """The tensors and values of the newest good state, and what is wrong with newer ones; None if there is none.

        Raises:
            CheckpointError: there are states, and none of them is good.
        """
        found: tuple[dict[str, Tensor], dict[str, Any]] | None = None
        problems: list[str] = []
        for path in sorted(self.folder.glob("step-*.safetensors"), reverse=True):
            try:
                tensors, state = read(path, values_only=found is not None)
                if state["best"]:
                    self._check_best(state["best"], path)
            except CheckpointError as error:
                problems.append(str(error))
                continue
            self._refers[path] = state["best"]
            found = found or (tensors, state)
        if found is None and problems:
            raise CheckpointError(
                "no checkpoint of this run can be used:\n     " + "\n     ".join(problems),
                where=str(self.folder),
                remedy="remove this folder to start the run again",
            )
        return (*found, problems) if found else None

    def _check_best(self, step: int, state: Path) -> None:
        best = self.best(step)
        if not best.is_file():
            raise CheckpointError(f"{best.name}, which belongs to it, is missing", where=str(state))
        try:
            read(best)
        except CheckpointError as error:
            raise CheckpointError(f"{best.name}, which belongs to it, is damaged", where=str(state)) from error


def write(path: Path, tensors: Mapping[str, "Tensor"], state: Mapping[str, Any]) -> None:
    """Write tensors and plain values so that whoever looks sees the whole file or none, also after a power cut.

    Raises:
        CheckpointError: it cannot be written; a file that was there before is still there.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(state)
    header = json.dumps({"format": FORMAT, "digest": digest(plain, text), "state": text})
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(plain, temporary, metadata={_KEY: header})
        to_disk(temporary)
        temporary.replace(path)
        to_disk(path.parent)  # which names it: what it replaces may be gone from now on
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"the checkpoint cannot be written: {error}",
            where=str(path),
            remedy="make room on the disk and give the command again: it goes on from the last good checkpoint",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def read(path: Path, *, values_only: bool = False) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """What :func:`write` wrote.

    Args:
        values_only: leave the tensors out, unread and unchecked.

    Raises:
        CheckpointError: the file is none of ours, cut short, or changed.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_KEY])
            names = [] if values_only else list(file.keys())
            tensors = {name: file.get_tensor(name) for name in names}
        if header["format"] > FORMAT:
            raise CheckpointError("a newer finesweep wrote this checkpoint", where=str(path), remedy="update finesweep")
        state = header["state"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        what = "it is none of finesweep's" if isinstance(error, KeyError | TypeError) else str(error)
        raise CheckpointError(f"this checkpoint cannot be read: {what}", where=str(path)) from error
    if not values_only and digest(tensors, state) != header.get("digest"):
        raise CheckpointError("this checkpoint is damaged: its digest is another one", where=str(path))
    return tensors, json.loads(state)


def digest(tensors: Mapping[str, "Tensor"], text: str = "") -> str:
    """SHA-256 over tensors, by name, and a text."""
    import torch

    sha = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def weights(model: "nn.Module", names: Iterable[str]) -> dict[str, "Tensor"]:
    """The named parameters and the persistent buffers, but nothing of what is frozen."""
    parameters = dict(model.named_parameters())
    buffers = {
        f"{prefix}.{name}".lstrip("."): buffer
        for prefix, module in model.named_modules()
        for name, buffer in module._buffers.items()
        if buffer is not None and name not in module._non_persistent_buffers_set
    }
    return {**buffers, **{name: parameters[name] for name in names}}


def load_weights(model: "nn.Module", tensors: Mapping[str, "Tensor"]) -> None:
    """Put what :func:`weights` took back.

    Raises:
        ValueError: there is something in it that the model does not have.
    """
    unexpected = model.load_state_dict(dict(tensors), strict=False).unexpected_keys
    if unexpected:
        raise ValueError(f"the model does not have {', '.join(unexpected)}")
