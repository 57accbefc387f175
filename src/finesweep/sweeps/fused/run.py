"""One of the runs that train together, as the others see it."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from finesweep.results.record import RunRecord
from finesweep.sweeps.fused.stack import let_go
from finesweep.sweeps.fused.trainer import SliceTrainer
from finesweep.sweeps.log import said_to
from finesweep.training.assemble import Assembled
from finesweep.training.turns import Turn

Turns = Generator[Turn, None, RunRecord]


@dataclass(eq=False)
class Run:
    """One of the runs, what it waits for, and how it ended: with a record or an error."""

    turns: Turns
    #: Where what is said while its turn is on goes, in place of where its process says things.
    log: Path | None = None
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
        with said_to(self.log):
            try:
                self.turn = next(self.turns) if error is None else self.turns.throw(error)
            except StopIteration as end:
                let_go(self.work.tuner.model)
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
