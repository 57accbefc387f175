"""Samplers and pruners on functions that take no training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from finesweep.sweeps.axes import Axis
from finesweep.sweeps.settings import Search
from finesweep.sweeps.study import Trials

AXES = [
    Axis("optimizer.lr", "optimizer.lr", FloatDistribution(1e-5, 1e-1, log=True)),
    Axis("trainer.max_epochs", "trainer.max_epochs", IntDistribution(1, 9)),
    Axis("model", "model", CategoricalDistribution(["a", "b"])),
]
#: Without the choice: CMA-ES would leave it to chance.
NUMBERS = AXES[:2]


def settings(**given: Any) -> Search:
    values: dict[str, Any] = {
        "params": None, "racing": None, "n_trials": 100, "max_minutes": None, "sampler": "random", "sampler_seed": 1,
        "startup_trials": 4, "default_first": False, "pruner": None, "min_validations": 1, "reduction_factor": 2,
        "objectives": None, "space": None, "storage": None, "study_name": None,
    }  # fmt: skip
    return Search(**{**values, **given})


def opened(folder: Path, searched: list[Axis], **given: Any) -> Trials:
    return Trials(folder, settings(**given), searched, {"f1": "maximize"}, [], 9)


def score(values: dict[str, Any]) -> float:
    return float(-((values["optimizer.lr"] - 0.01) ** 2) - 0.001 * values["trainer.max_epochs"])


def proposals(open_study: Callable[[], Trials], count: int, every: int) -> list[dict[str, Any]]:
    """What is proposed for so many tickets, by a new process after ``every`` of them: a kill between two parameters."""
    found, study = [], open_study()
    for ticket in range(count):
        if ticket % every == every - 1:
            study.take(ticket, None, {}).suggest_int("trainer.max_epochs", 1, 9)
            study = open_study()
        trial = study.take(ticket, study.newest().get(ticket), {})
        values = {axis.key: value for axis, value in study.values(trial).items()}
        assert values == {axis.key: value for axis, value in study.values(trial).items()}
        found.append(values)
        study.tell(trial, TrialState.COMPLETE, [score(values)])
    return found


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "cmaes"])
def test_a_search_that_begins_anew_proposes_the_same(tmp_path: Path, sampler: str) -> None:
    searched = NUMBERS if sampler == "cmaes" else AXES
    runs = []
    for every in (100, 3):
        folder = tmp_path / str(every)
        folder.mkdir()
        runs.append(proposals(lambda f=folder: opened(f, searched, sampler=sampler), 12, every))  # type: ignore[misc]
    assert runs[0] == runs[1]
    assert len({values["optimizer.lr"] for values in runs[0]}) == 12
    (tmp_path / "other").mkdir()
    other = proposals(lambda: opened(tmp_path / "other", searched, sampler=sampler, sampler_seed=2), 12, 100)
    assert other != runs[0]


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_a_sampler_learns(tmp_path: Path, sampler: str) -> None:
    """It comes nearer to the best than it was at random."""
    found = proposals(lambda: opened(tmp_path, NUMBERS, sampler=sampler), 40, 100)
    scores = [score(values) for values in found]
    assert sum(scores[-10:]) / 10 > sum(scores[:10]) / 10


@pytest.mark.parametrize("pruner", ["asha", "hyperband", "median"])
def test_a_pruner_stops_what_falls_behind_and_not_the_best(tmp_path: Path, pruner: str) -> None:
    study = opened(tmp_path, AXES, pruner=pruner)
    stopped: dict[int, int] = {}
    for ticket in range(24):
        trial = study.take(ticket, None, {})
        slope = (24 - ticket) if ticket else 100  # the first is the best, the others worse and worse
        for number in range(1, 10):
            if not study.report(trial, number, float(slope * number)):
                stopped[ticket] = number
                again = opened(tmp_path, AXES, pruner=pruner)  # killed before the run was told, it still knows
                assert again.stopped(again.take(ticket, again.newest()[ticket], {})) == number
                study.tell(trial, TrialState.PRUNED)
                break
        else:
            assert study.stopped(trial) is None
            study.tell(trial, TrialState.COMPLETE, [float(slope * 9)])
    assert 0 not in stopped
    assert len(stopped) >= 8
    assert min(stopped.values()) == 1
    assert {ticket for ticket, trial in study.newest().items() if trial.state is TrialState.PRUNED} == stopped.keys()


def test_no_trial_is_pruned_without_a_pruner(tmp_path: Path) -> None:
    study = opened(tmp_path, AXES)
    for ticket in range(5):
        trial = study.take(ticket, None, {})
        assert study.report(trial, 1, -float(ticket))
        study.tell(trial, TrialState.COMPLETE, [0.0])


def test_what_a_kill_leaves_of_a_journal_can_be_read(tmp_path: Path) -> None:
    first = opened(tmp_path, AXES)
    first.tell(first.take(0, None, {}), TrialState.COMPLETE, [0.5])
    with (tmp_path / "study.journal").open("a") as stream:
        stream.write('{"op_code": 4, "wor')  # cut short
    second = opened(tmp_path, AXES)
    second.tell(second.take(1, None, {}), TrialState.COMPLETE, [0.6])
    assert {ticket: trial.value for ticket, trial in opened(tmp_path, AXES).newest().items()} == {0: 0.5, 1: 0.6}


def test_a_trial_goes_on_with_its_values_and_a_failed_one_is_done_again(tmp_path: Path) -> None:
    study = opened(tmp_path, AXES, sampler="tpe")
    begun = study.values(study.take(0, None, {}))
    trial = study.take(0, study.newest()[0], {})
    assert study.values(trial) == begun
    assert len(study.newest()) == 1
    study.tell(trial, TrialState.FAIL)
    again = study.take(0, study.newest()[0], {})
    assert again.number == trial.number + 1
    assert study.values(again) == begun
    study.tell(again, TrialState.COMPLETE, [1.0])
    study.tell(again, TrialState.COMPLETE, [2.0])  # a late finisher does not count
    assert study.newest()[0].value == 1.0
