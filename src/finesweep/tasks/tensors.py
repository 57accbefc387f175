"""From features to padded tensors, and from logits to a loss for each row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from finesweep.tasks.base import Batch, Feature, Frame

if TYPE_CHECKING:
    import torch
    from torch import nn
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


def label_loss(
    logits: "torch.Tensor", labels: "torch.Tensor", smoothing: float
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Cross-entropy of ``logits`` (batch, n, classes) for ``labels`` (batch, n): summed, and counted, for each row."""
    from torch.nn.functional import cross_entropy

    losses = cross_entropy(
        logits.float().transpose(1, 2), labels, reduction="none", ignore_index=IGNORED, label_smoothing=smoothing
    )
    return losses.sum(1), (labels != IGNORED).sum(1)


def token_loss(logits: "torch.Tensor", labels: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
    """Cross-entropy of ``logits`` (batch, seq, vocabulary) where ``labels`` (batch, seq) are, summed for each row.

    Only the labelled positions become float32, which spares most of the memory where few of them are.
    """
    import torch
    from torch.nn.functional import cross_entropy

    where = labels != IGNORED
    losses = cross_entropy(logits[where].float(), labels[where], reduction="none")
    rows = where.nonzero()[:, 0]
    summed = torch.zeros(len(labels), device=losses.device).index_add(0, rows, losses)
    return summed, where.sum(1)


def ended(ids: Sequence[int], end: int, limit: int) -> tuple[list[int], int]:
    """Sub-words with the end token behind them, ``limit`` at most, and how many are cut off for that."""
    whole = list(ids) if ids and ids[-1] == end else [*ids, end]
    return (whole if len(whole) <= limit else [*whole[: limit - 1], end]), max(0, len(whole) - limit)


def written_logits(model: "nn.Module", batch: Batch, target: "torch.Tensor") -> Any:
    """What an encoder-decoder says of ``target`` (batch, n), each sub-word given those before it: logits (batch, n,
    vocabulary)."""
    shifted = model.prepare_decoder_input_ids_from_labels(target)  # type: ignore[operator]
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    return model(**inputs, decoder_input_ids=shifted, use_cache=False).logits


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
