"""One run, from a checked configuration to a folder with its record, curves, predictions, report and model."""

import contextlib
import gc
import logging
import shutil
import traceback
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from finesweep.config.errors import ApartError, ChangedError, LostError, PrunedError, TrainingError, of_compiler
from finesweep.config.identity import effective
from finesweep.config.interrupt import Interrupted
from finesweep.results.environment import environment
from finesweep.results.files import write_atomically
from finesweep.results.lock import locked
from finesweep.results.record import FILE, RunRecord, Status, prediction_lines
from finesweep.results.report import model_card, write_report
from finesweep.results.tables import ReportTable
from finesweep.training.assemble import Assembled
from finesweep.training.averaging import Averaging
from finesweep.training.begin import begin, latest_state
from finesweep.training.callbacks import Monitor, Selection
from finesweep.training.checkpoint import Checkpoints, digest, weights
from finesweep.training.components import Components, data_record
from finesweep.training.curves import CurveLogger
from finesweep.training.devices import on_each_device
from finesweep.training.fitting import fit_and_score
from finesweep.training.module import Outcome
from finesweep.training.progress import ProgressBar
from finesweep.training.resume import Checkpointer
from finesweep.training.supervision import Progress, Supervisor, Unsupervised
from finesweep.training.turns import Alone, Hands, Turn


def run(
    values: dict[str, Any],
    folder: Path,
    *,
    command: str = "",
    overrides: Sequence[str] = (),
    sweep: str | None = None,
    like: RunRecord | None = None,
    supervisor: Supervisor | None = None,
) -> RunRecord:
    """Train, score and write everything down. A run in the folder that did not end well goes on where it stopped.

    Args:
        values: a checked and settled configuration, as plain containers.
        folder: where the run goes.
        command, overrides: how it was asked for, for the record.
        sweep: the name of the sweep it belongs to.
        like: the run that this one does again, with as many threads.
        supervisor: is told how the run goes, and may stop it.

    Returns:
        the finished record, status ``ok``.

    Raises:
        UserError: the folder holds another run, or data or model are not what the configuration says.
        LiveError: another process works on it.
        ChangedError: it cannot go on, since data or model are others than when it stopped.
        TrainingError: the loss is not a number.
        PrunedError, LostError: the supervisor has stopped it.
    """
    hands, threads = Alone(Components.of(values).trainer), torch.get_num_threads()
    turns = steps(
        values, folder, command=command, overrides=overrides, sweep=sweep, like=like,
        supervisor=supervisor or Unsupervised(), threads=threads, hands=hands,
    )  # fmt: skip
    try:
        return hands.take(turns)
    finally:
        # This process may do another run: what this one held must not add up, nor what it set decide for that.
        torch.set_num_threads(threads)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def steps(
    values: dict[str, Any],
    folder: Path,
    *,
    command: str,
    overrides: Sequence[str],
    sweep: str | None,
    like: RunRecord | None,
    supervisor: Supervisor,
    threads: int,
    hands: Hands,
) -> Generator[Turn, None, RunRecord]:
    """A run as the turns that it leaves to others, see :func:`run`.

    Args:
        threads: where neither the configuration nor an earlier part of the run says how many.
        hands: who trains it.
    """
    with locked(folder):
        before = (folder / FILE).read_text(encoding="utf-8") if (folder / FILE).is_file() else ""
        record = begin(folder, values, command, overrides, sweep=sweep, like=like)
        parts = Components.of(values)
        try:
            if parts.trainer.devices == 1:
                yield from _on_device(0, record, values, sweep, supervisor, threads, hands)
            else:
                on_each_device(parts.trainer.devices, _on_own_device, record, values, sweep, supervisor, threads)
            record = RunRecord.read(folder)  # as whoever trained has left it
        except (ChangedError, ApartError) as error:
            supervisor.check()
            if before:
                write_atomically(folder / FILE, before)  # it can still go on with what it was begun with
            elif any((folder / "checkpoints").glob("step-*")):
                RunRecord.read(folder).end("interrupted", str(error))
            else:
                (folder / FILE).unlink(missing_ok=True)  # or begin, alone
            raise
        except LostError:  # what is in the folder is another's
            raise
        except BaseException as error:
            supervisor.check()  # which raises LostError where it is another's by now
            with contextlib.suppress(OSError):  # on a full disk it stays `running`, and is found dead
                ended = RunRecord.read(folder)
                ended.fused = record.fused
                ended.end(_ended(error), traceback.format_exc())
            parts.logger.finish(failed=not isinstance(error, PrunedError))
            raise
        supervisor.check()
        record.end("ok")
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # not before: it could still be killed
        parts.logger.finish(failed=False)
        return record


def _ended(error: BaseException) -> Status:
    if isinstance(error, PrunedError):
        return "pruned"
    return "interrupted" if isinstance(error, Interrupted | KeyboardInterrupt | SystemExit) else "failed"


def _on_own_device(
    rank: int, record: RunRecord, values: dict[str, Any], sweep: str | None, supervisor: Supervisor, threads: int
) -> None:
    """Of several devices one, in a process of its own."""
    hands = Alone(Components.of(values).trainer)
    if rank != 0:
        supervisor = Unsupervised()  # which is told by the first
    hands.take(_on_device(rank, record, values, sweep, supervisor, threads, hands))


def _on_device(
    rank: int,
    record: RunRecord,
    values: dict[str, Any],
    sweep: str | None,
    supervisor: Supervisor,
    threads: int,
    hands: Hands,
) -> Generator[Turn, None, None]:
    """Set the process up for the training, and train."""
    parts = Components.of(values)
    # Other threads, other last digits: a run that goes on or is done again has as many as it began with.
    before = (record.environment or record.reproduces).get("threads")
    torch.set_num_threads(hands.threads or parts.trainer.threads or before or threads)
    try:
        yield from _train(rank, record, parts, values, sweep, supervisor, hands)
    except torch.OutOfMemoryError as error:
        raise hands.out_of_memory() from error
    except RuntimeError as error:
        if not of_compiler(error):
            raise
        why, remedy = str(error).strip().splitlines()[0], "leave it null, or give the compiler what it lacks"
        raise TrainingError(
            f"the model cannot be compiled: {why[:200]}", where="trainer.compile", remedy=remedy
        ) from error


def _train(
    rank: int,
    record: RunRecord,
    parts: Components,
    values: dict[str, Any],
    sweep: str | None,
    supervisor: Supervisor,
    hands: Hands,
) -> Generator[Turn, None, None]:
    """Train and score on one device; the first of them writes everything down."""
    here = environment()
    record.environment = record.environment or here
    work = hands.assemble(parts, record.batch or record.reproduces.get("batch", {}))
    parts, record.batch, record.fused = work.parts, work.batch, max(record.fused, work.fused)
    record.labels, record.notes = work.examples.labels, work.examples.notes
    record.data = data_record(work.examples)
    record.model = {"fingerprint": work.loaded.fingerprint}
    record.parameters = work.parameters

    checkpoints = Checkpoints(record.folder / "checkpoints")
    selection = Selection(parts.objective, parts.trainer.early_stopping, checkpoints, supervisor)
    monitor = Monitor(parts.trainer.log_every_n_steps)
    curves = CurveLogger(record.folder / "metrics.csv")
    identity = {"config": effective(values), "data": record.data, "model": record.model["fingerprint"]}
    if work.trained_sub_words:  # of which alone there are rows in a checkpoint
        identity["trained_sub_words"] = work.trained_sub_words
    minutes = parts.trainer.checkpoint_minutes
    averaging = Averaging(parts.trainer.ema_decay)
    keeper = Checkpointer(
        work, checkpoints, identity, minutes, selection, monitor, curves, hands.stop, supervisor, averaging
    )
    latest, notes = latest_state(checkpoints, identity, record, here) if record.resumed else (None, [])
    if rank == 0:
        supervisor.check()
        record.write()
        for note in [*record.notes, *notes]:
            logging.getLogger("finesweep").warning(note)

    callbacks: list[pl.Callback] = [selection, averaging, monitor, Progress(supervisor)]
    if parts.trainer.progress:
        title = " ".join(record.overrides) if sweep else record.name
        callbacks.append(ProgressBar(title, parts.objective.metric, monitor))
    loggers = [curves, *parts.logger.build(record, values, sweep)] if rank == 0 else []
    trainer = hands.trainer(work, loggers, [*callbacks, keeper], record.folder)
    if latest is not None:
        keeper.restore(*latest, trainer)
    try:
        outcomes = yield from fit_and_score(trainer, work, selection, keeper, hands.stop)
    finally:
        record.fused = max(record.fused, work.fused)
    if rank != 0:
        return

    work.complete()
    supervisor.check()
    record.metrics = {"before": keeper.before, **{split: outcome.metrics for split, outcome in outcomes.items()}}
    record.objective = {
        "metric": parts.objective.metric,
        "direction": parts.objective.direction,
        "value": record.metrics["validation"][parts.objective.metric],
        "epoch": selection.epoch,
        "step": selection.step,
    }
    record.model["weights"] = digest(weights(work.tuner.model, work.tuner.trainable()))
    record.timing = {**monitor.timing(trainer.world_size), "encode_seconds": round(work.encode_seconds, 3)}
    for split, outcome in outcomes.items():
        if not outcome.predictions:  # a language model predicts sub-words by the million, and rows not at all
            continue
        lines = prediction_lines(work.examples.splits[split], outcome.predictions)
        write_atomically(record.folder / "predictions" / f"{split}.jsonl", lines)
    if parts.trainer.save_model:
        _save_model(record, values, parts, work)
    record.peak_memory_bytes = hands.memory.bytes()
    record.write()
    scores = {split: outcome.scores for split, outcome in outcomes.items()}
    write_report(record, scores, curves.rows, _hardest(parts, work, outcomes))


def _hardest(parts: Components, work: Assembled, outcomes: dict[str, Outcome]) -> dict[str, ReportTable]:
    """Of each split whose rows are predicted, the errors to look at."""
    predicted = {split: outcome.predictions for split, outcome in outcomes.items() if outcome.predictions}
    found = {split: parts.task.hardest(work.examples.splits[split], said) for split, said in predicted.items()}
    return {split: table for split, table in found.items() if table is not None}


def _save_model(record: RunRecord, values: dict[str, Any], parts: Components, work: Assembled) -> None:
    folder = record.folder / "model"
    folder.mkdir(exist_ok=True)
    model: Any = parts.strategy.finished(work.tuner.model, folder, parts.model.is_shared)
    model.save_pretrained(folder)
    for place in (folder, folder / "base"):
        if place.is_dir():
            work.loaded.tokenizer.save_pretrained(place)
    write_atomically(
        folder / "README.md",
        model_card(record, values, parts.task.auto_class_for(work.loaded.kind), parts.task.pipeline),
    )
