"""AdamW and SGD for several runs at once, each with its own rate, decay and clipping, in operations on all of them.

What an optimizer keeps of a parameter the run's own optimizer has too, as a view, so that a checkpoint is that of a run
alone. Formulas and their order are those of ``torch.optim``.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch

from finesweep.config.errors import of_compiler
from finesweep.sweeps.fused.stack import Stack
from finesweep.training.optimizers import SGD, AdamW

#: Numbers that a CPU steps on at a time, so that they stay in its caches from one operation to the next. On two cores
#: 88 million take 0.11 s, and 0.38 s all at once.
_BLOCK = 2**17


class Stepper(ABC):
    """One optimizer step for all slices.

    Args:
        settings: of each slice, of one class.
        optimizers: each slice's own, whose states become views of what is kept here.
        clips: norms that gradients are clipped at; None where they are not.
    """

    #: What is kept of each number, by torch's names.
    moments: ClassVar[tuple[str, ...]]
    #: Changes parameters (slices, numbers), given their gradients, what is kept of them, and vectors (slices, 1).
    formula: ClassVar[Callable[..., None]]

    def __init__(
        self,
        stack: Stack,
        settings: Sequence[Any],
        optimizers: Sequence[torch.optim.Optimizer],
        clips: Sequence[float | None],
    ) -> None:
        self._data, self._gradients = stack.data, stack.gradients
        self._clips = self._vector([float("inf") if clip is None else clip for clip in clips])
        self._clipped = any(clip is not None for clip in clips)
        groups = list(zip(*(optimizer.param_groups for optimizer in optimizers), strict=True))
        self._decays = [self._vector([own["weight_decay"] for own in group]) for group in groups]
        # By how much the rate of a group differs from that of its run, which may be 0.
        rates = [each.lr or 1.0 for each in settings]
        self._factors = [
            self._vector([own["initial_lr"] / rate for own, rate in zip(group, rates, strict=True)]) for group in groups
        ]
        self._states = [tuple(torch.zeros_like(data) for _ in self.moments) for data in stack.data]
        # Of each parameter one, or a checkpoint would find them to be one tensor by many names.
        count = sum(len(group["params"]) for group in optimizers[0].param_groups)
        device = stack.data[0].device
        self._steps = torch.zeros(len(optimizers), count, device=device)
        self._on_cpu = device.type == "cpu"
        self._apply = type(self).formula if self._on_cpu else _in_one_kernel(type(self).formula)
        for index, optimizer in enumerate(optimizers):
            self._adopt(index, optimizer)

    def _vector(self, values: Sequence[float]) -> torch.Tensor:
        """A number for each slice, (slices, 1), in 64 bits: 1 - 0.999 has lost its last digits in 32."""
        return torch.tensor(values, device=self._data[0].device, dtype=torch.float64)[:, None]

    def _like(self, vector: torch.Tensor) -> torch.Tensor:
        return vector.to(self._data[0].dtype)

    def _adopt(self, index: int, optimizer: torch.optim.Optimizer) -> None:
        """Take over what the optimizer of a slice knows, and let it have views of it."""
        steps = iter(self._steps[index])
        for group, states in zip(optimizer.param_groups, self._states, strict=True):
            for own in group["params"]:
                before, kept = optimizer.state[own], {"step": next(steps)}
                if "step" in before:
                    kept["step"].copy_(before["step"])
                for name, whole in zip(self.moments, states, strict=True):
                    kept[name] = whole.as_strided(own.shape, own.stride(), own.storage_offset())
                    if before.get(name) is not None:
                        kept[name].copy_(before[name])
                optimizer.state[own] = kept

    @torch.no_grad()
    def step(self, rates: torch.Tensor) -> None:
        """Clip, step, and zero the gradients.

        Args:
            rates: learning rates of the slices, (slices, 1), in 64 bits.
        """
        self._steps += 1
        shares = torch.ones_like(self._like(rates))
        if self._clipped:
            norms = [torch.linalg.vector_norm(gradient, dim=1, keepdim=True) for gradient in self._gradients]
            norm = torch.linalg.vector_norm(torch.cat(norms, 1), dim=1, keepdim=True)
            shares = (self._like(self._clips) / (norm + 1e-6)).clamp(max=1)
        for index, (data, gradient) in enumerate(zip(self._data, self._gradients, strict=True)):
            vectors = map(self._like, self._vectors(rates * self._factors[index], self._decays[index]))
            given, own = (data, gradient, *self._states[index]), (shares, *vectors)
            for block in zip(*(each.split(self._columns(each), 1) for each in given), strict=True):
                self._apply(*block, *own)

    def _columns(self, numbers: torch.Tensor) -> int:
        """How many of (slices, numbers) to step on at a time."""
        return max(1, _BLOCK // len(numbers) if self._on_cpu else numbers.size(1))

    @abstractmethod
    def _vectors(self, rates: torch.Tensor, decays: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What the formula is given of each slice, (slices, 1), in 64 bits."""


def _in_one_kernel(formula: Callable[..., None]) -> Callable[..., None]:
    """A formula that reads and writes each number once, if there is a compiler that can make that of it."""
    made = torch.compile(formula, dynamic=True)

    def apply(*given: torch.Tensor) -> None:
        nonlocal made
        try:
            made(*given)
        except Exception as error:  # before anything is changed
            if made is formula or not of_compiler(error):
                raise
            logging.getLogger("finesweep").debug("the optimizer is not compiled", exc_info=True)
            made = formula
            made(*given)

    return apply


def _adamw(
    data: torch.Tensor, gradient: torch.Tensor, mean: torch.Tensor, square: torch.Tensor, shares: torch.Tensor,
    kept: torch.Tensor, first: torch.Tensor, second: torch.Tensor, root: torch.Tensor, size: torch.Tensor,
    eps: torch.Tensor,
) -> None:  # fmt: skip
    gradient.mul_(shares)
    data.mul_(kept)
    mean.lerp_(gradient, first)
    square.mul_(1 - second).addcmul_(gradient, gradient * second)
    data.addcdiv_(mean * -size, square.sqrt().div_(root).add_(eps))
    gradient.zero_()


class AdamWStepper(Stepper):
    moments, formula = ("exp_avg", "exp_avg_sq"), staticmethod(_adamw)

    def __init__(self, stack: Stack, settings: Sequence[AdamW], *given: Any) -> None:
        super().__init__(stack, settings, *given)
        self._first, self._second = (self._vector([each.betas[i] for each in settings]) for i in (0, 1))
        self._eps = self._vector([each.eps for each in settings])

    def _vectors(self, rates: torch.Tensor, decays: torch.Tensor) -> tuple[torch.Tensor, ...]:
        steps = self._steps[:, :1].double()
        root, size = (1 - self._second**steps).sqrt(), rates / (1 - self._first**steps)
        return 1 - rates * decays, 1 - self._first, 1 - self._second, root, size, self._eps


def _sgd(
    data: torch.Tensor, gradient: torch.Tensor, buffer: torch.Tensor, shares: torch.Tensor, rates: torch.Tensor,
    decays: torch.Tensor, momentum: torch.Tensor, nesterov: torch.Tensor,
) -> None:  # fmt: skip
    gradient.mul_(shares).addcmul_(data, decays)  # not decoupled, as in torch.optim
    buffer.mul_(momentum).add_(gradient)
    ahead = torch.lerp(buffer, gradient + buffer * momentum, nesterov)
    data.addcmul_(ahead, -rates)
    gradient.zero_()


class SGDStepper(Stepper):
    moments, formula = ("momentum_buffer",), staticmethod(_sgd)

    def __init__(self, stack: Stack, settings: Sequence[SGD], *given: Any) -> None:
        super().__init__(stack, settings, *given)
        self._momentum = self._vector([each.momentum for each in settings])
        self._nesterov = self._vector([float(each.nesterov and each.momentum > 0) for each in settings])

    def _vectors(self, rates: torch.Tensor, decays: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return rates, decays, self._momentum, self._nesterov


STEPPERS: dict[type[Any], type[Stepper]] = {AdamW: AdamWStepper, SGD: SGDStepper}
