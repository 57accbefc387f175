"""A moving average of the weights (Polyak and Juditsky 1992): what is scored and kept, while others are trained on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch

from finesweep.training.module import FineTuner


class Averaging(pl.Callback):
    """Average the trainable weights over the optimizer steps, exponentially, and validate with the average.

    It must stand behind whoever keeps the weights of a validation: they do so at its end, and then it puts the others
    back.

    Args:
        decay: the share of the old average in the new one, once there were many steps; less before, as in
            ``(1 + steps) / (10 + steps)``, since the first weights say little. None averages nothing.
    """

    def __init__(self, decay: float | None) -> None:
        self._decay = decay
        self._step = 0
        self._in_use = False
        #: By parameter; of the weights trained on, while the average is in use.
        self.tensors: dict[str, torch.Tensor] = {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._decay is None or trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        assert isinstance(pl_module, FineTuner)
        now = {name: pl_module.model.get_parameter(name).detach() for name in self.tensors or pl_module.trainable()}
        if not self.tensors:
            self.tensors = {name: tensor.clone() for name, tensor in now.items()}
        share = min(self._decay, (1 + self._step) / (10 + self._step))
        torch._foreach_lerp_(list(self.tensors.values()), [now[name] for name in self.tensors], 1 - share)

    def load(self, tensors: dict[str, torch.Tensor], step: int, module: FineTuner) -> None:
        """Go on with the average of a checkpoint."""
        self._step = step
        self.tensors = {name: tensor.to(module.model.get_parameter(name).device) for name, tensor in tensors.items()}

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._exchange(pl_module, in_use=True)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit":
            self.put_back(pl_module)

    def put_back(self, module: pl.LightningModule) -> None:
        """Let the model have the weights that are trained on, if it does not."""
        self._exchange(module, in_use=False)

    @contextmanager
    def applied(self, module: FineTuner) -> Iterator[None]:
        """Inside, the model has the average for its weights."""
        self._exchange(module, in_use=True)
        try:
            yield
        finally:
            self.put_back(module)

    def _exchange(self, module: pl.LightningModule, *, in_use: bool) -> None:
        assert isinstance(module, FineTuner)
        if in_use == self._in_use or not self.tensors:
            return
        self._in_use = in_use
        # In place: a parameter may be a view of something larger, in which others look for it.
        for name, kept in self.tensors.items():
            parameter = module.model.get_parameter(name).data
            other = parameter.clone()
            parameter.copy_(kept)
            kept.copy_(other)
