"""From features to padded tensors, and from logits to a loss for each row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from finesweep.config.errors import UserError
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

    out = np.full((len(sequences), max(map(len, sequences))), value, dtype=np.int64)
    for row, sequence in zip(out, sequences, strict=True):
        row[: len(sequence)] = sequence
    return torch.from_numpy(out)


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
        one, cut = {key: encoded[key][index] for key in encoded}, max(0, len(ids) - limit)
        if cut:  # the longer of a pair first
            one = tokenizer(texts[index], pairs and pairs[index], truncation=True, max_length=limit, verbose=False)
        out.append((list(one["input_ids"]), {"token_type_ids": list(one["token_type_ids"])} if typed else {}, cut))
    return out


def wide(logits: "torch.Tensor") -> "torch.Tensor":
    """In 32 bits at least."""
    import torch

    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def label_loss(
    logits: "torch.Tensor", labels: "torch.Tensor", smoothing: float
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Cross-entropy of ``logits`` (batch, n, classes) for ``labels`` (batch, n): summed, and counted, for each row."""
    from torch.nn.functional import cross_entropy

    losses = cross_entropy(
        wide(logits).transpose(1, 2), labels, reduction="none", ignore_index=IGNORED, label_smoothing=smoothing
    )
    return losses.sum(1), (labels != IGNORED).sum(1)


def token_loss(logits: "torch.Tensor", labels: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
    """Cross-entropy of ``logits`` (batch, seq, vocabulary) where ``labels`` (batch, seq) are, summed for each row.

    Only the labelled positions become float32, which spares most of the memory where few of them are.
    """
    from torch.nn.functional import cross_entropy

    where = labels != IGNORED
    losses = cross_entropy(wide(logits[where]), labels[where], reduction="none")
    rows = where.nonzero()[:, 0]
    summed = losses.new_zeros(len(labels)).index_add(0, rows, losses)
    return summed, where.sum(1)


def targets_of(texts: Sequence[str], frame: Frame, limit: int) -> list[tuple[list[int], int]]:
    """Sub-words that an encoder-decoder is to write for each text, ``limit`` at most, and how many are cut off.

    They end as the tokenizer ends them: with the end token, and perhaps a language behind it.
    """
    if not texts:
        return []
    end = end_token(frame.tokenizer)
    out = []
    for ids in frame.tokenizer(text_target=list(texts), verbose=False)["input_ids"]:
        tail = ids[-2:] if ids[-2:-1] == [end] else [end]
        said = ids[: -len(tail)] if ids[-len(tail) :] == tail else ids
        room = max(0, limit - len(tail))
        out.append(([*said[:room], *tail], max(0, len(said) - room)))
    return out


def end_token(tokenizer: "PreTrainedTokenizerBase") -> int:
    """What ends a text, or stands between two.

    Raises:
        UserError: the tokenizer has no such token.
    """
    ids = (tokenizer.eos_token_id, tokenizer.sep_token_id)
    found = next((each for each in ids if each is not None), None)
    if found is None:
        raise UserError(
            "the model's tokenizer has neither an end token nor a separator",
            where="model.name_or_path",
            remedy="name one of its tokens as eos_token in tokenizer_config.json",
        )
    return int(found)


def written_logits(model: "nn.Module", batch: Batch, target: "torch.Tensor") -> Any:
    """What an encoder-decoder says of ``target`` (batch, n), each sub-word given those before it: logits (batch, n,
    vocabulary)."""
    import torch

    config: Any = model.config
    begin = getattr(config, "decoder_start_token_id", None)
    ids = target.masked_fill(target == IGNORED, config.pad_token_id)
    if config.model_type in ("mbart", "plbart"):  # begin with what their targets end with
        last = (ids != config.pad_token_id).sum(1, keepdim=True).clamp(min=1) - 1
        shifted = torch.cat([ids.gather(1, last), ids[:, :-1]], 1)
    elif begin is None:
        shifted = model.prepare_decoder_input_ids_from_labels(ids)  # type: ignore[operator]
    else:
        shifted = torch.cat([torch.full_like(ids[:, :1], begin), ids[:, :-1]], 1)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    return model(**inputs, decoder_input_ids=shifted, use_cache=False).logits


def class_loss(logits: "torch.Tensor", batch: Batch, smoothing: float) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Cross-entropy of ``logits`` (batch, classes) for ``label``, times ``weight``; and the weight of each row."""
    from torch.nn.functional import cross_entropy

    label, weight = batch["label"], batch["weight"]
    losses = cross_entropy(wide(logits), label, reduction="none", ignore_index=IGNORED, label_smoothing=smoothing)
    return losses * weight, (label != IGNORED) * weight


def special_ids(tokenizer: "PreTrainedTokenizerBase") -> tuple[list[int], list[int]]:
    """The ids that a tokenizer puts before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a", add_special_tokens=True)["input_ids"]
    start = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return list(full[:start]), list(full[start + len(bare) :])
