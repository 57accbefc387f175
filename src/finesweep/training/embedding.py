"""Train the embeddings of those sub-words alone that the training texts have.

No other's ever gets a gradient, but all of them are zeroed, normed and stepped over with the rest, and take memory
three times more: for the gradient, and for two moments of it. Of MiniLM's 22.7 million parameters 11.7 are its 30,522
embeddings; 4,000 sentences of CoNLL-2003 have 9,035 of them. Those left out stay as they are, without decay too.
"""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class SplitEmbedding(nn.Module):
    """In the place of an embedding: the rows of some sub-words, which train, and those of the others, which do not.

    Args:
        embedding: whose rows they are, on its device.
        trained: the ids of those that train, at least one.
    """

    def __init__(self, embedding: nn.Embedding, trained: torch.Tensor) -> None:
        super().__init__()
        rows = embedding.weight.detach()
        mask = torch.zeros(len(rows), dtype=torch.bool, device=rows.device).index_fill_(0, trained, True)
        self.weight = nn.Parameter(rows[mask])
        # No buffers, which several devices would send each other at every step.
        self._others = rows[~mask]
        self._places = torch.where(mask, mask.cumsum(0), (~mask).cumsum(0)) - 1
        self._trained = mask

    def forward(self, sub_words: torch.Tensor) -> torch.Tensor:
        """(…) ids to (…, size)."""
        trained, places = self._trained[sub_words], self._places[sub_words]
        here = functional.embedding(places.clamp(max=len(self.weight) - 1), self.weight)
        there = functional.embedding(places.clamp(max=len(self._others) - 1), self._others)
        return torch.where(trained[..., None], here, there)

    def whole(self) -> torch.Tensor:
        """The rows of all sub-words, (sub-words, size)."""
        rows = self._others.new_empty(len(self._trained), self._others.size(1))
        rows[self._trained], rows[~self._trained] = self.weight.detach(), self._others
        return rows


def split_embedding(
    model: nn.Module, body: Any, trainable: Collection[str], sub_words: np.ndarray
) -> Callable[[], None]:
    """Split the input embedding of a model, if it trains, serves for nothing else, and has sub-words beyond these.

    Args:
        model: with the strategy applied.
        body: the model of transformers in it.
        trainable: names of parameters.
        sub_words: ids that training batches have.

    Returns:
        what puts the whole embedding back.
    """
    embedding = body.get_input_embeddings()
    names = [n for n, each in model.named_parameters(remove_duplicate=False) if each is embedding.weight]
    trained = np.setdiff1d(sub_words, [embedding.padding_idx])  # None is no number, and takes none away
    usable = type(embedding) is nn.Embedding and embedding.max_norm is None and not embedding.scale_grad_by_freq
    if not usable or len(names) != 1 or names[0] not in trainable or not 0 < len(trained) < embedding.num_embeddings:
        return lambda: None
    name = names[0].removesuffix(".weight")
    split = SplitEmbedding(embedding, torch.from_numpy(trained).to(embedding.weight.device))
    model.set_submodule(name, split)
    embedding.weight = nn.Parameter(torch.empty(0))

    def put_back() -> None:
        embedding.weight = nn.Parameter(split.whole())
        model.set_submodule(name, embedding)

    return put_back
