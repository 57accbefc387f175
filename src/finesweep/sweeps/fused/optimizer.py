"""AdamW and SGD for several runs at once, each with its own rate, decay and clipping, in operations on all of them.

What an optimizer keeps of a parameter the run's own optimizer has too, as a view, so that a checkpoint is that of a run
alone. Formulas and their order are those of ``torch.optim``.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from finesweep.sweeps.fused.stack import Stack
from finesweep.training.optimizers import SGD, AdamW


class Stepper(ABC):
    """One optimizer step for all slices.

    Args:
        settings: of each slice, of one class.
        optimizers: each slice's own, whose states become views of what is kept here.
        clips: norms that gradients are clipped at; None where they are not.
    """

    #: What is kept of each number, by torch's names.
    moments: ClassVar[tuple[str, ...]]

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
        self._steps = torch.zeros(len(optimizers), count, device=stack.data[0].device)
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
        if self._clipped:
            squares = [gradient.square().sum(1, keepdim=True) for gradient in self._gradients]
            norms = torch.stack(squares).sum(0).sqrt()
            shares = (self._like(self._clips) / (norms + 1e-6)).clamp(max=1)
            for gradient in self._gradients:
                gradient.mul_(shares)
        for index, (data, gradient) in enumerate(zip(self._data, self._gradients, strict=True)):
            self._update(data, gradient, self._states[index], rates * self._factors[index], self._decays[index])
            gradient.zero_()

    @abstractmethod
    def _update(
        self,
        data: torch.Tensor,
        gradient: torch.Tensor,
        state: tuple[torch.Tensor, ...],
        rates: torch.Tensor,
        decays: torch.Tensor,
    ) -> None:
        """Change a group of parameters (slices, numbers); rates and decays are (slices, 1)."""


class AdamWStepper(Stepper):
    moments = ("exp_avg", "exp_avg_sq")

    def __init__(self, stack: Stack, settings: Sequence[AdamW], *given: Any) -> None:
        super().__init__(stack, settings, *given)
        self._first, self._second = (self._vector([each.betas[i] for each in settings]) for i in (0, 1))
        self._eps = self._like(self._vector([each.eps for each in settings]))

    def _update(
        self,
        data: torch.Tensor,
        gradient: torch.Tensor,
        state: tuple[torch.Tensor, ...],
        rates: torch.Tensor,
        decays: torch.Tensor,
    ) -> None:
        mean, square = state
        steps = self._steps[:, :1].double()
        data.mul_(self._like(1 - rates * decays))
        mean.lerp_(gradient, self._like(1 - self._first))
        square.mul_(self._like(self._second)).addcmul_(gradient, gradient * self._like(1 - self._second))
        below = square.sqrt().div_(self._like((1 - self._second**steps).sqrt())).add_(self._eps)
        data.addcdiv_(mean * self._like(-rates / (1 - self._first**steps)), below)


class SGDStepper(Stepper):
    moments = ("momentum_buffer",)

    def __init__(self, stack: Stack, settings: Sequence[SGD], *given: Any) -> None:
        super().__init__(stack, settings, *given)
        self._momentum = self._like(self._vector([each.momentum for each in settings]))
        nesterov = [float(each.nesterov and each.momentum > 0) for each in settings]
        self._nesterov = self._like(self._vector(nesterov))

    def _update(
        self,
        data: torch.Tensor,
        gradient: torch.Tensor,
        state: tuple[torch.Tensor, ...],
        rates: torch.Tensor,
        decays: torch.Tensor,
    ) -> None:
        (buffer,) = state
        gradient.addcmul_(data, self._like(decays))  # not decoupled, as in torch.optim
        buffer.mul_(self._momentum).add_(gradient)
        ahead = torch.lerp(buffer, gradient + buffer * self._momentum, self._nesterov)
        data.addcmul_(ahead, self._like(-rates))


STEPPERS: dict[type[Any], type[Stepper]] = {AdamW: AdamWStepper, SGD: SGDStepper}
