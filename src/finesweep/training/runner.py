"""One run, from a checked configuration to a folder with its record, curves, predictions, report and model."""

import gc
import logging
import shutil
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml

from finesweep.config.errors import UserError
from finesweep.config.identity import config_hash
from finesweep.config.interrupt import Interrupted
from finesweep.results.environment import PeakMemory, environment, git_state
from finesweep.results.record import FILE, RunRecord, prediction_lines, write_atomically
from finesweep.results.report import model_card, write_report
from finesweep.training.assemble import Assembled, Components, assemble, data_record
from finesweep.training.callbacks import Monitor, Selection
from finesweep.training.checkpoint import load_weights
from finesweep.training.curves import CurveLogger
from finesweep.training.devices import on_each_device
from finesweep.training.module import Outcome
from finesweep.training.progress import ProgressBar

#: Hints of Lightning's that do not fit here: batches are small and ready, loaders reloaded on purpose.
_HINTS = (
    "in eval mode at the start of training",
    "does not have many workers",
    "The number of training batches",
    "Experiment logs directory",
    "isinstance\\(tree",
)


def run(
    values: dict[str, Any],
    folder: Path,
    *,
    command: str = "",
    overrides: Sequence[str] = (),
    sweep: str | None = None,
) -> RunRecord:
    """Train, score and write everything down.

    Args:
        values: a checked and settled configuration, as plain containers.
        folder: where the run goes.
        command, overrides: how it was asked for, for the record.
        sweep: the name of the sweep it belongs to.

    Returns:
        the finished record, status ``ok``.

    Raises:
        UserError: the folder holds another run, or data or model are not what the configuration says.
        TrainingError: the loss is not a number.
    """
    record = RunRecord(folder, values["name"], values["seed"], config_hash(values), command, list(overrides))
    _claim(folder, record.config_hash)
    write_atomically(folder / "config.yaml", yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    record.git = git_state(Path.cwd())
    record.write()
    parts = Components.of(values)
    try:
        if parts.trainer.devices == 1:
            _train(0, record, values, sweep)
        else:
            on_each_device(parts.trainer.devices, _train, record, values, sweep)
        record = RunRecord.read(folder)  # as whoever trained has left it
    except BaseException as error:
        record = RunRecord.read(folder)
        stopped = isinstance(error, Interrupted | KeyboardInterrupt | SystemExit)
        record.end("interrupted" if stopped else "failed", traceback.format_exc())
        parts.logger.finish(failed=True)
        raise
    finally:
        # A sweep goes on in this process: what the run held must not add up.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    record.end("ok")
    parts.logger.finish(failed=False)
    return record


def _claim(folder: Path, config_hash: str) -> None:
    """Make the folder; what a finished or another run has written there stays untouched."""
    if (folder / FILE).is_file():
        before = RunRecord.read(folder)
        remedy = "choose another folder with hydra.run.dir, or remove this one"
        if before.config_hash != config_hash:
            raise UserError("the folder holds a run of another configuration", where=str(folder), remedy=remedy)
        if before.status in ("ok", "running"):
            raise UserError(
                f"the folder holds this run already, status {before.status}", where=str(folder), remedy=remedy
            )
    folder.mkdir(parents=True, exist_ok=True)


def _train(rank: int, record: RunRecord, values: dict[str, Any], sweep: str | None) -> None:
    """Train and score on one device; the first of them writes everything down."""
    parts = Components.of(values)
    if parts.trainer.threads is not None:
        torch.set_num_threads(parts.trainer.threads)
    memory = PeakMemory()
    record.environment = environment()
    work = assemble(parts)
    record.labels, record.notes = work.examples.labels, work.examples.notes
    record.data = data_record(work.examples)
    record.model = {"fingerprint": work.loaded.fingerprint}
    record.parameters = work.parameters
    if rank == 0:
        record.write()
        for note in record.notes:
            logging.getLogger("finesweep").warning(note)

    best = record.folder / "checkpoints" / "best.safetensors"
    selection = Selection(parts.objective, parts.trainer.early_stopping, best)
    monitor = Monitor(parts.trainer.log_every_n_steps)
    callbacks: list[pl.Callback] = [selection, monitor]
    if parts.trainer.progress:
        title = " ".join(record.overrides) if sweep else record.name
        callbacks.append(ProgressBar(title, parts.objective.metric, monitor))
    curves = CurveLogger(record.folder / "metrics.csv")
    loggers = [curves, *parts.logger.build(record, values, sweep)] if rank == 0 else []
    trainer = _trainer(parts, loggers, callbacks, record.folder)
    outcomes = _fit_and_score(trainer, work, selection, best)
    if rank != 0:
        return

    record.metrics = {split: outcome.metrics for split, outcome in outcomes.items()}
    record.objective = {
        "metric": parts.objective.metric,
        "direction": parts.objective.direction,
        "value": record.metrics["validation"][parts.objective.metric],
        "epoch": selection.epoch,
        "step": selection.step,
    }
    record.timing = monitor.timing(trainer.world_size)
    del outcomes["before"]
    for split, outcome in outcomes.items():
        if not outcome.predictions:  # a language model predicts sub-words by the million, and rows not at all
            continue
        lines = prediction_lines(work.examples.splits[split], outcome.predictions)
        write_atomically(record.folder / "predictions" / f"{split}.jsonl", lines)
    if parts.trainer.save_model:
        _save_model(record, values, parts, work)
    shutil.rmtree(best.parent, ignore_errors=True)
    record.peak_memory_bytes = memory.bytes()
    record.write()
    write_report(record, {split: outcome.scores for split, outcome in outcomes.items()}, curves.rows)


def _trainer(parts: Components, loggers: list[Any], callbacks: list[pl.Callback], folder: Path) -> pl.Trainer:
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for hint in _HINTS:
        warnings.filterwarnings("ignore", message=f".*{hint}.*")
    settings = parts.trainer
    # Uninitialised memory is never read here, and filling it costs time in every operation.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy="auto" if settings.devices == 1 else _distributed(parts),
        precision=settings.precision,  # type: ignore[arg-type]
        max_epochs=settings.max_epochs,
        max_steps=settings.max_steps if settings.max_steps is not None else -1,
        gradient_clip_val=settings.gradient_clip_val,
        accumulate_grad_batches=settings.accumulate_grad_batches,
        val_check_interval=settings.val_check_interval,
        deterministic=settings.deterministic,
        logger=loggers,
        callbacks=callbacks,
        default_root_dir=folder,
        log_every_n_steps=settings.log_every_n_steps,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
    )


def _distributed(parts: Components) -> str:
    """DDP, told to expect parameters without a gradient where not all that train some time do so from the start."""
    return "ddp_find_unused_parameters_true" if parts.strategy.changes else "ddp"


def _fit_and_score(trainer: pl.Trainer, work: Assembled, selection: Selection, best: Path) -> dict[str, Outcome]:
    """Score the untrained model on validation, train, and score the best weights on validation and test."""
    tuner, data = work.tuner, work.data
    outcomes = {"before": _score(trainer, work, "validation")}
    trainer.fit(tuner, datamodule=data)
    if selection.last_step != trainer.global_step:  # max_steps ended in mid-epoch, where Lightning does not validate
        outcomes["validation"] = _score(trainer, work, "validation")
        selection.consider(trainer, tuner)
    trainer.strategy.barrier()  # the first device writes the best weights, all of them read them
    if best.is_file():
        load_weights(tuner.model, best)
    tuner.log_scores = False
    outcomes["validation"] = _score(trainer, work, "validation")
    if "test" in work.examples.splits:
        tuner.log_scores = True
        outcomes["test"] = _score(trainer, work, "test")
    return outcomes


def _score(trainer: pl.Trainer, work: Assembled, split: str) -> Outcome:
    score = trainer.validate if split == "validation" else trainer.test
    score(work.tuner, datamodule=work.data, verbose=False)
    outcome = work.tuner.outcome
    assert outcome is not None
    return outcome


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
