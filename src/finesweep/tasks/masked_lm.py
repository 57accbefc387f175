"""Masked language modelling: fill in words that were hidden; how encoders are pretrained."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from finesweep.config.errors import UserError
from finesweep.config.fields import Fraction, PositiveInt, component
from finesweep.tasks.base import Batch, Feature, Frame, Row
from finesweep.tasks.plain_text import PlainText
from finesweep.tasks.tensors import IGNORED, encode_texts, model_batch, padded, special_ids, token_loss

if TYPE_CHECKING:
    import torch
    from torch import nn


@component
class MaskedLM(PlainText):
    """Hide some sub-words anew at every step and predict them (Devlin et al. 2019, Liu et al. 2019).

    Exactly the given share of each part is chosen, so that its weight is known beforehand. In validation the choice
    follows from the text alone: every model and every epoch is asked the same.

    Attributes:
        mask_fraction: of the sub-words that are predicted.
        replace_fraction: of those, the share that the mask token stands for in the input.
        random_fraction: of those, the share that a random sub-word stands for; the rest is left as it is.
        fills: how many sub-words ``predict`` offers for a mask.
    """

    mask_fraction: Annotated[float, Field(gt=0, lt=1)]
    replace_fraction: Fraction
    random_fraction: Fraction
    fills: PositiveInt

    hides: ClassVar[bool] = True
    auto_class: ClassVar[str] = "AutoModelForMaskedLM"
    pipeline: ClassVar[str] = '"fill-mask"'

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        yield from PlainText.problems(self, cfg)
        if self.replace_fraction + self.random_fraction > 1:
            yield "task.random_fraction", "is more than replace_fraction leaves of 1"

    def encode(self, rows: Sequence[Row], frame: Frame) -> Sequence[Feature]:
        mask = frame.tokenizer.mask_token
        if mask is None:
            raise UserError("the model's tokenizer has no mask token", where="task", remedy="use task=causal_lm")
        if rows and rows[0].get("prompt"):
            texts = encode_texts(frame, [row["text"].replace("[MASK]", mask) for row in rows])
            return [Feature(i, ids, {"text": [0] * len(ids)}, cut) for i, (ids, _, cut) in enumerate(texts)]
        before, after = special_ids(frame.tokenizer)
        return self.chunks(rows, frame, before, after)

    def collate(self, features: Sequence[Feature], frame: Frame) -> dict[str, "torch.Tensor"]:
        """Adds ``text`` (batch, seq), 1 where a sub-word may be hidden, and what :meth:`corrupt` needs to know: of each
        row ``hide`` (batch, most), as many ones as are to be hidden."""
        import torch

        texts = [feature.extra["text"] for feature in features]
        return {
            **model_batch(features, frame),
            "text": padded(texts, 0),
            "hide": padded([[1] * self._hidden(sum(text)) for text in texts], 0),
            "mask_token": torch.tensor(frame.tokenizer.mask_token_id),
            "vocabulary": torch.tensor(len(frame.tokenizer)),
        }

    def weight(self, feature: Feature) -> float:
        return float(self._hidden(sum(feature.extra["text"])))

    def _hidden(self, count: int) -> int:
        return max(1, round(self.mask_fraction * count)) if count else 0

    def corrupt(self, batch: Batch, *, training: bool) -> Batch:
        """Hide sub-words. Adds ``labels`` (batch, seq), which are -100 where nothing is hidden, and ``positions``
        (batch, most), in order, of what is hidden; rows that hide fewer have others among them."""
        import torch

        ids, text = batch["input_ids"], batch["text"].bool()
        draw = _random(ids, batch["attention_mask"], 3, by_text=not training)
        order = draw[0].masked_fill(~text, -1.0).argsort(dim=1, descending=True)
        hidden = order.argsort(dim=1) < batch["hide"].sum(1, keepdim=True)
        labels = ids.masked_fill(~hidden, IGNORED)
        masked = hidden & (draw[1] < self.replace_fraction)
        swapped = hidden & ~masked & (draw[1] < self.replace_fraction + self.random_fraction)
        others = (draw[2] * batch["vocabulary"]).long()
        shown = torch.where(swapped, others, ids).masked_fill(masked, batch["mask_token"])
        positions = order[:, : batch["hide"].size(1)].sort(dim=1).values
        return {**batch, "input_ids": shown, "labels": labels, "positions": positions}

    def forward(self, model: "nn.Module", batch: Batch) -> Any:
        """Logits (batch, most, vocabulary) of the ``positions``: scoring the whole vocabulary takes as long as the
        body of a small model, so it is spared for all others. Of prompts they are those of all (batch, seq,
        vocabulary)."""
        compiled = getattr(model, "_compiled_call_impl", None)  # which knows nothing of what changes from step to step
        if compiled is not None or "positions" not in batch or not batch["positions"].size(1):
            return super().forward(model, batch)
        with _said_of(model, batch["positions"], batch["input_ids"].size(1)):
            return self.said(model, batch)

    def loss(self, logits: Any, batch: Batch, *, smooth: bool) -> tuple["torch.Tensor", "torch.Tensor"]:
        labels = batch["labels"]
        whole = logits.size(1) == labels.size(1)
        return token_loss(logits, labels if whole else labels.gather(1, batch["positions"]))

    def predict(self, model: "nn.Module", logits: Any, batch: Batch, frame: Frame) -> list[Any]:
        """For a prompt the likeliest (id, probability) pairs of each of its masks; for training text nothing."""
        if bool(batch["text"].any()):
            return [None] * len(logits)
        masks = batch["input_ids"] == frame.tokenizer.mask_token_id
        best = logits.float().softmax(-1).topk(self.fills)
        return [
            [
                list(zip(best.indices[i, j].tolist(), best.values[i, j].tolist(), strict=True))
                for j in masks[i].nonzero()[:, 0].tolist()
            ]
            for i in range(len(logits))
        ]

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], raw: Sequence[Any], frame: Frame) -> list[Row]:
        """``{"fills"}`` for prompts: of each mask the likeliest sub-words and their probabilities."""
        if not raw or raw[0] is None:
            return []
        token = frame.tokenizer.decode
        return [
            {"fills": [[{"token": token([i]).strip(), "score": round(p, 4)} for i, p in mask] for mask in masks]}
            for masks in raw
        ]

    def row_from_object(self, value: Mapping[str, Any], where: str) -> Row:
        row = super().row_from_object(value, where)
        if "[MASK]" not in row["text"]:
            raise UserError("the text has no [MASK] to fill", where=where, remedy='write "London is in [MASK] ."')
        return {**row, "prompt": True}

    def lines(self, row: Row, prediction: Row) -> str:
        return "\t".join([row["text"], *(mask[0]["token"] for mask in prediction["fills"])])


@contextmanager
def _said_of(model: "nn.Module", positions: "torch.Tensor", length: int) -> Iterator[None]:
    """Inside, the head of a model sees nothing but these positions (batch, n) of the last ``length``; it looks at each
    alone."""

    def chosen(_body: Any, _inputs: Any, output: Any) -> Any:
        states = output[0]  # (batch, seq, hidden), virtual sub-words of a prompt before the others
        index = (positions + states.size(1) - length).unsqueeze(-1).expand(-1, -1, states.size(-1))
        output.last_hidden_state = states.gather(1, index)
        return output

    body: nn.Module = getattr(model, str(model.base_model_prefix))
    handle = body.register_forward_hook(chosen)
    try:
        yield
    finally:
        handle.remove()


def _random(ids: "torch.Tensor", mask: "torch.Tensor", count: int, *, by_text: bool) -> "torch.Tensor":
    """Numbers from 0 to 1 (count, batch, seq): of torch's generator, or for each row by what stands in it."""
    import torch

    if not by_text:
        return torch.rand(count, *ids.shape, device=ids.device)
    rows = []
    for row in (ids * mask).cpu():
        own = torch.Generator().manual_seed(int((row * torch.arange(1, len(row) + 1)).sum()))
        # Position by position, so that padding behind a row changes nothing in it.
        rows.append(torch.rand(len(row), count, generator=own).T)
    return torch.stack(rows, 1).to(ids.device)
