"""The command line. Nothing heavy is imported before a command needs it: ``--help`` answers at once."""

import argparse
import errno
import os
import shlex
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from finesweep import __version__
from finesweep.config.errors import TrainingError, UserError
from finesweep.config.interrupt import Interrupted, interruptible

_HELP = """\
finesweep fine-tunes transformers by configuration, with the sweep as the unit of work.

  finesweep train [OVERRIDES]       one run: finesweep train model=bert_base data=conll2003 optimizer.lr=3e-5
  finesweep train -m [OVERRIDES]    a sweep: … finetune_strategy=full,lora seed=1,2,3
  finesweep check [-m] [OVERRIDES]  check every job without training: steps, parameters, memory; time and what is done
  finesweep data [OVERRIDES]        what is in a data set: rows, classes, lengths, duplicates, shift between splits
  finesweep evaluate RUN [DATA]     score a finished run on other data: … data=files data.test=other.txt
  finesweep predict RUN             predict new text, from --text, --input or standard input
  finesweep resume RUN              go on with a run or a sweep that was stopped; as its command given again does
  finesweep reproduce RUN           run again from the record, and say whether every number came out the same
  finesweep report DIR              the leaderboard and the page of a sweep again, or of all runs below a folder
  finesweep compare A B …           paired tests between runs, or between the configurations of a sweep
  finesweep list [DIR]              runs and sweeps below a folder: when, how many, the best score, size on disk
  finesweep clean [DIR]             what may go and how much it frees; --yes removes it

  finesweep COMMAND --help          more on a command; `finesweep train --help` lists all groups and keys
  finesweep --version

RUN is a run's folder or a unique part of its name. Add --debug to see the traceback of an error.
Exit status: 0 done, 1 a run failed, 2 the command or configuration is wrong, 130 after Ctrl-C, 143 after SIGTERM.
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit status. The entry point of the ``finesweep`` script."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_HELP, end="")
        return 0
    if arguments[0] == "--version":
        print(f"finesweep {__version__}")
        return 0
    commands: dict[str, Callable[[list[str]], int]] = {
        "train": _train,
        "check": _check,
        "data": _data,
        "evaluate": _evaluate,
        "predict": _predict,
        "resume": _resume,
        "reproduce": _reproduce,
        "report": _report,
        "compare": _compare,
        "list": _list,
        "clean": _clean,
    }
    try:
        if arguments[0] not in commands:
            from finesweep.config.errors import did_you_mean

            hint = did_you_mean(arguments[0], commands, otherwise=f" There are: {', '.join(commands)}.")
            raise UserError(f"there is no command '{arguments[0]}'.{hint}", remedy="finesweep --help")
        with interruptible():
            return commands[arguments[0]](arguments[1:])
    except Interrupted as stop:
        print(f"finesweep: {stop}", file=sys.stderr)
        return stop.exit_status
    except BrokenPipeError:  # the reader of our output has gone: `finesweep predict … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except UserError as error:
        return _tell(str(error), debug, 1 if isinstance(error, TrainingError) else 2)
    except Exception as error:
        return _tell(_unexpected(error), debug, 1)


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the disk is full: {error}\n  -> make room and give the command again; a run goes on where it stopped"
    what = "".join(traceback.format_exception_only(error)).strip()
    return f"unexpected error: {what}\n  -> --debug shows where; a run's record.json holds it too"


def _tell(message: str, debug: bool, status: int) -> int:
    if debug:
        traceback.print_exc()
    print(f"finesweep: {message}", file=sys.stderr)
    return status


def _override_parser(command: str, about: str) -> argparse.ArgumentParser:
    """Hydra's flags, as far as they make sense behind a sub-command."""
    parser = argparse.ArgumentParser(f"finesweep {command}", description=about, add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*", help="group=option, key=value, +key=value, ~key")
    parser.add_argument("-m", "--multirun", action="store_true", help="sweep over values separated by commas")
    parser.add_argument("-h", "--help", action="store_true", help="this help, with all groups and keys")
    parser.add_argument("--config-dir", "-cd", help="a folder with groups of your own, searched first")
    return parser


def _train(argv: list[str]) -> int:
    parser = _override_parser("train", "Train one run, or with -m a sweep.")
    parser.add_argument("-r", "--run", action="store_true", help="a single run, which is the default")
    parser.add_argument("-c", "--cfg", choices=["job", "hydra", "all"], help="print the configuration and stop")
    parser.add_argument("-p", "--package", help="with --cfg: only this part of it")
    parser.add_argument("--resolve", action="store_true", help="with --cfg: interpolations resolved")
    info = ["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"]
    parser.add_argument("-i", "--info", nargs="?", const="all", choices=info, help="print how it is composed and stop")
    parser.add_argument("--hydra-help", action="store_true", help="Hydra's own help")
    parser.add_argument(
        "-sc", "--shell-completion", action="store_true", help='eval "$(finesweep train -sc install=bash)" (or zsh)'
    )
    args = parser.parse_intermixed_args(argv)

    if args.shell_completion or args.help or args.hydra_help or args.cfg or args.info:
        from finesweep import flags

        return flags.complete(args) if args.shell_completion else flags.show(args, parser)
    from finesweep import commands

    return commands.train(args, shlex.join(["finesweep", "train", *argv]))


def _check(argv: list[str]) -> int:
    parser = _override_parser(
        "check",
        "Compose and check every job without training: what each needs, "
        "how far the sweep is, how long the rest takes, whether it fits. Exit status 2 where a job would fail.",
    )
    args = parser.parse_intermixed_args(argv)
    if args.help:
        parser.print_help()
        return 0

    from finesweep import commands

    return commands.check_jobs(args)


def _data(argv: list[str]) -> int:
    parser = argparse.ArgumentParser("finesweep data", description="Tell what is in a data set.", allow_abbrev=False)
    parser.add_argument("overrides", nargs="*", help="data=files data.train=train.tsv task=text_classification")
    parser.add_argument("--config-dir", "-cd", help="a folder with groups of your own, searched first")
    parser.add_argument("--output", metavar="DIR", help="of report.md and its figure; default: outputs/data/NAME")
    args = parser.parse_intermixed_args(argv)

    from finesweep import commands

    return commands.data(args)


def _evaluate(argv: list[str]) -> int:
    parser = argparse.ArgumentParser("finesweep evaluate", description="Score a finished run.", allow_abbrev=False)
    parser.add_argument("run", help="a run's folder, or a unique part of its name")
    parser.add_argument("overrides", nargs="*", help="other data: data=wnut17, data=files data.test=other.txt")
    parser.add_argument("--split", choices=["train", "validation", "test"], help="default: test, else validation")
    parser.add_argument("--config-dir", "-cd", help="a folder with groups of your own, searched first")
    parser.add_argument("--output", metavar="FILE", help="write the predictions, one JSON line for each row")
    parser.add_argument("--json", action="store_true", help="print the metrics as JSON instead of tables")
    parser.add_argument("--int8", action="store_true", help="as in predict; tells what it costs")
    args = parser.parse_intermixed_args(argv)

    from finesweep import commands

    return commands.evaluate(args)


def _predict(argv: list[str]) -> int:
    parser = argparse.ArgumentParser("finesweep predict", description="Predict new text.", allow_abbrev=False)
    parser.add_argument("run", help="a run's folder, or a unique part of its name")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--text", action="append", metavar="TEXT", help="a text; may be given several times")
    source.add_argument("--input", metavar="FILE", help="a file; - or nothing at all reads standard input")
    parser.add_argument(
        "--input-format", choices=["auto", "text", "jsonl", "columns"], default="auto",
        help="text: one text a line; jsonl: objects with 'text' or 'tokens'; columns: one token a line. auto: by the "
        "file's ending, else jsonl if the first line is an object, else text",
    )  # fmt: skip
    parser.add_argument("--output", metavar="FILE", help="default: standard output")
    parser.add_argument(
        "--format", choices=["jsonl", "columns"], default="jsonl",
        help="jsonl: entities with character offsets and scores; columns: token and tag, a blank line between texts",
    )  # fmt: skip
    parser.add_argument("--batch-size", type=int, metavar="N", help="texts at a time; default: the run's")
    parser.add_argument("--int8", action="store_true", help="8-bit linear layers on the CPU: faster, a bit different")
    args = parser.parse_args(argv)

    from finesweep import commands

    return commands.predict(args)


def _resume(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "finesweep resume", allow_abbrev=False,
        description="Go on where a run stopped, or with all of a sweep that is not done.",
    )  # fmt: skip
    parser.add_argument("run", help="the folder of a run or a sweep, or a unique part of its name")
    args = parser.parse_args(argv)

    from finesweep import commands

    return commands.resume(args)


def _reproduce(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "finesweep reproduce", allow_abbrev=False,
        description="Run again from a run's record and compare. Exit status: 0 identical or within tolerance, "
        "1 different, 2 it cannot be run.",
    )  # fmt: skip
    parser.add_argument("run", help="a run's folder, or a unique part of its name")
    parser.add_argument("--check", action="store_true", help="only compare data, model, packages and machine")
    parser.add_argument("--output", metavar="DIR", help="folder of the new run; default: beside the old one")
    parser.add_argument(
        "--tolerance", type=float, default=1e-3, metavar="X",
        help="how far a metric may be off, relative to its size or to 1, whichever is larger; default: 0.001",
    )  # fmt: skip
    args = parser.parse_args(argv)

    from finesweep import commands

    return commands.reproduce(args, shlex.join(["finesweep", "reproduce", *argv]))


def _report(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "finesweep report", allow_abbrev=False,
        description="Write leaderboard.csv, leaderboard.md and report.html of the runs below a folder, from their "
        "records: of a sweep, of several, or of single runs.",
    )  # fmt: skip
    parser.add_argument("folder", metavar="DIR", help="the folder; results go there")
    args = parser.parse_args(argv)

    from finesweep import commands

    return commands.report(args)


def _compare(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "finesweep compare", description="Paired tests of the first against each of the others.", allow_abbrev=False
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="RUN",
        help="runs, or folders of sweeps, of which each configuration is one (best first)",
    )
    parser.add_argument("--split", choices=["validation", "test"], default="validation", help="default: validation")
    parser.add_argument("--metric", help="to be tested; default: the objective, if a row has a part of its own in it")
    parser.add_argument("--resamples", type=int, default=9999, metavar="N", help="of a test over rows; default: 9999")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    args = parser.parse_args(argv)

    from finesweep import commands

    return commands.compare(args)


def _list(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "finesweep list", allow_abbrev=False,
        description="List the runs and sweeps below a folder, the newest last; of a sweep's folder its runs. The score "
        "of a sweep is that of its best configuration, the mean over its seeds.",
    )  # fmt: skip
    parser.add_argument("folder", nargs="?", default="outputs", metavar="DIR", help="default: outputs")
    args = parser.parse_args(argv)

    from finesweep.results.listing import listing  # without Hydra, which takes longer than this

    print(listing(Path(args.folder)))
    return 0


def _clean(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "finesweep clean", allow_abbrev=False,
        description="Show what may go below a folder of results: checkpoints of runs that are over, models of sweeps "
        "beyond `keep`, what a killed process has left half-written, and encoded text that none has read for a "
        "month. Records, metrics, predictions and reports stay, and so does all of a run that a process works on.",
    )  # fmt: skip
    parser.add_argument("folder", nargs="?", default="outputs", metavar="DIR", help="default: outputs")
    parser.add_argument("--keep", metavar="K", help="for all sweeps: a number, best, all or none; default: as trained")
    parser.add_argument("--unfinished", action="store_true", help="checkpoints of failed and stopped runs too")
    parser.add_argument("--yes", action="store_true", help="remove it")
    args = parser.parse_args(argv)

    from finesweep.sweeps.clean import clean

    print(clean(Path(args.folder), keep=args.keep, unfinished=args.unfinished, remove=args.yes))
    return 0
