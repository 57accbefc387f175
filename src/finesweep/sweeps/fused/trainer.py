"""The trainer of a run that trains with others, as its module and its callbacks see it.

It counts, and calls the hooks in Lightning's order. What is done between them is done for all runs at once.
"""

from types import SimpleNamespace
from typing import Any

import pytorch_lightning as pl

from finesweep.training.assemble import Assembled


class SliceTrainer:
    """What callbacks use of ``pl.Trainer``, for one of several runs."""

    world_size, global_rank, is_global_zero = 1, 0, True

    def __init__(self, work: Assembled, loggers: list[Any], callbacks: list[pl.Callback]) -> None:
        self.work, self.datamodule = work, work.data
        self._settings = work.parts.trainer
        self.loggers, self._callbacks = loggers, callbacks
        self.global_step = self.current_epoch = 0
        #: Batches of the epoch that are done.
        self.batch = 0
        #: That training took; of several runs an equal share. What else they do is not in it.
        self.seconds = 0.0
        self.should_stop = False
        self.state = SimpleNamespace(fn="")
        self.strategy = SimpleNamespace(barrier=lambda: None)
        self.precision_plugin = SimpleNamespace(state_dict=dict, load_state_dict=dict)
        self.optimizers: list[Any] = []
        self.lr_scheduler_configs: list[Any] = []
        #: Of the epoch: the rows of each batch, and the scale of their loss.
        self.plan: list[tuple[list[int], float]] = []
        work.tuner.trainer = self  # type: ignore[assignment]

    def go_on(self, epoch: int, batch: int, step: int) -> None:
        """Set the counters: so many epochs, batches of the next and optimizer steps are done."""
        self.current_epoch, self.batch, self.global_step = epoch, batch, step

    @property
    def num_training_batches(self) -> int:
        return len(self.plan)

    @property
    def val_check_batch(self) -> int:
        """Batches from one validation to the next, counted as Lightning does."""
        interval = self._settings.val_check_interval
        return interval if isinstance(interval, int) else max(1, int(len(self.plan) * interval))

    def call(self, hook: str, *given: Any, module: bool = True) -> None:
        """A hook of the callbacks, and then of the module."""
        for callback in self._callbacks:
            if getattr(type(callback), hook) is not getattr(pl.Callback, hook):  # there are many calls
                getattr(callback, hook)(self, self.work.tuner, *given)
        if module:
            getattr(self.work.tuner, hook)(*given)

    def fail(self, error: BaseException) -> None:
        """The run is over before its time."""
        self.call("on_exception", error, module=False)
        self._finalize("failed")

    def _finalize(self, status: str) -> None:
        for logger in self.loggers:
            logger.finalize(status)

    # --- fitting ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin to fit, or go on with it."""
        self.state.fn = "fit"
        made = self.work.tuner.configure_optimizers()
        self.optimizers = [made["optimizer"]]
        self.lr_scheduler_configs = [SimpleNamespace(scheduler=made["lr_scheduler"]["scheduler"])]
        self.call("on_fit_start")
        self.call("on_train_start")
        if not self.finished:
            self._begin_epoch()

    def _begin_epoch(self) -> None:
        self.plan = self.work.data.training_batches(self.current_epoch)
        self.call("on_train_epoch_start")

    @property
    def rate(self) -> float:
        """The learning rate of the next optimizer step."""
        return self.work.tuner.learning_rate(self.global_step)

    def done(self, stepped: bool) -> None:
        """A batch was, with an optimizer step or not. The optimizer of the run itself is to know the next rate."""
        tuner = self.work.tuner
        self.batch += 1
        if not stepped:
            return
        self.global_step += 1
        for group in self.optimizers[0].param_groups:
            group["lr"] = group["initial_lr"] * tuner.schedule.factor(self.global_step, tuner.total_steps)

    @property
    def validates(self) -> bool:
        """Whether a validation is due after the batches that are done."""
        return self.batch % self.val_check_batch == 0

    @property
    def epoch_over(self) -> bool:
        return self.batch == len(self.plan) or self.should_stop or self._steps_done

    def next_epoch(self) -> None:
        """End an epoch, and begin the next if there is one."""
        self.call("on_train_epoch_end")
        self.current_epoch += 1
        self.batch = 0
        if not self.finished:
            self._begin_epoch()

    @property
    def finished(self) -> bool:
        return self.should_stop or self._steps_done or self.current_epoch >= self._settings.max_epochs

    @property
    def _steps_done(self) -> bool:
        limit = self._settings.max_steps
        return limit is not None and self.global_step >= limit

    def end(self) -> None:
        """The training is over."""
        self.call("on_train_end")
        self.call("on_fit_end")
        self._finalize("success")
        self.state.fn = ""
