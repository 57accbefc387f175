"""One optimizer for several runs does what torch's does for each."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from finesweep.sweeps.fused import optimizer as module
from finesweep.sweeps.fused.optimizer import STEPPERS, _in_one_kernel
from finesweep.sweeps.fused.stack import Stack
from finesweep.training.optimizers import SGD, AdamW, parameter_groups

_SHARE = st.floats(0, 0.99)
SETTINGS = {
    AdamW: st.builds(
        AdamW, lr=st.floats(0, 1), weight_decay=_SHARE, betas=st.tuples(_SHARE, _SHARE).map(list),
        eps=st.floats(1e-8, 1e-2),
    ),
    SGD: st.builds(
        SGD, lr=st.floats(0, 1), weight_decay=_SHARE, momentum=_SHARE | st.just(0.0), nesterov=st.booleans(),
    ),
}  # fmt: skip


def optimizers(settings: list[Any], models: list[nn.Sequential]) -> list[torch.optim.Optimizer]:
    """As in a run: the first layer at half the rate."""
    factors = {name: 0.5 if name.startswith("0") else 1.0 for name, _ in models[0].named_parameters()}
    made = [own.build(parameter_groups(model, factors, own)) for own, model in zip(settings, models, strict=True)]
    for group in (group for optimizer in made for group in optimizer.param_groups):
        group["initial_lr"] = group["lr"]
    return made


def gradients(one: nn.Module, other: nn.Module) -> None:
    """The same random ones for both; the first has a place for them."""
    for name, parameter in other.named_parameters():
        parameter.grad = torch.randn_like(parameter)
        one.get_parameter(name).grad.copy_(parameter.grad)  # type: ignore[union-attr]


def step(optimizer: torch.optim.Optimizer, model: nn.Module, clip: float | None, share: float) -> None:
    """One of torch's."""
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * share
    optimizer.step()


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    for name, value in theirs.items():
        if value is not None:
            assert torch.allclose(ours[name].double(), value.double(), rtol=1e-9, atol=1e-12), name


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> Iterator[None]:
    """So that parameters are stepped on in several parts."""
    before, module._BLOCK = module._BLOCK, 10
    yield
    module._BLOCK = before


@pytest.mark.parametrize("kind", SETTINGS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_step_is_torchs(kind: type[Any], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4))
    chosen = [data.draw(SETTINGS[kind]) for _ in range(count)]
    clips = [data.draw(st.none() | st.floats(0.1, 10)) for _ in range(count)]
    torch.manual_seed(data.draw(st.integers(0, 9)))
    template, *both = [nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)).double() for _ in range(2 * count + 1)]
    models, alone = both[:count], both[count:]
    for model, other in zip(models, alone, strict=True):
        other.load_state_dict(model.state_dict())
    ours, theirs = optimizers(chosen, models), optimizers(chosen, alone)
    stack = Stack(template, models, [group["names"] for group in ours[0].param_groups])
    stepper = STEPPERS[kind](stack, chosen, ours, clips)
    for _ in range(data.draw(st.integers(1, 4))):
        share = data.draw(st.sampled_from([1.0, 0.5]))
        for model, other, optimizer, clip in zip(models, alone, theirs, clips, strict=True):
            gradients(model, other)
            step(optimizer, other, clip, share)
        stepper.step(torch.tensor([[own.lr * share] for own in chosen], dtype=torch.float64))
    for model, other in zip(models, alone, strict=True):
        assert_same(model.state_dict(), other.state_dict())
        assert not any(parameter.grad.any() for parameter in model.parameters())  # type: ignore[union-attr]
    for mine, other in zip(ours, theirs, strict=True):
        kept = mine.state_dict()["state"]
        for place, states in other.state_dict()["state"].items():
            assert_same(kept[place], states)


def stepped(kind: type[Any], apply: Any) -> list[torch.Tensor]:
    """What a formula makes of the same numbers."""
    torch.manual_seed(0)
    formula = STEPPERS[kind].formula
    numbers = [torch.rand(3, 50) for _ in range(2 + len(STEPPERS[kind].moments))]
    vectors = [torch.rand(3, 1) for _ in range(formula.__code__.co_argcount - len(numbers))]  # type: ignore[attr-defined]
    apply(*numbers, *vectors)
    return numbers


@pytest.mark.slow  # a compiler takes its time
@pytest.mark.parametrize("kind", SETTINGS)
def test_one_kernel_does_the_same(kind: type[Any]) -> None:
    made = stepped(kind, _in_one_kernel(STEPPERS[kind].formula))
    for one, other in zip(made, stepped(kind, STEPPERS[kind].formula), strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", SETTINGS)
def test_without_a_compiler_it_does_the_same(kind: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: Any, **__: Any) -> Any:
        def fail(*_: Any) -> None:
            raise torch._dynamo.exc.TorchDynamoException("no compiler")

        return fail

    monkeypatch.setattr(torch, "compile", lacking)
    made = stepped(kind, _in_one_kernel(STEPPERS[kind].formula))
    for one, other in zip(made, stepped(kind, STEPPERS[kind].formula), strict=True):
        assert torch.equal(one, other)
