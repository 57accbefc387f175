"""What a CPU does faster while it trains: the same distribution, from torch's seed, and nothing left behind."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finesweep.training.cpu import fast_cpu

ROWS = 200_000


def drawn(p: float, seed: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.empty(ROWS, dtype=dtype).bernoulli_(p)


@given(st.floats(0, 1))
def test_ones_come_as_often_as_they_should(p: float) -> None:
    with fast_cpu():
        ones = drawn(p)
    assert set(ones.unique().tolist()) <= {0.0, 1.0}
    deviation = (p * (1 - p) / ROWS) ** 0.5
    assert abs(float(ones.mean()) - p) <= 6 * deviation + 2**-17


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.bool])
def test_certain_and_impossible_are_exact_in_every_type(dtype: torch.dtype) -> None:
    with fast_cpu():
        assert bool(drawn(1.0, dtype=dtype).bool().all())
        assert not bool(drawn(0.0, dtype=dtype).bool().any())


def test_they_follow_from_the_seed_and_differ_from_call_to_call() -> None:
    with fast_cpu():
        first, again, other = drawn(0.5), drawn(0.5), drawn(0.5, seed=2)
        next_one = torch.empty(ROWS).bernoulli_(0.5)
    assert torch.equal(first, again)
    for different in (other, next_one):
        assert 0.49 < float((first == different).float().mean()) < 0.51


def test_they_are_the_same_with_any_number_of_threads() -> None:
    threads = torch.get_num_threads()
    with fast_cpu():
        torch.set_num_threads(1)
        one = drawn(0.3)
        torch.set_num_threads(2)
        two = drawn(0.3)
    torch.set_num_threads(threads)
    assert torch.equal(one, two)


def test_dropout_uses_them_and_its_gradient_is_zero_where_it_drops() -> None:
    with fast_cpu():
        values = torch.ones(100, 50, requires_grad=True)
        out = torch.nn.functional.dropout(values, 0.1)
        out.sum().backward()
        torch.manual_seed(5)
        attention = torch.nn.functional.scaled_dot_product_attention(*[torch.ones(1, 1, 8, 4)] * 3, dropout_p=0.5)
    assert values.grad is not None
    assert torch.equal(values.grad, out.detach())
    assert 0.85 < float((out > 0).float().mean()) < 0.95
    assert len(attention.unique()) > 1


def test_torchs_own_come_back_behind_it() -> None:
    before = drawn(0.5)
    with fast_cpu():
        inside = drawn(0.5)
    assert not torch.equal(inside, before)
    assert torch.equal(drawn(0.5), before)
    with pytest.raises(ZeroDivisionError), fast_cpu():
        raise ZeroDivisionError
    assert torch.equal(drawn(0.5), before)


def test_a_probability_that_is_none_is_refused() -> None:
    with fast_cpu(), pytest.raises(RuntimeError, match="in \\[0, 1\\]"):
        torch.empty(3).bernoulli_(1.5)
