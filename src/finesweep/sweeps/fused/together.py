"""Runs that train together: the loop over batches is theirs in common, and all else each one's own, as when alone."""

import gc
import os
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from finesweep.config.errors import AloneError, CrowdedError, UnlikeError, UserError
from finesweep.config.interrupt import Interrupted, StopRequest
from finesweep.results.environment import PeakMemory
from finesweep.strategies.anatomy import stacks_if_any
from finesweep.sweeps.fused.joint import Joint
from finesweep.sweeps.fused.leaves import WHERE, WHOLE
from finesweep.sweeps.fused.memory import room
from finesweep.sweeps.fused.run import Run
from finesweep.sweeps.fused.stack import share
from finesweep.sweeps.fused.trainer import SliceTrainer
from finesweep.training.assemble import Assembled, assemble, assemble_like
from finesweep.training.components import Components
from finesweep.training.cpu import fast_cpu


class Together:
    """Trains runs side by side. Each of them stands where it stands in its own training, and those that stand at the
    same batch of an epoch go on together; others join them there.

    Args:
        parts: of one of the runs, after which the model is made that runs for all of them.
    """

    def __init__(self, parts: Components) -> None:
        self.stop, self.memory = StopRequest(), PeakMemory()
        self.threads: int | None = parts.trainer.threads or torch.get_num_threads()
        torch.set_num_threads(self.threads)  # states of frozen layers are kept by their number
        self._template = work = assemble(parts, {})
        for split in work.features:
            work.data.reside(split, work.device)
        if work.cut == "whole":
            # A run alone pads, so that it drops the same at random if it keeps no states; which several cannot promise.
            work.cut = "parts"
        unpadded = work.tuner.unpadded
        #: Whether attention can drop in each run what it is to drop there. That of frozen layers drops nothing.
        self._several_dropouts = (
            _frozen(work.model)
            or (unpadded is not None and unpadded.grouped)
            or any(type(each).__name__ in WHOLE for each in work.model.modules())
        )
        # Without chunks of all lengths in each batch, batches of two epochs are of other lengths, and mostly padding.
        self._in_step = work.batch["mix"] == 1
        self._members: list[Run] = []
        self._joint: Joint | None = None

    def room(self, sharing: int) -> int:
        """How many runs fit into memory, see :func:`room`."""
        return room(self._template, sharing)

    # --- for each run -------------------------------------------------------------------------------------------

    def assemble(self, parts: Components, batch: dict[str, int]) -> Assembled:
        """What a run works with.

        Raises:
            ApartError: it cannot train with the others.
        """
        template = self._template
        if batch not in ({}, template.batch):
            raise AloneError("it began with other batches", where=WHERE)
        if parts.model.dropout != template.parts.model.dropout and not self._several_dropouts:
            raise UnlikeError("this attention has one dropout for all runs", where="model.dropout")
        work = assemble_like(template, parts)
        share(work.model, template.model, work.tuner.trainable())
        work.fused = 1
        if not parts.trainer.save_model:
            return work
        whole = work.complete

        def complete() -> None:
            for parameter in work.model.parameters():  # a merged model is not to change what others share with it
                if not parameter.requires_grad:
                    parameter.data = parameter.data.clone()
            whole()

        work.complete = complete
        return work

    def trainer(self, work: Assembled, loggers: list[Any], callbacks: list[pl.Callback], folder: Path) -> SliceTrainer:
        del folder
        return SliceTrainer(work, loggers, callbacks)

    def out_of_memory(self) -> CrowdedError:
        """What it means that there was not enough."""
        return CrowdedError("so many runs do not fit into the GPU's memory", where=WHERE)

    # --- for all of them ----------------------------------------------------------------------------------------

    def take(self, runs: Sequence[Run], more: Callable[[], Iterable[Run]] = tuple) -> None:
        """Take the turns of all runs to their ends.

        Args:
            more: gives further runs when some have ended.
        """
        runs = list(runs)
        if self._template.parts.trainer.deterministic:  # as Lightning has it
            torch.use_deterministic_algorithms(True)
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        on_cpu = self._template.device.type == "cpu"
        with self.stop, warnings.catch_warnings(), fast_cpu() if on_cpu else nullcontext():
            warnings.filterwarnings("ignore", message="grad and param do not obey")  # views of one tensor
            for run in runs:
                self._begin(run)
            while True:
                if any(run.turn is None for run in runs) and self.stop.number is None:
                    runs = [run for run in runs if run.turn is not None]
                    self._forget()
                    new = [] if self._in_step and runs else list(more())  # whom nobody could catch up with
                    for run in new:
                        self._begin(run)
                    runs += new
                    if any(run.turn is None for run in new):  # their places are free again
                        continue
                runs = [run for run in runs if run.turn is not None]
                if not runs:
                    return
                self._round(runs)

    def _begin(self, run: Run) -> None:
        if self.stop.number is None:
            run.go_on()
        else:
            run.end(Interrupted(self.stop.number))

    def _round(self, runs: list[Run]) -> None:
        """Score those that are to be scored; where there are none, train until there are, or one is trained."""
        try:
            for split in ("validation", "test"):
                if scored := [run for run in runs if run.turn is not None and run.turn.what == split]:
                    self._score(scored, split)
                    for run in scored:
                        if run.turn is not None:
                            run.go_on()
                    return
            self._train(runs)
        except BaseException as error:  # which is none of a single one
            if isinstance(error, torch.OutOfMemoryError):
                error = self.out_of_memory()
            at_work = [run for run in runs if run.turn is not None]
            if isinstance(error, Exception) and not isinstance(error, UserError) and len(at_work) > 1:
                traceback.print_exc()  # whoever it is of fails alone
                what = f"{type(error).__name__}: {error}".partition("\n")[0]
                error = CrowdedError(what, where=WHERE)
            for run in at_work:
                run.fail(error)

    def _forget(self) -> None:
        """Let go of the memory of runs that are over."""
        if self._joint is not None:
            self._joint.part()
        self._joint, self._members = None, []
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _as_one(self, runs: list[Run]) -> Joint:
        """The models of these runs as one."""
        if self._joint is None or runs != self._members:
            if self._joint is not None:
                self._joint.part()
            self._joint, self._members = None, list(runs)
            self._joint = Joint(self._template, [run.work for run in runs])
        return self._joint

    # --- training -----------------------------------------------------------------------------------------------

    def _train(self, runs: list[Run]) -> None:
        for run in runs:
            if not run.trainer.optimizers:
                run.alone(run.trainer.begin)
        runs = [run for run in runs if run.turn is not None]
        over = [run for run in runs if run.trainer.finished]
        for run in over:
            self._finish(run)
        if over or not runs:
            return
        first = min(map(self._place, runs))
        members = [run for run in runs if self._place(run) == first]
        waiting = [run for run in runs if run not in members]
        joint = self._as_one(members)
        joint.begin([run.trainer for run in members])
        accumulate = members[0].work.parts.trainer.accumulate_grad_batches
        while True:
            self._batch(joint, members, (members[0].trainer.batch + 1) % accumulate == 0)
            self._validate([run for run in members if run.turn is not None and run.trainer.validates])
            for run in members:
                if run.turn is not None and run.trainer.epoch_over:
                    run.alone(run.trainer.next_epoch)
            if self._joint is not joint or any(run.turn is None or run.trainer.finished for run in members):
                return
            if any(self._place(run) == self._place(members[0]) for run in waiting):
                return

    def _place(self, run: Run) -> tuple[int, int]:
        """Where a run stands, for those that can go on together."""
        return run.trainer.current_epoch if self._in_step else 0, run.trainer.batch

    def _batch(self, joint: Joint, members: list[Run], whole: bool) -> None:
        begun = time.perf_counter()
        trainers = [run.trainer for run in members]
        for run, trainer in zip(members, trainers, strict=True):
            run.alone(partial(trainer.call, "on_train_batch_start", {}, trainer.batch, module=False))
        for run, trainer, said in zip(members, trainers, joint.train(trainers, whole), strict=True):
            trainer.done(whole)
            run.alone(partial(trainer.call, "on_train_batch_end", *said, trainer.batch - 1))
        if self._template.device.type == "cuda" and any(each.validates or each.epoch_over for each in trainers):
            torch.cuda.synchronize()
        for trainer in trainers:
            trainer.seconds += (time.perf_counter() - begun) / len(trainers)

    def _validate(self, runs: list[Run]) -> None:
        if runs:
            self._score(runs, "validation")

    def _finish(self, run: Run) -> None:
        run.alone(run.trainer.end)
        if run.turn is not None:
            run.go_on()

    # --- scoring ------------------------------------------------------------------------------------------------

    def _score(self, runs: list[Run], split: str) -> None:
        """What ``trainer.validate`` and ``trainer.test`` do."""
        for run in runs:
            run.alone(partial(run.trainer.call, f"on_{split}_start", module=False))
        if runs := [run for run in runs if run.turn is not None]:
            self._take_scores(runs, split)
        for run in runs:
            if run.turn is not None:
                run.alone(partial(run.trainer.call, f"on_{split}_end", module=False))

    def _take_scores(self, runs: list[Run], split: str) -> None:
        # Whoever trains as one is scored as one, unless most do not want to know.
        as_now = all(run in self._members for run in runs) and 2 * len(runs) > len(self._members)
        joint = self._as_one(self._members if as_now else runs)

        def take_down(run: Run, batch: Any, said: Any) -> None:
            if run in runs and run.turn is not None:
                run.alone(partial(run.work.tuner.collect, batch, said))

        for run in runs:
            run.work.tuner.begin_scoring()
        joint.score(split, [partial(take_down, run) for run in self._members], partial(self._goes_on, runs, split))
        for run in runs:
            if run.turn is not None:
                run.alone(partial(run.work.tuner.end_scoring, split))

    def _goes_on(self, runs: list[Run], split: str, batch: int) -> bool:
        """Whether to score a batch. On a signal each run ends, with a checkpoint if there is something to keep."""
        if self.stop.number is None:
            return True
        for run in runs:
            if run.turn is not None:
                run.alone(partial(run.trainer.call, f"on_{split}_batch_start", None, batch, module=False))
            run.alone(self.stop.stop_if_asked)
        return False


def _frozen(model: nn.Module) -> bool:
    """Whether no layer of a model trains."""
    layers = [model.get_submodule(stack) for stack, _ in stacks_if_any(model)]
    return bool(layers) and not any(each.requires_grad for stack in layers for each in stack.parameters())
