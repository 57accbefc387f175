"""From features to padded tensors, and from logits to a loss for each row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from finesweep.tasks.base import Batch, Feature, Frame

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


def left_padded(sequences: Sequence[Sequence[int]], frame: Frame) -> dict[str, "torch.Tensor"]:
    """``input_ids`` and ``attention_mask`` (batch, seq) with the padding before the text, to be continued."""
    mirrored = [list(reversed(sequence)) for sequence in sequences]
    ids, mask = padded(mirrored, frame.pad_token_id), padded([[1] * len(each) for each in mirrored], 0)
    return {"input_ids": ids.flip(1), "attention_mask": mask.flip(1)}


def encode_texts(
    frame: Frame, texts: Sequence[str], pairs: Sequence[str] | None = None
) -> list[tuple[list[int], dict[str, Any], int]]:
    """Texts, or pairs of them, as ``(input_ids, extra, cut)``, cut to the length that the model takes.

    ``extra`` holds ``token_type_ids`` where the tokenizer tells the two of a pair apart.
    """
    if not texts:
        return []
    tokenizer, limit = frame.tokenizer, frame.max_length
    typed = pairs is not None and "token_type_ids" in tokenizer.model_input_names
    encoded = tokenizer(list(texts), None if pairs is None else list(pairs), verbose=False)
    out = []
    for index, ids in enumerate(encoded["input_ids"]):
        one, cut = encoded.encodings[index], max(0, len(ids) - limit)
        types = one.type_ids
        if cut:  # the longer of a pair first
            short = tokenizer(texts[index], pairs and pairs[index], truncation=True, max_length=limit, verbose=False)
            ids, types = short["input_ids"], short.encodings[0].type_ids
        out.append((list(ids), {"token_type_ids": list(types)} if typed else {}, cut))
    return out


def of_text(logits: "torch.Tensor", batch: Batch) -> "torch.Tensor":
    """``logits`` (batch, seq, …) of the text alone, without those of virtual tokens that a strategy puts before it."""
    return logits[:, -batch["input_ids"].size(1) :]


def label_loss(
    logits: "torch.Tensor", labels: "torch.Tensor", smoothing: float
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Cross-entropy of ``logits`` (batch, n, classes) for ``labels`` (batch, n): summed, and counted, for each row."""
    from torch.nn.functional import cross_entropy

    losses = cross_entropy(
        logits.float().transpose(1, 2), labels, reduction="none", ignore_index=IGNORED, label_smoothing=smoothing
    )
    return losses.sum(1), (labels != IGNORED).sum(1)


def class_loss(logits: "torch.Tensor", batch: Batch, smoothing: float) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Cross-entropy of ``logits`` (batch, classes) for ``label``, times ``weight``; and the weight of each row."""
    from torch.nn.functional import cross_entropy

    label, weight = batch["label"], batch["weight"]
    losses = cross_entropy(logits.float(), label, reduction="none", ignore_index=IGNORED, label_smoothing=smoothing)
    return losses * weight, (label != IGNORED) * weight


def special_ids(tokenizer: "PreTrainedTokenizerBase") -> tuple[list[int], list[int]]:
    """The ids that a tokenizer puts before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a", add_special_tokens=True)["input_ids"]
    start = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return list(full[:start]), list(full[start + len(bare) :])
