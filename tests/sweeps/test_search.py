"""Searches from the command line: trials proposed once each, whatever stops them; wrong spaces; several sweepers."""

import csv
import statistics
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from finesweep.cli import main
from finesweep.results.record import records_in

Search = Callable[..., int]
LR = "optimizer.lr=tag(log,interval(1e-4,1e-2))"


@pytest.fixture
def search(tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch) -> Search:
    monkeypatch.syspath_prepend(Path(__file__).parent)

    def start(*overrides: str) -> int:
        fixed = ["hydra/sweeper=optuna", "trainer.save_model=false", f"hydra.sweep.dir={tmp_path}/sweep"]
        return main(["train", "-m", *quick, *fixed, *overrides])

    return start


def trials(folder: Path) -> list[FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage).get_trials()


def test_a_search_scores_by_replicates_starts_at_the_default_and_goes_on(
    search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [LR, "seed=1,2", "data.sentences={train: 32, validation: 24, test: 24}"]
    assert search(*command, "hydra.sweeper.n_trials=2") == 0
    found, runs = trials(tmp_path / "sweep"), {run.folder.name: run for run in records_in(tmp_path / "sweep")}
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * 2
    assert found[0].params == {"optimizer.lr": 1e-3}
    assert found[1].params != found[0].params
    assert len(runs) == 4
    for trial in found:
        mine = [runs[name] for name in trial.user_attrs["jobs"]]
        assert {run.seed for run in mine} == {1, 2}
        assert trial.value == statistics.mean(run.objective["value"] for run in mine)
        assert mine[0].config["optimizer"]["lr"] == pytest.approx(trial.params["optimizer.lr"], rel=1e-3)
    with (tmp_path / "sweep" / "leaderboard.csv").open() as stream:
        assert [row["n"] for row in csv.DictReader(stream)] == ["2", "2"]

    capsys.readouterr()
    assert search(*command, "hydra.sweeper.n_trials=3") == 0
    assert "2 of 3 trials are done already" in (said := capsys.readouterr().err)
    assert said.count("started") == 2
    (tmp_path / "sweep").rename(tmp_path / "moved")
    assert search(*command, "hydra.sweeper.n_trials=3", f"hydra.sweep.dir={tmp_path}/moved") == 0
    assert "3 of 3 trials are done already" in capsys.readouterr().err
    (tmp_path / "moved").rename(tmp_path / "sweep")
    assert [trial.params for trial in trials(tmp_path / "sweep")][:2] == [trial.params for trial in found]
    assert len(trials(tmp_path / "sweep")) == 3


def test_losing_trials_are_pruned_and_counted(search: Search, tmp_path: Path) -> None:
    command = [
        "optimizer.lr=1e-2,1e-9,2e-9,3e-9", "trainer.max_epochs=3", "seed=1,2", "hydra.sweeper.sampler=grid",
        "hydra.sweeper.pruner=asha", "objective={metric: loss, direction: minimize}",
    ]  # fmt: skip
    assert search(*command) == 0
    found = trials(tmp_path / "sweep")
    assert len(found) == 4
    pruned = [trial for trial in found if trial.state is TrialState.PRUNED]
    assert pruned
    assert all(float(trial.params["optimizer.lr"]) < 1e-3 for trial in pruned)
    runs = {run.folder.name: run for run in records_in(tmp_path / "sweep")}
    for trial in pruned:
        scout, other = trial.user_attrs["jobs"]
        assert runs[scout].status == "pruned"
        assert other not in runs
        assert len(trial.intermediate_values) < 3
    assert search(*command) == 0
    assert len(trials(tmp_path / "sweep")) == 4


@pytest.mark.slow
def test_a_trial_that_loses_a_race_is_spared_its_last_seeds(search: Search, tmp_path: Path) -> None:
    command = ["optimizer.lr=1e-2,3e-3,1e-9", "seed=1,2,3", "hydra.sweeper.sampler=grid", "trainer.max_epochs=1"]
    assert search(*command, "hydra.sweeper.racing=0.2", "objective={metric: loss, direction: minimize}") == 0
    found = {trial.params["optimizer.lr"]: trial for trial in trials(tmp_path / "sweep")}
    assert found["1e-09"].state is TrialState.PRUNED
    runs = {run.folder.name: run for run in records_in(tmp_path / "sweep")}
    spared = [run for run in runs.values() if run.status == "pruned"]
    assert spared
    assert all("racing: " in (run.error or "") for run in spared)
    with (tmp_path / "sweep" / "leaderboard.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["pruned"] == "0"
    assert sum(int(row["pruned"]) for row in rows) == len(spared)


def test_a_key_that_depends_on_another(search: Search, tmp_path: Path) -> None:
    space = ["finetune_strategy=full,lora", "extension_packages=[spaces]", "hydra.sweeper.space=spaces:by_strategy"]
    assert search(*space, "hydra.sweeper.sampler=grid", "hydra.sweeper.n_trials=5") == 0
    found = {trial.params["finetune_strategy"]: trial for trial in trials(tmp_path / "sweep")}
    assert found.keys() == {"full", "lora"}
    assert "r" not in found["full"].params
    runs = {run.config["finetune_strategy"]["name"]: run for run in records_in(tmp_path / "sweep")}
    assert runs["lora"].config["finetune_strategy"]["r"] == found["lora"].params["r"]


def test_a_failed_trial_has_another_chance(search: Search, tmp_path: Path) -> None:
    command = ["optimizer.lr=1e38,1e-3", "scheduler=constant", "data.batch_size=8", "hydra.sweeper.sampler=grid"]
    for count in (2, 3):
        assert search(*command) == 1
        states = sorted(trial.state.name for trial in trials(tmp_path / "sweep"))
        assert states == ["COMPLETE", *["FAIL"] * (count - 1)]
    assert {run.status for run in records_in(tmp_path / "sweep")} == {"ok", "failed"}


def test_a_trial_whose_score_is_no_number_is_done_once(
    search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["extension_packages=[spaces]", "task._target_=spaces.Unscored", "finetune_strategy=full,frozen"]
    for begun in (2, 0):
        assert search(*command, "hydra.sweeper.sampler=grid") == 0
        assert capsys.readouterr().err.count(" started") == begun
        assert [trial.state.name for trial in trials(tmp_path / "sweep")] == ["FAIL", "FAIL"]


def test_a_trial_that_cannot_be_composed_does_not_stop_the_others(
    search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = ["finetune_strategy=full,frozen", "extension_packages=[spaces]", "hydra.sweeper.space=spaces:half_wrong"]
    assert search(*space, "hydra.sweeper.sampler=grid") == 1
    states = {trial.params["finetune_strategy"]: trial.state for trial in trials(tmp_path / "sweep")}
    assert states == {"full": TrialState.COMPLETE, "frozen": TrialState.FAIL}
    assert "cannot be run: trainer.max_epochs: should be greater than or equal to 1" in capsys.readouterr().err


def test_several_objectives(search: Search, tmp_path: Path) -> None:
    objectives = "hydra.sweeper.objectives={f1: maximize, trainable_parameters: minimize}"
    assert search("finetune_strategy=full,frozen", objectives, "hydra.sweeper.sampler=grid") == 0
    found = {trial.params["finetune_strategy"]: trial.values for trial in trials(tmp_path / "sweep")}
    runs = {run.config["finetune_strategy"]["name"]: run for run in records_in(tmp_path / "sweep")}
    for name, (f1, parameters) in found.items():
        assert f1 == runs[name].metrics["validation"]["f1"]
        assert parameters == runs[name].parameters["trainable"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer.lr=1e-3"], "nothing is searched"),
        (["optimizer.lr=interval(1e-2,1e-3)"], "must start below its end"),
        (["optimizer.lr=tag(log,interval(0,1e-3))"], "must start above 0, for its logarithm"),
        (["optimizer.lr=tag(lag,interval(1e-4,1e-3))"], "the tag 'lag' means nothing here"),
        (["optimizer.rl=interval(1e-4,1e-3)"], "optimizer.rl: unknown key"),
        (["trainer.max_epochs=range(0,3)"], "trainer.max_epochs: should be greater than or equal to 1, not 0"),
        ([LR, "hydra.sweeper.sampler=grid"], "has no end of values: sampler=grid"),
        ([LR, "hydra.sweeper.n_trails=3"], "hydra.sweeper.n_trails: unknown key"),
        ([LR, "hydra.sweeper.objectives={f2: maximize}"], "there is no 'f2', only"),
        (
            [LR, "hydra.sweeper.objectives={f1: maximize, loss: minimize}", "hydra.sweeper.pruner=asha"],
            "hydra.sweeper.pruner: goes by the objective of the run alone",
        ),
        (
            [LR, "hydra.sweeper.objectives={loss: minimize}", "hydra.sweeper.racing=0.1"],
            "hydra.sweeper.racing: goes by the objective of the run alone",
        ),
        (["optimizer.lr=interval(1e-4,inf)"], "must have an end"),
        ([LR, "hydra.sweeper.n_trials=5,10"], "hydra.sweeper.n_trials: belongs to the sweep itself"),
        ([LR, "optimizer.lr=1e-3,1e-2"], "optimizer.lr: is given several values more than once"),
        ([LR, "hydra.sweeper.params=3"], "hydra.sweeper.params: should be keys with their values"),
        ([LR, "replicates=many"], "replicates: should be a valid integer"),
        ([LR, "hydra.sweeper.space=json:loads"], "'json' is not an allowed package"),
        ([LR, "extension_packages=[spaces]", "hydra.sweeper.space=spaces:by_strateg"], "Did you mean 'by_strategy'"),
        ([LR, "extension_packages=[spaces]", "hydra.sweeper.space=spaces:broken"], "spaces:broken raised KeyError"),
        ([LR, "hydra.sweeper.storage=postgresql://nobody:hidden@127.0.0.1:9/x"], "the study cannot be used"),
        ([LR, "hydra.sweeper.storage=nosql"], "the study cannot be used"),
    ],
)
def test_what_is_wrong_with_a_search_is_one_message(
    search: Search, tmp_path: Path, overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(*overrides) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "hidden" not in said
    assert "Traceback" not in said
    assert not records_in(tmp_path / "sweep")


def test_a_study_belongs_to_one_folder(search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storage = [f"hydra.sweeper.storage=sqlite:///{tmp_path}/studies.db", "hydra.sweeper.study_name=mine"]
    rates = ["optimizer.lr=1e-3,1e-2", "hydra.sweeper.n_trials=1", "hydra.sweeper.sampler=grid", *storage]
    assert search(*rates) == 0
    assert search(*rates) == 0
    assert search(*rates, f"hydra.sweep.dir={tmp_path}/another") == 2
    assert "the study 'mine' belongs to another search" in capsys.readouterr().err
