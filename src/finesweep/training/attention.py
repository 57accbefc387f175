"""Attention of many rows of different lengths with dropout, on a CPU, for which PyTorch has no kernel.

What PyTorch does instead computes in 32 bits, whatever the precision, and keeps more for the way back. Here products of
long rows are in the precision of what comes in.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from finesweep.data.layout import Layout

#: Up to this length products are in 32 bits: in 16 they take as long, and each new shape of one 0.4 ms and 0.6 MB more,
#: for a program that a CPU makes for it. In a step there would be a dozen.
_SHORT = 64


class GroupedAttention(torch.autograd.Function):
    """``dropout(softmax(scale * query @ key)) @ value`` of each row.

    ``apply`` takes query, key and value (sub-words, heads, size), the layout, for each group which of its positions see
    which (to be broadcast to (rows, heads, length, length)) or None for all, for each group its dropout, one for all
    rows or (rows,), and the scale, and gives (sub-words, heads, size).
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        layout: Layout,
        seen: Sequence[torch.Tensor | None],
        dropouts: Sequence[float | torch.Tensor],
        scale: float,
    ) -> torch.Tensor:
        ctx.layout, ctx.scale, ctx.heads = layout, scale, query.size(1)
        kept: list[torch.Tensor] = []
        with torch.autocast(query.device.type, enabled=False):
            every = [_in_groups(part.index_select(0, layout["places"]), layout) for part in (query, key, value)]
            out = value.new_empty(len(layout["places"]), *value.shape[1:])
            for *given, mask, dropout, to in zip(*every, seen, dropouts, views(out, layout), strict=True):
                q, k, v = (each.to(_precision(each.size(1), value.dtype)) for each in given)
                shares = torch.baddbmm(q.new_zeros(1), q, k.transpose(1, 2), beta=0, alpha=scale)
                if mask is not None:  # not with -inf: padding may see nothing at all, and would be no number
                    shares.unflatten(0, (-1, ctx.heads)).masked_fill_(~mask, torch.finfo(shares.dtype).min)
                shares = shares.softmax(-1)
                keep = _kept(shares, dropout, ctx.heads)
                to.copy_(torch.bmm(shares * keep, v).unflatten(0, (-1, ctx.heads)))
                kept += (q, k, v, shares, keep)
            ctx.save_for_backward(*kept)
            return out.index_select(0, layout["back"])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        layout = ctx.layout
        padded = gradient.new_zeros(len(layout["places"]), *gradient.shape[1:])
        padded.index_copy_(0, layout["back"], gradient)
        out = [torch.empty_like(padded) for _ in range(3)]
        to = zip(*(views(each, layout) for each in out), strict=True)
        kept = zip(*[iter(ctx.saved_tensors)] * 5, strict=True)
        for (q, k, v, shares, keep), above, own in zip(kept, _in_groups(padded, layout), to, strict=True):
            above = above.to(v.dtype)
            below = torch.bmm(above, v.transpose(1, 2)).mul_(keep)
            below = torch._softmax_backward_data(below, shares, -1, shares.dtype)
            nothing = q.new_zeros(1)
            parts = (
                torch.baddbmm(nothing, below, k, beta=0, alpha=ctx.scale),
                torch.baddbmm(nothing, below.transpose(1, 2), q, beta=0, alpha=ctx.scale),
                torch.bmm((shares * keep).transpose(1, 2), above),
            )
            for view, part in zip(own, parts, strict=True):
                view.copy_(part.unflatten(0, (-1, ctx.heads)))
        return *(each.index_select(0, layout["back"]) for each in out), None, None, None, None


def _kept(shares: torch.Tensor, dropout: float | torch.Tensor, heads: int) -> torch.Tensor:
    """Zeros with probability ``dropout``, and else what makes up for them."""
    if not isinstance(dropout, torch.Tensor):
        return torch.empty_like(shares).bernoulli_(1 - dropout).div_(1 - dropout)
    kept = (1 - dropout).repeat_interleave(heads)[:, None, None].to(shares)
    return (torch.rand_like(shares) < kept).to(shares.dtype).div_(kept)


def _precision(length: int, dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32) if length <= _SHORT else dtype


def views(every: torch.Tensor, layout: Layout) -> list[torch.Tensor]:
    """Of (positions, heads, size) each group's part as (rows, heads, length, size)."""
    return [part.transpose(1, 2) for part in rows_of(every, layout)]


def rows_of(every: torch.Tensor, layout: Layout) -> list[torch.Tensor]:
    """Of (positions, …) each group's part as (rows, length, …)."""
    parts = every.split([rows * length for rows, length, _ in layout["groups"]])
    return [
        part.view(rows, length, *part.shape[1:])
        for part, (rows, length, _) in zip(parts, layout["groups"], strict=True)
    ]


def _in_groups(every: torch.Tensor, layout: Layout) -> list[torch.Tensor]:
    """The same as (rows * heads, length, size), one matrix behind the other."""
    return [view.flatten(0, 1) for view in views(every, layout)]
