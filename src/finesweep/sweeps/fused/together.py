"""Runs that train together: the loop over batches is theirs in common, and all else each one's own, as when alone."""

import gc
import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from finesweep.config.errors import ApartError
from finesweep.config.interrupt import Interrupted, StopRequest
from finesweep.results.environment import free_memory
from finesweep.results.record import RunRecord
from finesweep.sweeps.fused.joint import Joint
from finesweep.sweeps.fused.leaves import WHERE
from finesweep.sweeps.fused.trainer import SliceTrainer
from finesweep.tasks.base import Batch, Feature
from finesweep.training.assemble import Assembled, assemble, assemble_like
from finesweep.training.batch_size import need_of
from finesweep.training.components import Components
from finesweep.training.cpu import fast_cpu
from finesweep.training.precision import autocast
from finesweep.training.turns import Turn

#: What of the memory that is free runs may take. And what each takes beside its gradient, its moments and its batch, in
#: sizes of what it trains: its weights, here and in the model that is loaded, and what an optimizer step makes of them.
_SHARE, _MORE = 0.8, 4
Turns = Generator[Turn, None, RunRecord]


@dataclass(eq=False)
class Run:
    """One of the runs, what it waits for, and how it ended: with a record or an error."""

    turns: Turns
    #: Is told of the end, with the error that it ended by.
    ended: Callable[[BaseException | None], object] = repr  # which is heard by nobody
    turn: Turn | None = None
    record: RunRecord | None = None
    error: BaseException | None = None

    @property
    def trainer(self) -> SliceTrainer:
        assert self.turn is not None
        trainer: SliceTrainer = self.turn.trainer
        return trainer.of(self.turn.work)

    @property
    def work(self) -> Assembled:
        assert self.turn is not None
        return self.turn.work

    def go_on(self, error: BaseException | None = None) -> None:
        """To the next turn, as whoever took the last one says."""
        try:
            self.turn = next(self.turns) if error is None else self.turns.throw(error)
        except StopIteration as end:
            self.turn, self.record = None, end.value
            self.ended(None)
        except BaseException as ended:
            self.end(ended)

    def end(self, error: BaseException) -> None:
        """It is over by an error."""
        self.turn, self.error = None, error
        self.ended(error)
        each: BaseException | None = error
        while each is not None:  # its frames hold all that the run had in memory
            each.__traceback__, each = None, each.__context__


class Together:
    """Trains runs side by side. Each of them stands where it stands in its own training, and those that stand at the
    same batch of an epoch go on together; others join them there.

    Args:
        parts: of one of the runs, after which the model is made that runs for all of them.
    """

    def __init__(self, parts: Components) -> None:
        self.stop = StopRequest()
        self._template = work = assemble(parts, {})
        device = next(work.tuner.model.parameters()).device
        for split in ("train", "validation"):
            work.data.reside(split, device)
        if work.cut == "whole":
            # A run alone pads, so that it drops the same at random if it keeps no states; which several cannot promise.
            work.cut = "parts"
        self._on_cpu = parts.trainer.accelerator == "cpu"
        self._members: list[Run] = []
        self._joint: Joint | None = None

    def room(self) -> int:
        """How many runs fit into the memory that is free, at least one."""
        work = self._template
        model, train = work.tuner.model, work.data.features["train"]
        device = next(model.parameters()).device
        free = free_memory(device, 1)
        if free is None:
            return sys.maxsize

        def batch_of(rows: Sequence[Feature]) -> dict[str, Any]:
            return {name: each.to(device) for name, each in work.parts.task.collate(rows, work.tuner.frame).items()}

        def forward(batch: Batch) -> Any:
            with autocast(work.parts.trainer.precision, device.type):
                return work.tuner(batch)

        trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
        each = need_of(work.parts.task, model, train, batch_of, forward)(work.batch["rows"]) + _MORE * trained
        return max(1, int(_SHARE * free / each))

    # --- for each run -------------------------------------------------------------------------------------------

    def assemble(self, parts: Components, batch: dict[str, int]) -> Assembled:
        """What a run works with. Its batches are as large as those that it began with."""
        work = assemble_like(self._template, parts)
        work.batch |= batch
        if not parts.trainer.save_model:
            return work
        whole = work.complete

        def complete() -> None:
            for parameter in work.tuner.model.parameters():  # a merged model is not to change what others share with it
                if not parameter.requires_grad:
                    parameter.data = parameter.data.clone()
            whole()

        work.complete = complete
        return work

    def trainer(
        self, parts: Components, loggers: list[Any], callbacks: list[pl.Callback], folder: Path
    ) -> SliceTrainer:
        del folder
        return SliceTrainer(parts, loggers, callbacks)

    # --- for all of them ----------------------------------------------------------------------------------------

    def take(self, runs: Sequence[Run], more: Callable[[], Iterable[Run]] = tuple) -> None:
        """Take the turns of all runs to their ends.

        Args:
            more: gives further runs when some have ended.
        """
        runs = list(runs)
        torch.use_deterministic_algorithms(self._template.parts.trainer.deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        with self.stop, warnings.catch_warnings(), fast_cpu() if self._on_cpu else nullcontext():
            warnings.filterwarnings("ignore", message="grad and param do not obey")  # views of one tensor
            for run in runs:
                self._begin(run)
            while runs := [run for run in runs if run.turn is not None]:
                self._round(runs)
                if any(run.turn is None for run in runs) and self.stop.number is None:
                    runs = [run for run in runs if run.turn is not None]
                    self._forget()
                    for run in (new := list(more())):
                        self._begin(run)
                    runs += new

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
                    self.stop.stop_if_asked()
                    self._score(scored, split)
                    for run in scored:
                        if run.turn is not None:
                            run.go_on()
                    return
            self._train(runs)
        except BaseException as error:  # which is none of a single one
            if isinstance(error, torch.OutOfMemoryError):
                error = ApartError(
                    f"{len(runs)} runs at a time do not fit into memory", where=WHERE,
                    remedy="set hydra.launcher.most",
                )  # fmt: skip
            for run in runs:
                if run.turn is not None:
                    run.go_on(error)

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
                self._alone(run, run.trainer.begin)
        runs = [run for run in runs if run.turn is not None]
        over = [run for run in runs if run.trainer.finished]
        for run in over:
            self._finish(run)
        if over or not runs:
            return
        first = min(run.trainer.batch for run in runs)
        members = [run for run in runs if run.trainer.batch == first]
        waiting = [run for run in runs if run.trainer.batch > first]
        joint = self._as_one(members)
        joint.begin([run.trainer for run in members])
        accumulate = members[0].work.parts.trainer.accumulate_grad_batches
        while True:
            self._batch(joint, members, (members[0].trainer.batch + 1) % accumulate == 0)
            self._validate([run for run in members if run.turn is not None and run.trainer.validates])
            for run in members:
                if run.turn is not None and run.trainer.epoch_over:
                    self._alone(run, run.trainer.next_epoch)
            if any(run.turn is None or run.trainer.finished for run in members):
                return
            if any(run.trainer.batch == members[0].trainer.batch for run in waiting):
                return

    def _batch(self, joint: Joint, members: list[Run], whole: bool) -> None:
        trainers = [run.trainer for run in members]
        for run, trainer in zip(members, trainers, strict=True):
            self._alone(run, partial(trainer.call, "on_train_batch_start", {}, trainer.batch, module=False))
        for run, trainer, said in zip(members, trainers, joint.train(trainers, whole), strict=True):
            trainer.done(whole)
            self._alone(run, partial(trainer.call, "on_train_batch_end", *said, trainer.batch - 1))

    def _validate(self, runs: list[Run]) -> None:
        if runs:
            self._score(runs, "validation")

    def _alone(self, run: Run, act: Callable[[], Any]) -> None:
        """Something of one run, whose error is its own."""
        if run.turn is None:
            return
        trainer = run.trainer
        try:
            act()
        except BaseException as error:
            trainer.fail(error)
            run.go_on(error)

    def _finish(self, run: Run) -> None:
        self._alone(run, run.trainer.end)
        if run.turn is not None:
            run.go_on()

    # --- scoring ------------------------------------------------------------------------------------------------

    def _score(self, runs: list[Run], split: str) -> None:
        """What ``trainer.validate`` and ``trainer.test`` do."""
        for run in runs:
            self._alone(run, partial(run.trainer.call, f"on_{split}_start", module=False))
        if runs := [run for run in runs if run.turn is not None]:
            self._take_scores(runs, split)
        for run in runs:
            if run.turn is not None:
                self._alone(run, partial(run.trainer.call, f"on_{split}_end", module=False))

    def _take_scores(self, runs: list[Run], split: str) -> None:
        # Whoever trains as one is scored as one, also if not all want to know.
        as_now = self._joint is not None and all(run in self._members for run in runs)
        joint = self._as_one(self._members if as_now else runs)

        def take_down(run: Run, batch: Any, said: Any) -> None:
            if run in runs and run.turn is not None:
                self._alone(run, partial(run.work.tuner.collect, batch, said))

        for run in runs:
            run.work.tuner.begin_scoring()
        joint.score(split, [partial(take_down, run) for run in self._members])
        for run in runs:
            if run.turn is not None:
                self._alone(run, partial(run.work.tuner.end_scoring, split))
