"""What each command does, once its arguments are parsed; :mod:`finesweep.cli` turns errors into messages."""

import contextlib
import gc
import json
import logging
import math
import sys
import traceback
from argparse import Namespace
from datetime import datetime
from pathlib import Path

from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from finesweep.config.check import check
from finesweep.config.compose import CONFIG_NAME, Composition, compose, hydra_session, lenient, parse_overrides
from finesweep.config.errors import ChangedError, TrainingError, UserError
from finesweep.config.identity import config_hash
from finesweep.config.provenance import Sources
from finesweep.results.lock import LiveError
from finesweep.results.record import RunRecord, find_run, repeatable_config, unfinished, working_folder
from finesweep.sweeps.calls import calls_of, find_sweep
from finesweep.sweeps.sketch import sketch
from finesweep.sweeps.start import run_sweep


def train(args: Namespace, command: str) -> int:
    """One run, or a sweep if asked for (``-m``, or ``hydra.mode=MULTIRUN`` in an experiment file)."""
    _log_to_stderr()
    with hydra_session(args.config_dir) as hydra:
        if args.multirun or (not args.run and _says_multirun(hydra, args.overrides)):
            return 1 if run_sweep(hydra, args.overrides, command, args.config_dir) else 0
        composed = compose(hydra, args.overrides)
        if composed.multirun and not args.run:
            return 1 if run_sweep(hydra, args.overrides, command, args.config_dir) else 0
        _print_result(run_single(hydra, args.overrides, command, composed))
        return 0


def _says_multirun(hydra: Hydra, overrides: list[str]) -> bool:
    """Whether the configuration makes a sweep of overrides that are none for a single run, or say so themselves.

    Of all others their composition tells, which is needed anyway.
    """
    parsed = parse_overrides(hydra, overrides)
    if any(each.is_sweep_override() or each.key_or_group == "hydra.mode" for each in parsed):
        return bool(hydra.get_mode(CONFIG_NAME, list(overrides)) == RunMode.MULTIRUN)
    return False


def _print_result(record: RunRecord) -> None:
    before, after = (record.metrics[split][record.objective["metric"]] for split in ("before", "validation"))
    test = record.metrics.get("test", {}).get(record.objective["metric"])
    print(
        f"{record.objective['metric']}: validation {after:.4f} (untrained {before:.4f})"
        + (f", test {test:.4f}" if test is not None else "")
    )
    print(f"Results: {record.folder}/report.md")


def run_single(hydra: Hydra, overrides: list[str], command: str, composed: Composition) -> RunRecord:
    """Check and train one run; the newest unfinished one of the same configuration goes on.

    Raises:
        ConfigError: with all problems of the configuration; nothing was started.
    """
    hashed = config_hash(check(composed))
    named = any(text.startswith("hydra.run.dir=") for text in overrides)
    ended: list[RunRecord | Exception] = []

    def run_in(folder: Path, cfg: DictConfig) -> RunRecord:
        from finesweep.training.runner import run  # imports torch and Lightning: only once something is to be trained

        gc.freeze()  # else the collector goes through all that ten times before the first step, in half a second
        return run(check(Composition(cfg, Sources())), folder, command=command, overrides=overrides)

    def job(cfg: DictConfig) -> None:
        fresh = Path(HydraConfig.get().runtime.output_dir)
        waiting = [] if named else unfinished(fresh.parent, hashed)
        try:
            for folder in waiting:
                try:
                    ended.append(run_in(folder, cfg))
                except LiveError:
                    continue  # another process works on it
                except ChangedError as error:
                    logging.getLogger("finesweep").warning(f"a new run begins. {error.where}: {error.what}")
                    break
                with contextlib.suppress(OSError):
                    fresh.rmdir()  # Hydra has made it
                return
            ended.append(run_in(fresh, cfg))
        except Exception as error:  # Hydra would print a line of its own before it raised it again
            ended.append(error)

    hydra.run(CONFIG_NAME, job, lenient(hydra, overrides))
    if isinstance(ended[0], Exception):
        raise ended[0]
    return ended[0]


def resume(args: Namespace) -> int:
    """Go on with a run that did not end well, or with all of a sweep that is not done."""
    _log_to_stderr()
    sweep = find_sweep(args.run)
    if sweep is not None:
        return _resume_sweep(sweep.resolve())
    folder = find_run(args.run).resolve()
    record = RunRecord.read(folder)
    if record.status == "ok":
        print(f"{args.run} has ended well already, there is nothing to go on with")
        return 0
    values = repeatable_config(record)

    from finesweep.training.runner import run

    with working_folder(record.cwd):
        _print_result(run(values, folder, sweep=record.sweep))
    return 0


def _resume_sweep(folder: Path) -> int:
    failures = 0
    for call in calls_of(folder):
        with working_folder(call.cwd), hydra_session(call.config_dir) as hydra:
            failures += run_sweep(hydra, call.overrides, call.command, call.config_dir)
    return 1 if failures else 0


def reproduce(args: Namespace, command: str) -> int:
    """Do a run again from its record and compare."""
    _log_to_stderr()
    folder = find_run(args.run).resolve()
    record = RunRecord.read(folder)
    if record.status != "ok":
        raise UserError(f"the run did not end well, its status is {record.status}", where=str(folder))
    if not 0 <= args.tolerance < math.inf:
        raise UserError("must be a number from 0 on", where="--tolerance")
    stem = f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{record.config_hash[:8]}"
    output = Path(args.output).resolve() if args.output else folder.parent / stem

    from finesweep.training.reproduce import reproduce as run_again
    from finesweep.training.reproduce import surroundings

    with working_folder(record.cwd):
        found = surroundings(record)
        print(found)
        if args.check:
            return 1 if found.inputs or found.others else 0
        try:
            done = run_again(record, found, output, command=command, tolerance=args.tolerance)
        except Exception as error:
            if isinstance(error, UserError) and not isinstance(error, TrainingError):
                raise
            what = str(error) if isinstance(error, UserError) else traceback.format_exception_only(error)[-1].strip()
            raise UserError(f"the run cannot be done again: {what}", where=str(folder)) from error
    print(f"\n{done}\nResults: {output}/report.md")
    return 1 if done.verdict == "different" else 0


def report(args: Namespace) -> int:
    """Write the leaderboard and the page of a folder anew."""
    from finesweep.results.page.write import write_results

    _log_to_stderr()
    print(write_results(Path(args.folder).expanduser()))
    return 0


def compare(args: Namespace) -> int:
    """Print what two or more runs or configurations differ in, and whether it is significant."""
    from finesweep.sweeps.compare import compare as test

    if args.resamples < 99:
        raise UserError("must be at least 99: p could not be below 0.01", where="--resamples")
    report = test(args.paths, split=args.split, metric=args.metric, resamples=args.resamples)
    print(report.as_json() if args.json else report)
    return 0


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("  note: %(message)s"))
    logger = logging.getLogger("finesweep")
    logger.handlers = [handler]
    logger.propagate = False


def check_jobs(args: Namespace) -> int:
    """Print what jobs need, and how far a sweep is; 2 where one would fail."""
    _log_to_stderr()
    with hydra_session(args.config_dir) as hydra:
        asked = sketch(hydra, args.overrides) if args.multirun else check(compose(hydra, args.overrides))

        from finesweep.sweeps.forecast import forecast_run, forecast_sweep  # torch, once nothing is wrong so far

        told = forecast_run(args.overrides, asked) if isinstance(asked, dict) else forecast_sweep(asked)
        print(told.text)
    return 2 if told.broken else 0


def data(args: Namespace) -> int:
    """Print what is in a data set, and write it down with a figure."""
    _log_to_stderr()
    with hydra_session(args.config_dir) as hydra:
        values = check(compose(hydra, args.overrides))

    from finesweep.training.components import Components
    from finesweep.training.describe import describe

    folder = Path(args.output or Path("outputs") / "data" / values["data"]["name"])
    tables = describe(Components.of(values), folder)
    print(f"# {values['data']['name']} for {values['task']['name']}, sub-words of {values['model']['name']}\n")
    print("\n".join(table.markdown() for table in tables))
    print(f"Report: {folder}/report.md")
    return 0


def evaluate(args: Namespace) -> int:
    """Score a run's model on the data of its own configuration or of other overrides."""
    from finesweep.deploy.evaluate import evaluate as score

    _log_to_stderr()
    folder = find_run(args.run)
    # The run's own overrides hold, but for those of a group that another option is now chosen of.
    chosen = tuple(f"{text.partition('=')[0]}." for text in args.overrides)
    own = [text for text in RunRecord.read(folder).overrides if not text.lstrip("+~").startswith(chosen)]
    with hydra_session(args.config_dir) as hydra:
        values = check(compose(hydra, [*own, *args.overrides]), optional=("data.train",))
    split, outcome = score(folder, values, args.split, int8=args.int8)
    for note in outcome.notes:
        logging.getLogger("finesweep").warning(note)
    if args.output:
        outcome.write_predictions(Path(args.output))
    if args.json:
        print(json.dumps({"run": str(folder), "split": split, "metrics": outcome.metrics}))
        return 0
    print(f"# {folder.name} on {values['data']['name']}, {split}: {len(outcome.rows)} rows\n")
    print("\n".join(table.markdown() for table in outcome.scores.tables))
    print(", ".join(f"{name} {value:.4f}" for name, value in outcome.metrics.items()))
    return 0


def predict(args: Namespace) -> int:
    """Predict texts and write entities as JSON lines or columns."""
    from finesweep.deploy.predict import predict_stream

    _log_to_stderr()
    if args.batch_size is not None and args.batch_size < 1:
        raise UserError("must be at least 1", where="--batch-size")
    predict_stream(
        find_run(args.run), texts=args.text, path=args.input, input_format=args.input_format, output=args.output,
        output_format=args.format, batch_size=args.batch_size, int8=args.int8,
    )  # fmt: skip
    return 0
