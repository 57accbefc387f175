"""One of the runs that train together, as the others see it."""

import traceback
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from finesweep.results.record import RunRecord
from finesweep.sweeps.fused.stack import let_go
from finesweep.sweeps.fused.trainer import SliceTrainer
from finesweep.training.assemble import Assembled
from finesweep.training.turns import Turn


@dataclass(eq=False)
class Run:
    """One of the runs, what it waits for, and how it ended: with a record or an error."""

    turns: Generator[Turn, None, RunRecord]
    #: Inside, what is said goes to where this run says things.
    log: AbstractContextManager[Any] = field(default_factory=nullcontext)
    #: Is told of the end, with the error that it ended by.
    ended: Callable[[BaseException | None], object] | None = None
    turn: Turn | None = None
    record: RunRecord | None = None
    error: BaseException | None = None

    @property
    def trainer(self) -> SliceTrainer:
        assert self.turn is not None
        trainer: SliceTrainer = self.turn.trainer
        return trainer

    @property
    def work(self) -> Assembled:
        assert self.turn is not None
        return self.turn.work

    def alone(self, act: Callable[[], Any]) -> None:
        """Do something of this run alone, if it is not over. An error of that is its own."""
        if self.turn is None:
            return
        with self.log:
            try:
                act()
            except BaseException as error:
                self.fail(error)

    def go_on(self) -> None:
        """To the next turn, since the last one is taken."""
        self._step(lambda: next(self.turns))

    def fail(self, error: BaseException) -> None:
        """The turn cannot be taken; the run ends by that."""
        with self.log:
            try:
                self.trainer.fail(error)
            except Exception:  # on a full disk, say; it is the first that counts
                traceback.print_exc()
        self._step(lambda: self.turns.throw(error))

    def _step(self, act: Callable[[], Turn]) -> None:
        with self.log:
            try:
                self.turn = act()
            except StopIteration as end:
                let_go(self.work.tuner.model)
                self.record = end.value
                self._over(None)
            except BaseException as error:
                self.end(error)

    def end(self, error: BaseException) -> None:
        """It is over by an error."""
        self.error = error
        self._over(error)
        each: BaseException | None = error
        while each is not None:  # its frames hold all that the run had in memory
            each.__traceback__, each = None, each.__context__

    def _over(self, error: BaseException | None) -> None:
        self.turn = None
        if self.ended is not None:
            with self.log:
                self.ended(error)
