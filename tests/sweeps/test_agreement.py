"""Leaderboard, page, list, compare and check say the same of a sweep: who is best, and which runs count."""

import csv
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from finesweep.cli import main
from finesweep.config.compose import hydra_session
from finesweep.sweeps.sketch import sketch
from tests.results.pages import Page
from tests.sweeps.recorded import run

#: Learning rate -> what came of each replicate; None for those that a race has spared it.
Scores = Mapping[str, list[float | None]]
Swept = Callable[..., Path]


@pytest.fixture
def swept(tmp_path: Path) -> Swept:
    """``swept({"0.1": [0.9, None]}, "seed=1,2")``: the folder of that sweep, with a run for each score."""

    def write(scores: Scores, *replicates: str) -> Path:
        folder = tmp_path / "outputs" / "sweep"
        keys = [f"optimizer.lr={','.join(scores)}", *replicates, f"hydra.sweep.dir={folder}"]
        with hydra_session() as hydra:
            jobs = sketch(hydra, keys).jobs
        for job, score in zip(jobs, [score for each in scores.values() for score in each], strict=True):
            status: Any = "pruned" if score is None else "ok"
            run(folder / job.name, job.overrides, score or 0.0, status=status, sweep="sweep", values=job.values)
        (folder / "ledger").mkdir()
        return folder

    return write


class Told:
    """What each command says of a sweep."""

    def __init__(self, sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
        def said(*command: str) -> str:
            capsys.readouterr()
            assert main([*command]) == 0
            return capsys.readouterr().out

        said("report", str(sweep))
        with (sweep / "leaderboard.csv").open() as stream:
            self.leaderboard = list(csv.DictReader(stream))
        self.page = Page(sweep / "report.html")
        self.list = said("list", str(sweep.parent))
        self.compared = json.loads(said("compare", str(sweep), "--json", "--resamples", "99"))["groups"]

    @property
    def orders(self) -> dict[str, list[str]]:
        """Learning rates, best first."""
        return {
            "leaderboard": [row["optimizer.lr"] for row in self.leaderboard],
            "compare": [group["name"].removeprefix("optimizer.lr=") for group in self.compared],
        }


@pytest.mark.parametrize(
    ("replicates", "best"),
    [("seed=1,2,3", [0.95, 0.80, 0.80]), ("data.fold=0,1,2", [0.95, 0.80, 0.80]), ("seed=1,2,3", [0.80, 0.95, 0.80])],
)
def test_who_lost_a_race_or_has_no_score_is_the_best_nowhere(
    swept: Swept, capsys: pytest.CaptureFixture[str], replicates: str, best: list[float | None]
) -> None:
    folds = ["data.folds=3"] if "fold" in replicates else []
    broken = [math.nan, 0.99, 0.99]
    told = Told(swept({"0.05": broken, "0.2": [0.90, None, None], "0.1": best}, replicates, *folds), capsys)
    assert told.orders == {"leaderboard": ["0.1", "0.2", "0.05"], "compare": ["0.1", "0.2", "0.05"]}
    assert [row["rank"] for row in told.leaderboard] == ["1", "2", ""]
    # Both have done the first replicate alone.
    assert float(told.leaderboard[1]["gap"]) == pytest.approx((best[0] or 0) - 0.90)
    assert re.search(r"7 ok, 2 pruned +f1 0\.8500 ", told.list)
    points, front = told.page.figures["Score against cost"]["data"][:2]
    assert (len(points["y"]), front["y"]) == (2, [pytest.approx(0.85)])


def test_a_run_done_again_to_compare_counts_nowhere_while_the_first_is_there(
    swept: Swept, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = swept({"0.1": [0.7, 0.9], "0.2": [0.5, 0.7]}, "seed=1,2")
    first = sweep / "optimizer.lr=0.1,seed=1"
    before = Told(sweep, capsys)
    values = json.loads((first / "record.json").read_text())["config"]
    for name, status in (("2026-again", "ok"), ("2026-failed", "failed")):
        again = run(sweep / name, ["optimizer.lr=0.1", "seed=1"], 0.1, status=status, sweep="sweep", values=values)  # type: ignore[arg-type]
        again.started, again.reproduces = "2026-11-27T12:00:00+00:00", {"run": str(first)}
        again.write()
    after = Told(sweep, capsys)
    assert after.leaderboard == before.leaderboard
    assert after.compared == before.compared
    assert after.page.words == before.page.words
    assert re.search(r"  4 ok +f1 0\.8000 ", after.list)
    # The same command finds all done, in a race too, and leaves the same behind.
    command = ["-m", "optimizer.lr=0.1,0.2", "seed=1,2", f"hydra.sweep.dir={sweep}"]
    assert main(["check", *command]) == 0
    assert "4 done" in capsys.readouterr().out
    assert main(["train", *command, "hydra.sweeper.racing=0.01"]) == 0
    assert Told(sweep, capsys).leaderboard == before.leaderboard
