"""From a command line to a sweep at work, and what is said of it in the end."""

import logging
import traceback
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra

from finesweep.results.configurations import by_job
from finesweep.results.leaderboard import write_leaderboard
from finesweep.results.record import RunRecord, records_in
from finesweep.sweeps.board import Board
from finesweep.sweeps.calls import note_call
from finesweep.sweeps.disk import Disk
from finesweep.sweeps.race import Race
from finesweep.sweeps.sketch import Sketch, sketch
from finesweep.sweeps.source import Source
from finesweep.sweeps.sweep import Sweep


def run_sweep(hydra: Hydra, overrides: Sequence[str], command: str, config_dir: str | None) -> int:
    """Run all jobs of a sweep that are not done, and write its leaderboard, also if some fail or it is stopped.

    Returns:
        the number of jobs that did not end well.

    Raises:
        ConfigError: something is wrong with some job; none was started.
    """
    asked = sketch(hydra, overrides)
    folder, objective = asked.folder, asked.jobs[0].values["objective"]
    board = Board(0, objective["metric"])
    known: dict[Path, tuple[Any, RunRecord]] = {}
    done = {name: record for name, record in by_job(records_in(folder, known)).items() if record.status == "ok"}
    race = Race(asked.sweeper.racing, done.values()) if asked.sweeper.racing is not None else None
    source = _source(asked, board, race, done)
    note_call(folder, overrides, config_dir, command)
    disk = Disk(asked, board.say)

    def records() -> list[RunRecord]:
        return records_in(folder, known)

    def changed() -> None:
        found = records()
        board.stands(_write(found, folder))
        disk.tidy(found)

    sweep = Sweep(folder, source, asked.launcher, asked.pool(), board, command, records, changed)
    try:
        if not source.exhausted:
            with board:
                sweep.run()
        disk.tidy(records(), over=source.exhausted)
    finally:
        found = records()
        if text := _write(found, folder):
            print(text)
            page = " and report.html" if _write_page(found, folder) else ""
            print(f"\nResults: {folder}/leaderboard.csv{page}, and a folder for each run beside it")
    return sweep.failures


def _source(asked: Sketch, board: Board, race: Race | None, done: Container[str]) -> Source:
    if asked.search is not None:
        from finesweep.sweeps.search import Search as Searching

        return Searching(asked.search, asked.folder, board, race)
    waiting = [job for job in asked.jobs if job.hash not in done]
    if len(waiting) < len(asked.jobs):
        board.say(f"{len(asked.jobs) - len(waiting)} of {len(asked.jobs)} jobs are done already")
    board.total = len(waiting)
    return Source(waiting, race)


def _write(records: Sequence[RunRecord], folder: Path) -> str:
    """Write the leaderboard of what there is; as text for a terminal."""
    over = [record for record in records if record.status != "running"]
    return write_leaderboard(over, folder) if over else ""


def _write_page(records: Sequence[RunRecord], folder: Path) -> bool:
    """Write the page of the sweep. The sweep is done, whatever becomes of its page: what goes wrong is only said."""
    try:
        from finesweep.results.page.write import write_page  # only the end of a sweep needs it

        write_page(records, folder)
    except Exception as error:
        what = "".join(traceback.format_exception_only(error)).strip()
        message = f"the page of the sweep could not be written: {what}; `finesweep report {folder}` tries again"
        logging.getLogger("finesweep").warning(message)
        return False
    return True
