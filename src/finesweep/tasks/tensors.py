"""From features to padded tensors, and from logits to a loss for each row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from finesweep.tasks.base import Feature, Frame

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

#: The label of what is not scored.
IGNORED = -100


def padded(sequences: Sequence[Sequence[int]], value: int) -> "torch.Tensor":
    """Sequences of integers as one tensor (batch, longest), filled up with ``value``."""
    import torch

    longest = max(map(len, sequences))
    lists = [[*sequence, *([value] * (longest - len(sequence)))] for sequence in sequences]
    return torch.tensor(lists, dtype=torch.long)


def model_batch(features: Sequence[Feature], frame: Frame) -> dict[str, "torch.Tensor"]:
    """``input_ids`` and ``attention_mask`` (batch, seq), and ``token_type_ids`` where the features have them."""
    batch = {
        "input_ids": padded([feature.input_ids for feature in features], frame.pad_token_id),
        "attention_mask": padded([[1] * len(feature) for feature in features], 0),
    }
    if "token_type_ids" in features[0].extra:
        batch["token_type_ids"] = padded([feature.extra["token_type_ids"] for feature in features], 0)
    return batch


def label_loss(
    logits: "torch.Tensor", labels: "torch.Tensor", smoothing: float
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Cross-entropy of ``logits`` (batch, n, classes) for ``labels`` (batch, n): summed, and counted, for each row."""
    from torch.nn.functional import cross_entropy

    losses = cross_entropy(
        logits.float().transpose(1, 2), labels, reduction="none", ignore_index=IGNORED, label_smoothing=smoothing
    )
    return losses.sum(1), (labels != IGNORED).sum(1)


def special_ids(tokenizer: "PreTrainedTokenizerBase") -> tuple[list[int], list[int]]:
    """The ids that a tokenizer puts before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a", add_special_tokens=True)["input_ids"]
    start = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return list(full[:start]), list(full[start + len(bare) :])
