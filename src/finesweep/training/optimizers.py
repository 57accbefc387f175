"""Optimizers, and the groups of parameters that they work on: with and without decay, by learning-rate factor."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from finesweep.config.errors import TrainingError
from finesweep.config.fields import NonNegative, Positive, Probability, component

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


@component
class OptimizerSettings(ABC):
    """What every optimizer has: a learning rate, and a decay of matrices that biases and norms are spared."""

    lr: NonNegative
    weight_decay: NonNegative

    @abstractmethod
    def build(self, groups: list[dict[str, Any]]) -> "Optimizer":
        """The optimizer over groups from :func:`parameter_groups`."""


@component
class AdamW(OptimizerSettings):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101)."""

    betas: Annotated[list[Probability], Field(min_length=2, max_length=2)]
    eps: Positive

    def build(self, groups: list[dict[str, Any]]) -> "Optimizer":
        import torch

        betas = (self.betas[0], self.betas[1])
        return _clippable(torch.optim.AdamW(groups, lr=self.lr, betas=betas, eps=self.eps, fused=True))


@component
class SGD(OptimizerSettings):
    """Stochastic gradient descent with momentum, Nesterov's or the classical."""

    momentum: Probability
    nesterov: bool

    def build(self, groups: list[dict[str, Any]]) -> "Optimizer":
        import torch

        nesterov = self.nesterov and self.momentum > 0
        return _clippable(torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=nesterov, fused=True))


def _clippable(optimizer: "Optimizer") -> "Optimizer":
    """A fused optimizer (one kernel for all parameters) whose gradients may be clipped in mixed precision.

    It would offer to unscale 16-bit gradients itself, and Lightning then refuses to clip them. Unscaled they are by
    the time it sees them, so nothing is lost by not offering.
    """
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return optimizer


def clip_in_step(optimizer: "Optimizer", limit: float) -> bool:
    """Let a fused optimizer clip by the norm of all gradients as it steps, on its one way through them; whether it can:
    it is one of ours, and divides by a number of 32 bits."""
    import torch

    if getattr(optimizer, "_step_supports_amp_scaling", True):
        return False
    every = [each.grad for group in optimizer.param_groups for each in group["params"] if each.grad is not None]
    optimizer.grad_scale = None  # type: ignore[attr-defined]
    if any(gradient.dtype != torch.float32 for gradient in every):
        return False
    norm = torch.nn.utils.get_total_norm(every)
    optimizer.grad_scale = ((norm + 1e-6) / limit).clamp(min=1)  # type: ignore[attr-defined]
    return True


def parameter_groups(
    model: "nn.Module", trainable: Mapping[str, float], settings: OptimizerSettings
) -> list[dict[str, Any]]:
    """Group the trainable parameters by learning-rate factor and decay, each exactly once.

    Args:
        trainable: parameter name -> factor on the learning rate, as a strategy gives it.

    Returns:
        groups with ``params``, ``lr``, ``weight_decay`` and ``names``. Vectors (biases, norms, the
        factors of IA3) do not decay.
    """
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if name not in trainable:
            continue
        factor, decays = trainable[name], parameter.squeeze().ndim > 1
        group = groups.setdefault(
            (factor, decays),
            {
                "params": [],
                "names": [],
                "lr": settings.lr * factor,
                "weight_decay": settings.weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def optimizer_state(optimizer: "Optimizer") -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """All that an optimizer over such groups knows: its tensors by ``<parameter>.<key>``, and its plain values.

    Raises:
        TrainingError: it keeps something that is neither.
    """
    import torch

    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {"parameters": {}, "groups": []}
    for group in optimizer.param_groups:
        names = zip(group["names"], group["params"], strict=True)
        values["groups"].append(_plain({k: v for k, v in group.items() if k not in ("params", "names")}, optimizer))
        for name, parameter in names:
            kept = optimizer.state.get(parameter, {})
            own = {key: value for key, value in kept.items() if isinstance(value, torch.Tensor)}
            tensors |= {f"{name}.{key}": value for key, value in own.items()}
            if rest := {key: value for key, value in kept.items() if key not in own}:
                values["parameters"][name] = _plain(rest, optimizer)
    return tensors, values


def load_optimizer_state(optimizer: "Optimizer", tensors: Mapping[str, "Tensor"], values: Mapping[str, Any]) -> None:
    """Put what :func:`optimizer_state` took back."""
    for group, kept in zip(optimizer.param_groups, values["groups"], strict=True):
        group.update({k: tuple(v) if isinstance(group.get(k), tuple) else v for k, v in kept.items()})
        for name, parameter in zip(group["names"], group["params"], strict=True):
            own = {
                key.rpartition(".")[2]: value.to(parameter.device)
                for key, value in tensors.items()
                if key.rpartition(".")[0] == name
            }
            if own or name in values["parameters"]:
                optimizer.state[parameter] = {**own, **values["parameters"].get(name, {})}


def _plain(values: dict[str, Any], optimizer: "Optimizer") -> dict[str, Any]:
    """Values that JSON can hold."""
    for key, value in values.items():
        each = value if isinstance(value, list | tuple) else [value]
        if not all(one is None or isinstance(one, bool | int | float | str) for one in each):
            kind = type(optimizer).__name__
            raise TrainingError(
                f"a checkpoint cannot hold '{key}' of {kind}, which is a {type(value).__name__}", where="optimizer",
                remedy="let it keep tensors by parameter and plain values, or set trainer.checkpoint_minutes=null",
            )  # fmt: skip
    return values
