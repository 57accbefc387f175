"""How many runs fit into memory as one."""

import sys
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook

from finesweep.data.resident import moved
from finesweep.results.environment import free_memory
from finesweep.training.assemble import Assembled
from finesweep.training.batch_size import need_of, rows_of_longest
from finesweep.training.precision import autocast

#: What of the memory that is free runs may take. And what each takes beside its gradient, its moments and its batch, in
#: sizes of what it trains: its weights, here and in the model that is loaded, and what an optimizer step makes of them.
_SHARE, _MORE = 0.8, 4
#: The largest things that a layer has at a time: what comes in, what goes out, and one between.
_AT_A_TIME = 3


def room(work: Assembled, sharing: int) -> int:
    """How many runs fit into the memory that is free, at least one.

    Args:
        work: what one of them works with.
        sharing: processes that do so.
    """
    free = free_memory(work.device, 1)
    if free is None:
        return sys.maxsize
    train, parts = work.features["train"], work.parts
    size = dict.fromkeys((True, False), 0)
    for parameter in work.model.parameters():
        size[parameter.requires_grad] += parameter.numel() * parameter.element_size()
    rows = rows_of_longest(parts.data, work.data.lengths["train"])
    need = need_of(parts.task, work.model, train, work.batch_of, work.forward)
    each = need(rows) + _AT_A_TIME * rows * _widest(work) + _MORE * size[True]
    # Each run loads a whole model, before it shares what does not train.
    return max(1, int((_SHARE * free / sharing - size[False]) / each))


def _widest(work: Assembled) -> int:
    """Bytes of the largest tensor that leaves a module, of the longest row. Layers that are frozen keep none of them,
    nor does scoring."""
    widest = 0

    def look(_: Any, __: Any, said: Any) -> None:
        nonlocal widest
        if isinstance(said, torch.Tensor):
            widest = max(widest, said.numel() * said.element_size())

    longest = int(work.data.lengths["train"].argmax())
    (part,) = work.data.batch("train", [([longest], 1.0)])["parts"]
    work.model.eval()
    precision = autocast(work.parts.trainer.precision, work.device.type)
    with torch.inference_mode(), precision, register_module_forward_hook(look):
        work.tuner(moved(part, work.device))
    return widest
