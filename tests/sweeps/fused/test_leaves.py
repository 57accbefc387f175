"""Leaves give what the modules give that they stand for, and their parameters the same gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.pytorch_utils import Conv1D

from finesweep.config.errors import ApartError
from finesweep.sweeps.fused.leaves import drawn
from finesweep.sweeps.fused.stack import Stack, share

_SIZE, _OUT, _IDS = 6, 5, 7
#: What makes a module of each kind, and whether it takes ids.
MADE = {
    "Linear": (lambda: nn.Linear(_SIZE, _OUT), False),
    "Linear without bias": (lambda: nn.Linear(_SIZE, _OUT, bias=False), False),
    "Conv1D": (lambda: Conv1D(_OUT, _SIZE), False),
    "LayerNorm": (lambda: nn.LayerNorm(_SIZE), False),
    "LayerNorm without bias": (lambda: nn.LayerNorm(_SIZE, bias=False), False),
    "RMSNorm": (lambda: nn.RMSNorm(_SIZE), False),
    "LlamaRMSNorm": (lambda: LlamaRMSNorm(_SIZE), False),
    "Embedding": (lambda: nn.Embedding(_IDS, _SIZE), True),
    "Embedding with padding": (lambda: nn.Embedding(_IDS, _SIZE, padding_idx=2), True),
}


class Model(nn.Module):
    """One module, by a name."""

    def __init__(self, own: nn.Module) -> None:
        super().__init__()
        self.own = own.double()
        for parameter in own.parameters():
            nn.init.normal_(parameter)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.own(values)
        return out


@pytest.mark.parametrize("kind", MADE)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_leaf_is_its_modules(kind: str, data: st.DataObject) -> None:
    make, of_ids = MADE[kind]
    count, rows, length = (data.draw(st.integers(1, most)) for most in (4, 3, 4))
    torch.manual_seed(data.draw(st.integers(0, 9)))
    models, alone = [Model(make()) for _ in range(count)], [Model(make()) for _ in range(count)]
    every = [name for name, _ in models[0].named_parameters()]
    trained = data.draw(st.lists(st.sampled_from(every), min_size=1, unique=True))
    template = Model(make())
    for model, other in zip(models, alone, strict=True):
        model.load_state_dict(template.state_dict())
        for name in trained:
            nn.init.normal_(model.get_parameter(name))
        other.load_state_dict(model.state_dict())
    if data.draw(st.booleans()):  # else each has its own of what does not train
        for model in models:
            share(model, template, trained)
    stack = Stack(template, models, [[name for name in every if name in trained]])
    flat = data.draw(st.booleans())  # one long row, or rows
    stack.rows.count, stack.rows.unpadded = count * rows, flat
    shape = (1, count * rows * length) if flat else (count * rows, length)
    given = torch.randint(_IDS, shape) if of_ids else torch.randn(*shape, _SIZE, dtype=torch.float64)
    said = template(given)
    parts = given.reshape(count, rows, length, *given.shape[2:])
    expected = torch.stack([other(part) for other, part in zip(alone, parts, strict=True)])
    assert torch.allclose(said.view_as(expected), expected)
    weights = torch.randn_like(expected)
    (said.view_as(expected) * weights).sum().backward()
    (expected * weights).sum().backward()
    for model, other in zip(models, alone, strict=True):
        for name in trained:
            assert torch.allclose(model.get_parameter(name).grad, other.get_parameter(name).grad)  # type: ignore[arg-type]


def test_positions_of_all_rows_become_each_slices_own() -> None:
    models = [Model(nn.Embedding(_IDS, _SIZE)) for _ in range(3)]
    template = Model(nn.Embedding(_IDS, _SIZE))
    stack = Stack(template, models, [["own.weight"]])
    stack.rows.count = 6
    said = template(torch.arange(4)[None])
    assert said.shape == (6, 4, _SIZE)
    for index in range(3):
        assert torch.equal(said[2 * index], models[index].own.weight[:4])
        assert torch.equal(said[2 * index + 1], models[index].own.weight[:4])


def test_what_are_no_rows_is_refused() -> None:
    """They could be parted as if they were."""
    models = [Model(nn.Linear(_SIZE, _OUT)) for _ in range(2)]
    template = Model(nn.Linear(_SIZE, _OUT))
    stack = Stack(template, models, [["own.weight", "own.bias"]])
    stack.rows.count = 8
    with pytest.raises(ApartError, match="not the rows of the batch"):
        template(torch.randn(4, 3, _SIZE, dtype=torch.float64))


class Odd(nn.Module):
    """A module that nobody knows."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))


def test_a_module_that_is_not_known_is_named() -> None:
    models = [Model(Odd()) for _ in range(3)]
    with pytest.raises(ApartError, match=r"no layer for several runs is known for Odd \(own\)"):
        Stack(models[0], models[1:], [["own.scale"]])


def test_parameters_of_two_kinds_are_refused() -> None:
    """One piece of memory holds one of them."""
    models = [Model(nn.Linear(_SIZE, _OUT)) for _ in range(3)]
    for model in models:
        model.own.bias.data = model.own.bias.data.bfloat16()  # type: ignore[union-attr]
    with pytest.raises(ApartError, match="some of its parameters are bfloat16 and others float64"):
        Stack(models[0], models[1:], [["own.weight", "own.bias"]])


def test_a_released_template_is_what_it_was() -> None:
    models = [Model(nn.Linear(_SIZE, _OUT)) for _ in range(3)]
    template = Model(nn.Linear(_SIZE, _OUT))
    given = torch.randn(4, _SIZE, dtype=torch.float64)
    before, of_models = template(given), [model(given) for model in models]
    stack = Stack(template, models, [["own.weight", "own.bias"]])
    stack.release()
    stack.data[0].zero_()  # which is nobody's any more
    assert torch.equal(template(given), before)
    for model, expected in zip(models, of_models, strict=True):
        assert torch.equal(model(given), expected)
        assert model.own.weight.is_contiguous()


def test_each_slice_drops_its_share() -> None:
    torch.manual_seed(0)
    kept = torch.tensor([1.0, 0.9, 0.5, 0.0])
    mask = drawn(torch.ones(4, 200, 500), kept)
    shares = (mask == 0).double().mean((1, 2))
    assert torch.allclose(shares, 1 - kept.double(), atol=0.005)
    assert torch.equal(mask[0], torch.ones(200, 500))
    assert torch.allclose(mask[1:3].mean((1, 2)), torch.ones(2), atol=0.02)
    assert not torch.equal(mask[1], mask[2])
