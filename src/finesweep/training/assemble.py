"""From the components of a run to what its training works with: data read, model loaded, strategy applied."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from finesweep.data.module import Cut, DataModule
from finesweep.models.checkpointing import checkpoint_layers
from finesweep.models.pretrained import Loaded
from finesweep.tasks.base import Batch, Examples, Feature
from finesweep.training.batch_size import fitting
from finesweep.training.components import Components, encoded, frame_of, parameter_counts, read_data
from finesweep.training.embedding import split_embedding
from finesweep.training.encode_once import encode_once
from finesweep.training.features import sub_words
from finesweep.training.module import FineTuner, seed_generators
from finesweep.training.precision import autocast
from finesweep.training.unpadded import without_padding

#: Chunks of like length in a step, unless the configuration says how many. MiniLM, 4,000 sentences of CoNLL-2003, one
#: epoch, mean F1 of three seeds: 0.781 with one, 0.799 with 4, 0.808 with 8, 0.807 with 32; random rows 0.805.
_MIX = 8


@dataclass
class Assembled:
    """What a training works with."""

    parts: Components  # with the batch that fits
    batch: dict[str, int]
    examples: Examples
    loaded: Loaded
    tuner: FineTuner
    data: DataModule
    #: ``total`` and ``trainable`` numbers of them.
    parameters: dict[str, int]
    #: That the frozen part took to say what it has to say, once.
    encode_seconds: float
    #: Stands for those sub-words whose embeddings train; empty where all of them do, or none.
    trained_sub_words: str
    #: Puts back into the trained model what training could do without.
    complete: Callable[[], None]


def assemble(parts: Components, batch: dict[str, int]) -> Assembled:
    """Read, load, apply, encode. The generators are seeded first: the head's weights depend on the seed alone.

    Args:
        batch: ``rows``, ``accumulate`` and ``mix`` of a run that this one does again or goes on with; else empty.

    Raises:
        UserError: data or model are not what the configuration says.
    """
    examples = read_data(parts)
    seed_generators(parts.seed)
    loaded = parts.model.load(parts.task, examples.labels, parts.longest, parts.strategy.loading())
    model = parts.apply(loaded)
    features = encoded(parts, examples, loaded)
    frame = frame_of(parts, examples, loaded)
    if parts.trainer.gradient_checkpointing:
        checkpoint_layers(model)
    device = torch.device("cpu")
    if parts.trainer.accelerator == "gpu":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    model.to(device)
    parameters = parameter_counts(model)
    trainable = parts.strategy.trainable(model, parts.trainer.max_epochs - 1)
    # Where a task hides sub-words the model sees others too.
    seen = np.zeros(0, dtype=int) if parts.task.hides else sub_words(features["train"])
    trained_sub_words, complete = split_embedding(model, loaded.model, trainable, seen)

    task = parts.task
    collate = partial(task.collate, frame=frame)

    def batch_of(rows: Sequence[Feature]) -> Batch:
        return {name: value.to(device) for name, value in collate(rows).items()}

    def forward(batch: Batch) -> Any:
        with autocast(parts.trainer.precision, device.type):
            return task.forward(model, batch)

    size = batch or fitting(parts, model, features, batch_of, forward)
    parts = parts.sized(size["rows"], size["accumulate"])
    source, trainer = parts.data, parts.trainer
    once = encode_once(parts, loaded, model, features, batch_of, forward)
    compiled = trainer.compile is not None and once.replay is None
    said = partial(task.forward, model)
    unpadded = None if compiled else without_padding(loaded.model, said, features["train"], batch_of)
    cut: Cut = "whole" if compiled else "parts" if unpadded is None else "unpadded"
    if once.whole and unpadded is not None:
        # No layer is left to take the padding from. The head gets batches as it would after layers without padding: a
        # run whose states are not kept must drop the same at random.
        unpadded.remove()
        unpadded, cut = None, "whole"
    if not batch:
        mix = 1 if compiled or source.max_batch_tokens else _MIX
        size["mix"] = mix if source.mix_lengths == "auto" else source.mix_lengths
    data = DataModule(
        examples.splits,
        features,
        collate,
        task.weight,
        batch_size=size["rows"],
        eval_batch_size=source.eval_batch_size,
        max_batch_tokens=source.max_batch_tokens,
        mix=size.get("mix", 1),
        cut=cut,
        accumulate=trainer.accumulate_grad_batches,
        seed=parts.seed,
        num_workers=source.num_workers,
    )
    data.states.update(once.rows or {})
    if trainer.compile and not compiled:
        examples.notes.append("trainer.compile is not used: what is frozen is known, and what is left is small")
    elif trainer.compile:
        # Batches differ in length: one program for all of them, but a graph of a GPU's is for one.
        model.compile(mode=trainer.compile, dynamic=trainer.compile == "default")
    tuner = FineTuner(
        model,
        task,
        parts.strategy,
        parts.optimizer,
        parts.schedule,
        frame=frame,
        total_steps=parts.total_steps(features["train"]),
        epochs=trainer.max_epochs,
        replay=once.replay,
        unpadded=unpadded,
        seed=parts.seed,
    )
    if once.why_not:
        examples.notes.append(once.why_not)
    return Assembled(parts, size, examples, loaded, tuner, data, parameters, once.seconds, trained_sub_words, complete)
