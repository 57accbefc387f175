"""Batches of rows of any length, and next to no work on padding.

A transformer's layers treat each position alone, but for attention. So the rows of a batch go through them one behind
the other, as one long row, and attention alone takes them apart: rows of like length go together, and each sees itself.
What leaves the last layer is put back into a padded batch, so what follows notices nothing.
"""

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch

from finesweep.data.batch_plan import lengths_of
from finesweep.data.layout import Layout, layout
from finesweep.data.resident import sent
from finesweep.strategies.anatomy import layer_stacks, stacks_if_any
from finesweep.tasks.base import Batch, Feature
from finesweep.training.attention import GroupedAttention, rows_of, views

#: How far a state may be off, relative to the largest: rounding in another order.
_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4}
_COARSE = 3e-2  # of 16 bits
_NAME = "unpadded"
#: Whose attention it is, by the configuration that all modules of a model share; it lives as long as its model.
_OF_CONFIG = WeakValueDictionary[int, "Unpadded"]()


class Unpadded:
    """Hooks on a transformers model that take the padding out before its first layer and put it back after its last.

    Args:
        model: with one stack of layers, and attention through transformers' attention interface.
        offset: the number of the first position.
    """

    def __init__(self, model: Any, offset: int) -> None:
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS as FUNCTIONS

        ((stack, depth),) = layer_stacks(model)
        self._last = model.get_submodule(f"{stack}.{depth - 1}")
        self._config, self._usual, self._offset = model.config, model.config._attn_implementation, offset
        self._attention = FUNCTIONS[self._usual]
        _, *self._names = inspect.signature(type(model.base_model).forward).parameters
        self._layout: Layout | None = None
        self._shape = (0, 0)
        #: Of attention, for each slice of a batch, where they have not all the model's own; None is that.
        self.dropouts: Sequence[float | None] | None = None
        #: Of the batch, by the dropout of a layer, see :meth:`_dropouts`.
        self._dropped: dict[float, list[float | torch.Tensor]] = {}
        #: Whether each row of attention may have a dropout of its own, known once it :meth:`agrees`.
        self.grouped = True
        FUNCTIONS.register(_NAME, _attention)
        _OF_CONFIG[id(model.config)] = self
        self._hooks = [
            model.base_model.register_forward_pre_hook(self._take_out, with_kwargs=True),
            self._last.register_forward_hook(self._put_back),
        ]

    def remove(self) -> None:
        """Leave the model as it was."""
        self.expect({})
        for hook in self._hooks:
            hook.remove()

    def agrees(self, forward: Callable[[Batch], Any], batch: Batch) -> bool:
        """Whether the states that leave the last layer are what they are with padding; if not, the hooks are gone."""
        found: list[torch.Tensor] = []
        hook = self._last.register_forward_hook(lambda *call: found.append(_states(call[-1])))
        try:
            shapes = []
            for each in ({}, batch):
                self.expect(each)
                shapes.append(getattr(forward(batch), "shape", None))
            padded, put_back = (states[batch["attention_mask"].bool()] for states in found)
            # In each dimension, for one of them can be far larger than all others.
            near = padded.abs().amax(0).clamp(min=padded.abs().median())
            close = (padded - put_back).abs() <= _ROUNDING.get(padded.dtype, _COARSE) * near
            agrees = shapes[0] == shapes[1] and bool(close.all())
        except torch.OutOfMemoryError:
            raise
        except Exception:  # whatever a model says that is not made for this
            logging.getLogger("finesweep").debug("padding is left in", exc_info=True)
            agrees = False
        finally:
            hook.remove()
            self.expect({})
        if not agrees:
            self.remove()
        return agrees

    def expect(self, batch: Batch) -> None:
        """The batch that comes next, with its ``layout`` or without. It holds until the next: on the way back layers
        may run again."""
        self._layout = batch.get("layout")
        self._dropped = {}
        # Of an attention that it does not know transformers makes no mask, which would be of the whole long row.
        self._config._attn_implementation = self._usual if self._layout is None else _NAME

    def flat(self, states: torch.Tensor) -> torch.Tensor:
        """Of a padded (batch, seq, ...) what is kept of the batch that is expected: (1, positions, ...)."""
        return states if self._layout is None else states.flatten(0, 1)[self._layout["kept"]][None]

    def _take_out(self, _: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if self._layout is None:
            return None
        named = dict(zip(self._names, inputs, strict=False)) | named
        self._shape = named["input_ids"].shape
        named.pop("attention_mask", None)
        tensors = {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}
        flat = {name: self.flat(value) for name, value in tensors.items() if value.shape[:2] == self._shape}
        positions = self._layout["kept"] % self._shape[1] + self._offset
        return (), named | flat | {"position_ids": positions[None]}

    def by_group(
        self, module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, _: None, **named: Any
    ) -> tuple[torch.Tensor, None]:
        """Attention of each row (1, heads, sub-words, size) to itself, as (1, sub-words, heads, size)."""
        assert self._layout is not None
        flat = [each[0].transpose(0, 1) for each in (query, key, value)]
        causal, scale = getattr(module, "is_causal", True), named.get("scaling") or query.size(-1) ** -0.5
        # Who looks back alone never sees the padding, which is behind.
        seen = [None if causal else mask for mask in self._seen(named.get("sliding_window"))]
        dropouts = self._dropouts(named.get("dropout", 0.0), module.training)
        several, grouped = isinstance(dropouts[0], torch.Tensor), not causal and query.shape == key.shape == value.shape
        self.grouped = self.grouped and grouped
        if several or (grouped and dropouts[0] and query.device.type == "cpu"):
            out = GroupedAttention.apply(*flat, self._layout, seen, dropouts, scale)
            return out[None], None
        named["dropout"] = dropouts[0]
        groups = zip(*(views(each.index_select(0, self._layout["places"]), self._layout) for each in flat), strict=True)
        said = [self._attention(module, *own, mask, **named)[0] for own, mask in zip(groups, seen, strict=True)]
        return torch.cat([each.flatten(0, 1) for each in said]).index_select(0, self._layout["back"])[None], None

    def _dropouts(self, own: float, training: bool) -> list[float | torch.Tensor]:
        """For each group the dropout of all its rows, or one for each."""
        assert self._layout is not None
        groups, of = self._layout["groups"], self._layout["of"]
        every = [own if each is None or not training else each for each in self.dropouts or [None]]
        if len(set(every)) == 1:
            return [every[0]] * len(groups)
        if own not in self._dropped:  # not once for each layer: it goes to the device
            found = sent(torch.tensor(every), of.device)[of]
            self._dropped[own] = list(found.split([rows for rows, _, _ in groups]))
        return self._dropped[own]

    def _seen(self, window: int | None) -> Iterator[torch.Tensor | None]:
        """For each group what a position sees: what is nearer than the window and no padding; None is everything."""
        assert self._layout is not None
        parts = rows_of(self._layout["there"], self._layout)
        for (_, length, padded), part in zip(self._layout["groups"], parts, strict=True):
            mask = part[:, None, None] if padded else None
            if window is None or length <= window:
                yield mask
            else:
                places = torch.arange(length, device=self._layout["kept"].device)
                near = (places[:, None] - places).abs() < window
                yield near if mask is None else mask & near

    def _put_back(self, _: Any, inputs: Any, said: Any) -> Any:
        if self._layout is None:
            return None
        states = _states(said)[0]
        padded = states.new_zeros(*self._shape, states.size(-1))
        padded = padded.flatten(0, 1).index_copy(0, self._layout["kept"], states).view_as(padded)
        return (padded, *said[1:]) if isinstance(said, tuple) else padded


def _attention(module: Any, *given: Any, **named: Any) -> tuple[torch.Tensor, None]:
    return _OF_CONFIG[id(module.config)].by_group(module, *given, **named)


def _states(said: Any) -> torch.Tensor:
    """What a layer says of the positions, whatever else it says."""
    return said[0] if isinstance(said, tuple) else said


def without_padding(
    model: Any,
    forward: Callable[[Batch], Any],
    features: Sequence[Feature],
    batch_of: Callable[[Sequence[Feature]], Batch],
) -> Unpadded | None:
    """Hooks with which the model says the same, tried on a few of the features; None where there are none.

    Args:
        model: of transformers, on its device.
        forward: of the model with whatever is around it.
        batch_of: features to a padded batch on that device.
    """
    skips = getattr(model.config, "layerdrop", 0)  # layers at random, in training alone
    if skips or model.config._attn_implementation != "sdpa" or len(stacks_if_any(model)) != 1:
        return None
    lengths = lengths_of(features)
    chosen = np.argsort(lengths, kind="stable")[np.linspace(0, len(lengths) - 1, 4).round().astype(int)]
    batch = batch_of([features[i] for i in chosen.tolist()])
    if batch["input_ids"].dim() != 2:
        return None
    placed = dict(layout(lengths[chosen].tolist(), batch["input_ids"].size(1)))
    device = batch["input_ids"].device
    told = {**batch, "layout": {n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in placed.items()}}
    pad = model.config.pad_token_id or 0
    tried = (Unpadded(model, offset) for offset in (0, pad + 1))
    model.eval()
    with torch.inference_mode():
        return next((made for made in tried if made.agrees(forward, told)), None)
