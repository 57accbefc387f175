"""The turns of a training: the untrained model scored, the fit, and the best weights scored."""

from collections.abc import Generator
from typing import Literal

import pytorch_lightning as pl

from finesweep.config.interrupt import StopRequest
from finesweep.training.assemble import Assembled
from finesweep.training.callbacks import Selection
from finesweep.training.checkpoint import load_weights, read
from finesweep.training.module import Outcome
from finesweep.training.resume import Checkpointer
from finesweep.training.turns import Turn


def fit_and_score(
    trainer: pl.Trainer, work: Assembled, selection: Selection, keeper: Checkpointer, stop: StopRequest
) -> Generator[Turn, None, dict[str, Outcome]]:
    """Score the untrained model on validation, train, and score the best weights on validation and test.

    What is done of it, and is in a checkpoint, is not done again. A signal waits while there is more than that.
    """
    tuner = work.tuner
    if not keeper.before:
        keeper.before = (yield from _score(trainer, work, "validation")).metrics
    if keeper.validation_due:  # when the run was stopped
        yield from _validate(trainer, work, selection, keeper)
    if not keeper.trained:
        with stop:
            if not selection.stopped:
                yield Turn("fit", trainer, work)
            if selection.last_step != trainer.global_step:  # max_steps ends in mid-epoch, where nobody validates
                keeper.validation_due = True
                yield from _validate(trainer, work, selection, keeper)
            keeper.trained = True
            keeper.save(trainer, tuner)
        stop.stop_if_asked()
    trainer.strategy.barrier()  # the first device writes the best weights, all of them read them
    if selection.value is not None:
        load_weights(tuner.model, read(selection.checkpoints.best(selection.step))[0])
    tuner.log_scores = False
    said = tuner.outcome if selection.step == selection.last_step else None  # if those were the last to be scored
    outcomes = {"validation": said or (yield from _score(trainer, work, "validation"))}
    if "test" in work.examples.splits:
        tuner.log_scores = True
        outcomes["test"] = yield from _score(trainer, work, "test")
    return outcomes


def _validate(
    trainer: pl.Trainer, work: Assembled, selection: Selection, keeper: Checkpointer
) -> Generator[Turn, None, None]:
    """A validation that counts as one of the training."""
    with keeper.averaging.applied(work.tuner):
        yield from _score(trainer, work, "validation")
        selection.consider(trainer, work.tuner)
    keeper.validation_due = False


def _score(
    trainer: pl.Trainer, work: Assembled, split: Literal["validation", "test"]
) -> Generator[Turn, None, Outcome]:
    yield Turn(split, trainer, work)
    outcome = work.tuner.outcome
    assert outcome is not None
    return outcome
