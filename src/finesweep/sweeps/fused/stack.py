"""The parameters of several models in one piece, of which each model keeps a view; and one model that runs on all."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from finesweep.config.errors import ApartError
from finesweep.sweeps.fused.leaves import (
    LEAVES,
    NAMED,
    WHERE,
    WHOLE,
    Dropout,
    Leaf,
    Linear,
    OfSplit,
    Rows,
    SliceBySlice,
)
from finesweep.training.embedding import SplitEmbedding

#: Of DeBERTa: what all layers are told of positions goes from the one to the other, without rows.
_TOGETHER = re.compile(r"encoder\.(rel_embeddings|LayerNorm)\.")


class Stack:
    """Several models as one.

    Their trainable parameters become views of ``data[group]``, (slices, numbers), and the gradients of ``gradients``,
    so that an optimizer steps on a whole group at once, and a model can still be scored, saved and loaded alone. What
    does not train is one for all if they :func:`share` it.

    Args:
        template: a model like them, which runs in their place until :meth:`release`.
        models: of one shape, but for the ranks of LoRA, of which smaller ones are filled up with zeros. Those stay
            zeros: each of them is multiplied with another on the way to its gradient.
        groups: the names of the trainable parameters, as the optimizer of a single run has them grouped.
    """

    def __init__(self, template: nn.Module, models: Sequence[nn.Module], groups: Sequence[Sequence[str]]) -> None:
        self.rows = Rows(len(models))
        self.models = models
        self.data: list[torch.Tensor] = []
        self.gradients: list[torch.Tensor] = []
        self._template = template
        self._own: list[tuple[nn.Parameter, torch.Tensor]] = []  # of each model, with the view of its gradient
        #: Whether models differ in something that does not train.
        self.differ = False
        #: Whether some modules are taken one by one.
        self.slice_by_slice = False
        self._replaced: dict[str, nn.Module] = {}
        self._scalings: list[tuple[dict[str, Any], dict[str, Any]]] = []
        trained = {name for group in groups for name in group}
        stacked = self._trainable(groups) | self._frozen(template, trained)
        self._replace(stacked)

    def _trainable(self, groups: Sequence[Sequence[str]]) -> dict[str, nn.Parameter]:
        stacked = {}
        for names in groups:
            every = {name: [model.get_parameter(name) for model in self.models] for name in names}
            kinds = {str(own.dtype).removeprefix("torch.") for each in every.values() for own in each}
            if len(kinds) > 1:
                raise ApartError(f"some of its parameters are {' and others '.join(sorted(kinds))}", where=WHERE)
            shapes = {name: _common(each) for name, each in every.items()}
            size, first = sum(shape.numel() for shape in shapes.values()), next(iter(every.values()))[0]
            data = torch.zeros(len(self.models), size, dtype=first.dtype, device=first.device)
            gradients = torch.zeros_like(data)
            start = 0
            for name, shape in shapes.items():
                end = start + shape.numel()
                whole, slope = (flat[:, start:end].view(-1, *shape) for flat in (data, gradients))
                for own, view, gradient in zip(every[name], whole, slope, strict=True):
                    part = tuple(slice(size) for size in own.shape)
                    view[part] = own.detach()
                    if own.grad is not None:
                        gradient[part] = own.grad
                    own.data, own.grad = view[part], gradient[part]
                    self._own.append((own, gradient[part]))
                stacked[name] = nn.Parameter(whole)
                stacked[name].grad = slope
                start = end
            self.data.append(data)
            self.gradients.append(gradients)
        return stacked

    def _frozen(self, template: nn.Module, trainable: set[str]) -> dict[str, nn.Parameter]:
        """Of what does not train, that which is not the same in all models."""
        stacked = {}
        forced = any(_TOGETHER.search(name) for name in trainable)
        for name, parameter in template.named_parameters():
            # A head that peft keeps from before the training has no say in anything.
            if name in trainable or ".original_module." in name:
                continue
            every = [model.get_parameter(name) for model in self.models]
            same = all(own.data_ptr() == parameter.data_ptr() for own in every)
            self.differ |= not same
            if not same or (forced and _TOGETHER.search(name)):
                stacked[name] = nn.Parameter(torch.stack([own.detach() for own in every]), requires_grad=False)
        return stacked

    def _replace(self, stacked: Mapping[str, nn.Parameter]) -> None:
        """Put leaves where there are stacked parameters or several probabilities.

        Raises:
            ApartError: no leaf is known for a module.
        """
        template, places = self._template, dict[str, dict[str, nn.Parameter]]()
        first = {id(parameter): name for name, parameter in template.named_parameters()}
        for name, parameter in template.named_parameters(remove_duplicate=False):  # tied ones stand in several modules
            if (known := first[id(parameter)]) in stacked:
                module, _, own_name = name.rpartition(".")
                places.setdefault(module, {})[own_name] = stacked[known]
        leaves: dict[str, nn.Module] = {}
        for name, module in template.named_modules():
            if any(name.startswith(f"{above}.") for above in leaves):
                continue
            own = [model.get_submodule(name) for model in self.models]
            if type(module).__name__ in WHOLE and any(place.startswith(f"{name}.") for place in places):
                leaves[name], self.slice_by_slice = SliceBySlice(own, self.rows), True
            elif name in places:
                leaves[name] = self._leaf(name, module, own, places[name])
            elif any(isinstance(each, nn.Dropout) for each in own):  # peft has nothing in its place where there is none
                dropped = [float(getattr(each, "p", 0.0)) for each in own]
                several = len(set(dropped)) > 1
                kept = 1 - torch.tensor(dropped, device=self.data[0].device)
                leaves[name] = Dropout(self.rows, kept) if several else nn.Dropout(dropped[0])
        for name, leaf in leaves.items():
            self._replaced[name] = template.get_submodule(name)
            template.set_submodule(name, leaf)
        self._scale()

    def _leaf(
        self, name: str, module: nn.Module, own: Sequence[nn.Module], stacked: Mapping[str, nn.Parameter]
    ) -> Leaf:
        if isinstance(module, SplitEmbedding):
            others = [each.others for each in own if isinstance(each, SplitEmbedding)]
            shared = all(each is module.others for each in others)
            return OfSplit(module, self.rows, stacked, module.others if shared else torch.stack(others))
        kind = type(module).__name__
        make = LEAVES.get(type(module)) or NAMED.get(kind)
        if make is None:
            raise ApartError(f"no layer for several runs is known for {kind} ({name})", where=WHERE)
        return make(module, self.rows, stacked)

    def _scale(self) -> None:
        """LoRA's scaling, a number of each slice's own, goes to the leaf of what it scales."""
        for name, module in self._template.named_modules():
            scaling: Any = getattr(module, "scaling", None)
            lora: Any = getattr(module, "lora_B", None)
            if not isinstance(scaling, dict) or lora is None:
                continue
            self._scalings.append((scaling, dict(scaling)))
            for adapter in scaling:
                leaf = lora[adapter]
                if not isinstance(leaf, Linear):
                    continue
                others: list[Any] = [model.get_submodule(name) for model in self.models]
                every = [other.scaling[adapter] for other in others]
                leaf.factors = torch.tensor(every, device=leaf.weight.device, dtype=torch.float64)
                scaling[adapter] = 1.0

    def release(self) -> None:
        """Let each model have its parameters for itself, and the template be what it was."""
        for name, module in self._replaced.items():
            self._template.set_submodule(name, module)
        for scaling, before in self._scalings:
            scaling.update(before)
        for own, gradient in self._own:
            if not own.numel():  # of a run that is over
                continue
            own.data = own.detach().clone()
            own.grad = gradient.clone() if gradient.any() else None  # of some of the batches that a step adds up


def share(model: nn.Module, like: nn.Module, trained: Collection[str]) -> None:
    """Let a model have from another what is the same in both and does not train, so that it is in memory once."""
    for name, parameter in like.named_parameters():
        if name not in trained and _same(own := model.get_parameter(name), parameter):
            own.data = parameter.data
    for name, module in like.named_modules():
        if isinstance(module, SplitEmbedding):
            split = model.get_submodule(name)
            assert isinstance(split, SplitEmbedding)
            if _same(split.others, module.others):
                split.others = module.others


def let_go(model: nn.Module) -> None:
    """Give the memory back that a model takes which nobody needs any more, but something still refers to."""
    for parameter in model.parameters():
        parameter.grad, parameter.data = None, parameter.data.new_empty(0)


def _common(tensors: Sequence[torch.Tensor]) -> torch.Size:
    """The smallest shape that all fit in."""
    return torch.Size(max(sizes) for sizes in zip(*(each.shape for each in tensors), strict=True))


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() or (one.shape == other.shape and torch.equal(one, other))
