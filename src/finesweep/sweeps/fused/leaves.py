"""Modules with parameters of their own, each with those of several models at once.

A batch holds the rows of the models, *slices*, one behind the other; a leaf applies to each slice its own parameters,
in one product. All that is between the leaves treats rows alone, and needs no change. What a parameter is called and
what comes out is as in the module that a leaf stands for, so no model's code needs any either.

Horizontally fused training is from Wang et al. 2021 (HFTA, https://arxiv.org/abs/2102.02344).
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from finesweep.config.errors import ApartError
from finesweep.training.embedding import SplitEmbedding

#: What the user has asked for.
WHERE = "hydra/launcher=fused"


class Rows:
    """What all leaves of a model know of the batch: how many slices it has, and how many rows.

    Without its padding it is one long row, in which the slices follow each other as well, until the padding is back.
    """

    def __init__(self, slices: int) -> None:
        self.slices = slices
        self.count = 0
        self.unpadded = False

    def of_slices(self, values: torch.Tensor) -> torch.Tensor:
        """(slices * rows, …, size), or the like in one long row, as (slices, positions, size).

        Raises:
            ApartError: it is neither.
        """
        rows = {self.count, 1} if self.unpadded else {self.count}
        if values.size(0) not in rows:  # which would be taken for the slices of something else
            shape = tuple(values.shape)
            raise ApartError(f"a layer sees {shape}, which are not the rows of the batch", where=WHERE)
        return values.reshape(self.slices, -1, values.size(-1))

    def expanded(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids that are the same for all rows, (1, seq), for each of them, (rows, seq)."""
        alike = ids.dim() == 2 and ids.size(0) == 1 and not self.unpadded
        return ids.expand(self.count, -1) if alike else ids


class Leaf(nn.Module):
    """A module with stacked parameters, (slices, …), or with shared ones.

    Args:
        module: one of the modules that it stands for.
        stacked: the parameters that each slice has of its own, by name.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, module: nn.Module, rows: Rows, stacked: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self.rows = rows
        self.training = module.training
        own = dict(module.named_parameters(recurse=False))
        for name in own:
            self.register_parameter(name, stacked.get(name, own[name]))
        self.own = frozenset(stacked)
        for name in ("weight", "bias"):
            if not hasattr(self, name):
                self.register_parameter(name, None)

    def added(self, values: torch.Tensor) -> torch.Tensor:
        """(slices, positions, size) with the bias."""
        if self.bias is None:
            return values
        return values + (self.bias[:, None] if "bias" in self.own else self.bias)


class Linear(Leaf):
    """``nn.Linear``, and GPT-2's ``Conv1D``, whose weight lies the other way round.

    A factor for each slice may go with it: what LoRA calls scaling.
    """

    def __init__(self, module: nn.Module, rows: Rows, stacked: Mapping[str, nn.Parameter]) -> None:
        super().__init__(module, rows, stacked)
        self._turned = not isinstance(module, nn.Linear)
        self.factors: torch.Tensor | None = None

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        flat = self.rows.of_slices(values)
        if "weight" not in self.own:
            weight = self.weight.T if self._turned else self.weight
            out = self.added(functional.linear(flat, weight))
        else:
            weight = self.weight if self._turned else self.weight.transpose(1, 2)
            if self.bias is not None and "bias" in self.own:
                out = torch.baddbmm(self.bias[:, None], flat, weight)
            else:
                out = self.added(torch.bmm(flat, weight))
        if self.factors is not None:
            out = out * self.factors.to(out.dtype)[:, None, None]
        return out.view(*values.shape[:-1], -1)


class LayerNorm(Leaf):
    """``nn.LayerNorm`` over the last dimension."""

    def __init__(self, module: nn.LayerNorm, rows: Rows, stacked: Mapping[str, nn.Parameter]) -> None:
        super().__init__(module, rows, stacked)
        self._shape, self._eps = module.normalized_shape, module.eps

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        normed = functional.layer_norm(values, self._shape, None, None, self._eps)
        # Of three dimensions as many as slices may be DeBERTa's positions, which have no rows.
        by_slice = values.dim() == 3 and values.size(0) == self.rows.slices
        flat = normed if by_slice else self.rows.of_slices(normed)
        flat = flat * (self.weight[:, None] if "weight" in self.own else self.weight)
        return self.added(flat).view_as(values)


class RMSNorm(Leaf):
    """``nn.RMSNorm`` over the last dimension, and those of transformers that do the same, which square in float32."""

    def __init__(self, module: nn.Module, rows: Rows, stacked: Mapping[str, nn.Parameter]) -> None:
        super().__init__(module, rows, stacked)
        self._exact = isinstance(module, nn.RMSNorm)
        self._eps = getattr(module, "variance_epsilon", None) or getattr(module, "eps", None)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        eps = torch.finfo(values.dtype).eps if self._eps is None else self._eps
        wide = values.to(torch.promote_types(values.dtype, torch.float32) if self._exact else torch.float32)
        normed = (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(values.dtype)
        return (self.weight[:, None] * self.rows.of_slices(normed)).view_as(values)


class Embedding(Leaf):
    """``nn.Embedding``. Ids that are the same for all rows, as positions are, become each slice's own."""

    def __init__(self, module: nn.Embedding, rows: Rows, stacked: Mapping[str, nn.Parameter]) -> None:
        super().__init__(module, rows, stacked)
        self._padding = module.padding_idx

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return _looked_up(self.weight, self.rows, ids, self._padding)


class OfSplit(Leaf):
    """:class:`SplitEmbedding`, whose frozen rows are the same for all slices, or each one's own."""

    def __init__(
        self, module: SplitEmbedding, rows: Rows, stacked: Mapping[str, nn.Parameter], others: torch.Tensor
    ) -> None:
        super().__init__(module, rows, stacked)
        self._trained, self._places, self._others = module.trained, module.places, others

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        trained, places = self._trained[ids], self._places[ids]
        here = _looked_up(self.weight, self.rows, places.clamp(max=self.weight.size(1) - 1), None)
        there = places.clamp(max=self._others.size(-2) - 1)
        if self._others.dim() == 2:
            rest = functional.embedding(there, self._others)
        else:
            rest = _looked_up(self._others, self.rows, there, None)
        return torch.where(trained[..., None], here, rest)


def _looked_up(weight: torch.Tensor, rows: Rows, ids: torch.Tensor, padding: int | None) -> torch.Tensor:
    """Of (slices, ids, size) for each slice's (…) ids (…, size). Padding gets no gradient."""
    ids = rows.expanded(ids)
    flat = rows.of_slices(ids[..., None])[..., 0]
    slices = torch.arange(rows.slices, device=ids.device)[:, None].expand_as(flat)
    found: torch.Tensor = _Rows.apply(weight, slices, flat)
    found = found.view(*ids.shape, -1)
    return found if padding is None else torch.where((ids == padding)[..., None], found.detach(), found)


class _Rows(torch.autograd.Function):
    """``weight[slices, ids]``, whose gradient goes to where it belongs. As a whole one, with zeros for all that are not
    in the batch, it takes ten times as long: of 8 MiniLM 0.12 s, and 0.008."""

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, slices: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        ctx.weight = weight
        ctx.save_for_backward(slices, ids)
        return weight[slices, ids]

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, None, None]:
        ctx.weight.grad.index_put_(ctx.saved_tensors, gradient, accumulate=True)
        return None, None, None


class Dropout(nn.Module):
    """``nn.Dropout`` with a probability for each slice.

    Args:
        kept: what each slice keeps, (slices,).
    """

    def __init__(self, rows: Rows, kept: torch.Tensor) -> None:
        super().__init__()
        self._rows, self._kept = rows, kept
        #: Read where attention is to drop as much; what it does drop, ``Unpadded.dropouts`` says.
        self.p = float(1 - kept[0])

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values * drawn(self._rows.of_slices(values), self._kept).view_as(values) if self.training else values


def drawn(values: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Zeros in each (slices, …) with that slice's probability, and else what makes up for them."""
    kept = kept.view(-1, *[1] * (values.dim() - 1))
    return torch.where(torch.rand(values.shape, device=values.device) < kept, 1 / kept, 0.0).to(values.dtype)


class SliceBySlice(nn.Module):
    """Modules that see more than rows, one after the other: DeBERTa's attention, of which each has its own relative
    positions.

    Args:
        modules: of each slice its own, which a list keeps out of this one's parameters.
    """

    def __init__(self, modules: list[nn.Module], rows: Rows) -> None:
        super().__init__()
        self._modules_of, self._rows = modules, rows

    def forward(self, hidden_states: torch.Tensor, *inputs: Any, **named: Any) -> Any:
        count = hidden_states.size(0) // self._rows.slices

        def of(value: Any, index: int) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            if (
                relative is not None and value is relative
            ):  # without rows: each slice's own, (slices, positions, size), or those of all
                return relative[index] if relative.dim() == 3 else relative
            return value[index * count : (index + 1) * count] if value.size(0) == hidden_states.size(0) else value

        relative: torch.Tensor | None = named.get("rel_embeddings")
        said = []
        for index, module in enumerate(self._modules_of):
            own = {name: of(value, index) for name, value in named.items()}
            said.append(module(of(hidden_states, index), *(of(value, index) for value in inputs), **own))
        return tuple(torch.cat(part) if part[0] is not None else None for part in zip(*said, strict=True))


#: Leaves by the class of what they stand for, and of transformers' own by its name: there are norms that multiply by
#: one more than their weight.
LEAVES: Mapping[type[nn.Module], Callable[..., Leaf]] = {
    nn.Linear: Linear, nn.LayerNorm: LayerNorm, nn.Embedding: Embedding, nn.RMSNorm: RMSNorm,
}  # fmt: skip
NAMED: Mapping[str, Callable[..., Leaf]] = {
    "Conv1D": Linear, "LlamaRMSNorm": RMSNorm, "MistralRMSNorm": RMSNorm, "Qwen2RMSNorm": RMSNorm,
    "Qwen3RMSNorm": RMSNorm,
}  # fmt: skip
#: Modules that are taken one by one.
WHOLE = frozenset({"DisentangledSelfAttention"})
