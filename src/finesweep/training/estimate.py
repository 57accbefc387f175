"""What can be told of a job before it is trained: rows, optimizer steps, parameters, memory."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from finesweep.config.identity import NO_EFFECT, without
from finesweep.config.secrets import redacted
from finesweep.data.batch_plan import lengths_of
from finesweep.tasks.base import Examples, Feature
from finesweep.training.components import Components, Features, encoded, parameter_counts, read_data

#: Bytes that Python and its libraries take in each process beside the model.
LIBRARIES = 2**29
_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
#: Keys that change what a job yields, but neither what it needs nor whether it can begin. What is not listed may.
_NO_MATTER = NO_EFFECT | {
    "data.fold", "data.split_seed", "finetune_strategy.lr", "model.dropout", "model.learning_rate", "optimizer.betas",
    "optimizer.eps", "optimizer.lr", "optimizer.weight_decay", "scheduler", "seed", "task.label_smoothing",
    "trainer.deterministic", "trainer.early_stopping.min_delta", "trainer.gradient_clip_val",
}  # fmt: skip


def kind(values: Mapping[str, Any]) -> str:
    """What jobs share of which one estimate holds for all."""
    return _key(without(redacted(dict(values)), _NO_MATTER))


def _key(*nodes: Any) -> str:
    return json.dumps(nodes, sort_keys=True, default=str)


@dataclass(frozen=True)
class Estimate:
    """What a job needs.

    Attributes:
        rows: of training.
        steps: of the optimizer.
        memory: bytes of the device, roughly, without Python and its libraries.
    """

    rows: int
    steps: int
    trainable: int
    parameters: int
    memory: int


class Estimator:
    """Estimates of jobs; what several of them share is read, encoded and built once."""

    def __init__(self) -> None:
        self._examples: dict[str, Examples] = {}
        self._features: dict[str, Features] = {}

    def estimate(self, values: dict[str, Any]) -> Estimate:
        """The estimate for a checked configuration.

        The architecture is built without weights: this takes the model's configuration and tokenizer, but no memory.

        Raises:
            UserError: its data or its model cannot be read here, so the job would fail.
        """
        parts = Components.of(values)
        sizes = ("batch_size", "eval_batch_size", "max_batch_tokens", "mix_lengths", "num_workers")
        data = without(values["data"], sizes)
        rows = _key(data, values["task"])
        if rows not in self._examples:
            self._examples[rows] = read_data(parts)
        examples = self._examples[rows]
        loaded = parts.model.skeleton(parts.task, examples.labels, parts.longest)
        with torch.device("meta"):
            model = parts.apply(loaded)
        inputs = _key(rows, values["model"])
        if inputs not in self._features:
            self._features[inputs] = encoded(parts, examples, loaded)
        features, parameters = self._features[inputs]["train"], parameter_counts(model)
        return Estimate(
            len(examples.splits["train"]), parts.total_steps(features), parameters["trainable"],
            parameters["total"], round(_memory(loaded.model, features, parameters, values)),
        )  # fmt: skip

    def note(self) -> None:
        """Log what the readers of the data had to say."""
        for note in dict.fromkeys(note for examples in self._examples.values() for note in examples.notes):
            logging.getLogger("finesweep").warning(note)


def _memory(model: Any, features: Sequence[Feature], parameters: Mapping[str, int], values: dict[str, Any]) -> float:
    """Bytes, roughly.

    Weights once, and for what trains a gradient and the optimizer's moments. Activations of a transformer layer as in
    Korthikanti et al. (2022, https://arxiv.org/abs/2205.05198): ``s b h (34 + 5 a s / h)`` bytes in 16 bits, twice as
    many in 32. Where sub-words are predicted, a score for each of the vocabulary, its logarithm and its gradient.
    """
    size, optimizer = _BYTES[values["model"]["dtype"]], values["optimizer"]
    moments = bool(optimizer.get("momentum")) if optimizer["_target_"].endswith("SGD") else 2
    states = parameters["trainable"] * size * (1 + moments)
    config: Any = model.config
    longest = int(lengths_of(features).max())
    batch, hidden = values["data"]["batch_size"], _of(config, "hidden_size", "dim")
    if batch == "auto":  # which finds one that fits
        batch = 1
    if budget := values["data"]["max_batch_tokens"]:
        batch = max(1, budget // longest)
    layers, heads = _of(config, "num_hidden_layers", "n_layers"), _of(config, "num_attention_heads", "n_heads")
    half = 1 if "16" in values["trainer"]["precision"] else 2
    activations = half * layers * longest * batch * hidden * (34 + 5 * heads * longest / hidden)
    writes = model.get_output_embeddings() is not None
    rows = max(batch, values["data"]["eval_batch_size"])
    scores = 3 * 4 * rows * longest * _of(config, "vocab_size") if writes else 0
    return float(parameters["total"] * size + states + activations + scores)


def _of(config: Any, *names: str) -> int:
    return next((int(getattr(config, name)) for name in names if hasattr(config, name)), 1)
