"""Train the embeddings of those sub-words alone that the training texts have.

No other's ever gets a gradient, but all of them are zeroed, normed and stepped over with the rest, and take memory
three times more: for the gradient, and for two moments of it. Of MiniLM's 22.7 million parameters 11.7 are its 30,522
embeddings; 4,000 sentences of CoNLL-2003 have 9,035 of them. Those left out stay as they are, without decay too.
"""

import hashlib
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class SplitEmbedding(nn.Embedding):
    """In the place of an embedding: the rows of some sub-words, which train, and those of the others, which do not.

    Args:
        embedding: whose rows they are, on its device.
        trained: the ids of those that train, at least one.

    Attributes:
        trained: whether a sub-word's does, (sub-words,).
        others: the rows that do not.
        places: where a sub-word's row is, among the one or the other, (sub-words,).
    """

    def __init__(self, embedding: nn.Embedding, trained: torch.Tensor) -> None:
        rows = embedding.weight.detach()
        mask = torch.zeros(len(rows), dtype=torch.bool, device=rows.device).index_fill_(0, trained, True)
        super().__init__(len(trained), rows.size(1), _weight=rows[mask])
        # No buffers, which several devices would send each other at every step.
        self.others = rows[~mask]
        self.places = torch.where(mask, mask.cumsum(0), (~mask).cumsum(0)) - 1
        self.trained = mask

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "SplitEmbedding":
        """What moves a module moves its tensors by."""
        super()._apply(fn, recurse)
        self.others, self.places, self.trained = fn(self.others), fn(self.places), fn(self.trained)
        return self

    def forward(self, sub_words: torch.Tensor) -> torch.Tensor:
        """(…) ids to (…, size)."""
        trained, places = self.trained[sub_words], self.places[sub_words]
        here = functional.embedding(places.clamp(max=len(self.weight) - 1), self.weight)
        there = functional.embedding(places.clamp(max=len(self.others) - 1), self.others)
        return torch.where(trained[..., None], here, there)

    def whole(self) -> torch.Tensor:
        """The rows of all sub-words, (sub-words, size)."""
        rows = self.others.new_empty(len(self.trained), self.others.size(1))
        rows[self.trained], rows[~self.trained] = self.weight.detach(), self.others
        return rows

    @property
    def key(self) -> str:
        """Stands for which sub-words train."""
        return hashlib.sha256(self.trained.cpu().numpy().tobytes()).hexdigest()[:16]


def split_embedding(
    model: nn.Module, body: Any, trainable: Collection[str], sub_words: np.ndarray
) -> tuple[str, Callable[[], None]]:
    """Split the input embedding of a model, if it trains, serves for nothing else, and has sub-words beyond these.

    Args:
        model: with the strategy applied.
        body: the model of transformers in it.
        trainable: names of parameters.
        sub_words: ids that training batches have.

    Returns:
        what stands for those that train, empty if the embedding stays whole; and what puts it back whole.
    """
    try:
        embedding = body.get_input_embeddings()
    except NotImplementedError:
        embedding = None
    if type(embedding) is not nn.Embedding or embedding.max_norm is not None or embedding.scale_grad_by_freq:
        return "", lambda: None
    names = [n for n, each in model.named_parameters(remove_duplicate=False) if each is embedding.weight]
    trained = np.setdiff1d(sub_words, [embedding.padding_idx])  # None is no number, and takes none away
    if len(names) != 1 or names[0] not in trainable or not 0 < len(trained) < embedding.num_embeddings:
        return "", lambda: None
    name = names[0].removesuffix(".weight")
    split = SplitEmbedding(embedding, torch.from_numpy(trained).to(embedding.weight.device))
    model.set_submodule(name, split)
    embedding.weight = nn.Parameter(torch.empty(0))

    def put_back() -> None:
        embedding.weight = nn.Parameter(split.whole())
        model.set_submodule(name, embedding)

    return split.key, put_back
