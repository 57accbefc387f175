"""Which jobs ``hydra/launcher=fused`` trains as one, and what it does where they cannot."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finesweep.cli import main
from finesweep.config.interrupt import Interrupted
from finesweep.results.record import RunRecord
from finesweep.sweeps.fused.together import Together
from finesweep.training import runner
from finesweep.training.assemble import prepare
from finesweep.training.components import Components
from tests.sweeps.fused.conftest import EXACT, SHORT, Stopping, assert_alike, records
from tests.training import killing

Sweep = Callable[..., dict[str, RunRecord]]


def finished(folder: Path) -> dict[str, RunRecord]:
    found = records(folder)
    assert all(record.status == "ok" for record in found.values())
    return found


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    def start(*overrides: str) -> dict[str, RunRecord]:
        command = ["train", "-m", f"hydra.sweep.dir={tmp_path}/sweep", "trainer.threads=1", "hydra/launcher=fused"]
        assert main([*command, *overrides]) == 0
        return finished(tmp_path / "sweep")

    return start


def test_each_says_what_it_has_to_say_in_its_own_folder(sweep: Sweep, tmp_path: Path) -> None:
    found = sweep(*SHORT, "finetune_strategy=frozen", "cache_gb=1e-9", "seed=1,2,3")  # which is too little for states
    said = {name: (tmp_path / "sweep" / name / "log.txt").read_text() for name in found}
    assert all(record.fused == 3 for record in found.values())
    assert all(text.count("note:") == len(found[name].notes) > 0 for name, text in said.items())


def test_a_single_job_is_a_run_alone(sweep: Sweep) -> None:
    (record,) = sweep(*SHORT, "seed=1").values()
    assert record.fused == 0


def test_several_slots_share(sweep: Sweep) -> None:
    found = sweep(*SHORT, "hydra.launcher.slots=2", "seed=1,2,3,4")
    assert [record.fused for record in found.values()] == [2] * 4


def test_only_the_same_dropout_goes_together_where_attention_has_one(sweep: Sweep) -> None:
    found = sweep(*SHORT, "data=demo_causal_text", "model.dropout=0,0.1", "seed=1,2")
    assert [record.fused for record in found.values()] == [2] * 4


def test_where_attention_is_frozen_any_dropouts_go_together(sweep: Sweep) -> None:
    found = sweep(*SHORT, "finetune_strategy=frozen", "model.dropout=0,0.1", "seed=1,2")
    assert [record.fused for record in found.values()] == [4] * 4


def test_one_that_began_with_other_batches_goes_on_alone(
    sweep: Sweep, tmp_path: Path, composed: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not given to its group again and again, nor does the group wait for it."""
    longer = [*EXACT, "trainer.threads=1", "trainer.checkpoint_minutes=0"]
    with pytest.raises(Interrupted):
        runner.run(composed(*longer, "seed=1"), tmp_path / "sweep" / "seed=1", supervisor=Stopping())
    file = tmp_path / "sweep" / "seed=1" / "record.json"
    record = json.loads(file.read_text())
    record["batch"]["mix"] *= 2
    file.write_text(json.dumps(record))
    found = sweep(*longer, "seed=1,2,3")
    assert {record.seed: record.fused for record in found.values()} == {1: 0, 2: 2, 3: 2}
    assert found["seed=1"].resumed[0]["step"] > 0
    assert capsys.readouterr().err.count("trains alone: it began with other batches") == 1


def test_who_takes_the_place_of_another_ends_as_alone(sweep: Sweep, tmp_path: Path) -> None:
    """Whenever it comes: here between two epochs of those that are at work."""
    jobs = [*EXACT, "trainer.val_check_interval=0.5", "trainer.max_epochs=1,4,2,3"]
    fused = sweep(*jobs, "hydra.launcher.most=2")
    assert [record.fused for record in fused.values()] == [2] * 4
    assert main(["train", "-m", f"hydra.sweep.dir={tmp_path}/local", "trainer.threads=1", *jobs]) == 0
    alone = finished(tmp_path / "local")
    assert fused.keys() == alone.keys()
    for name, record in fused.items():
        assert_alike(alone[name], record)


def test_memory_bounds_how_many_train_as_one(
    composed: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Components.of(composed(*SHORT))
    group = Together(parts)

    def room(free: int, sharing: int = 1) -> int:
        monkeypatch.setattr("finesweep.sweeps.fused.memory.free_memory", lambda *_: free)
        return group.room(sharing)

    one = 2**30 / room(2**30)
    assert room(0) == 1
    assert room(2**32) == pytest.approx(2**32 / one, rel=0.05)
    assert room(2**32, sharing=2) == pytest.approx(room(2**31), abs=1)
    weights = sum(each.numel() * each.element_size() for each in prepare(parts).model.parameters())
    assert 4 * weights < one < 40 * weights  # with a gradient, two moments, and a batch of short sentences


def test_layers_that_run_take_memory_though_they_keep_nothing(
    composed: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finesweep.sweeps.fused.memory.free_memory", lambda *_: 2**32)
    frozen = [*SHORT, "finetune_strategy=frozen", "trainer.precision=32-true"]
    known, running = (
        Together(Components.of(composed(*frozen, *own))).room(1) for own in (["cache_gb=1"], ["cache_gb=0"])
    )
    assert 1.2 * running < known


@pytest.mark.parametrize(("sampler", "most"), [("tpe", 2), ("random", 6)])
def test_a_sampler_that_learns_is_not_asked_for_all_at_once(sweep: Sweep, sampler: str, most: int) -> None:
    search = [
        "hydra/sweeper=optuna", f"hydra.sweeper.sampler={sampler}", "hydra.sweeper.n_trials=6",
        "hydra.sweeper.pruner=null", "hydra.sweeper.startup_trials=2", "optimizer.lr=tag(log,interval(1e-5,1e-1))",
    ]  # fmt: skip
    found = sweep(*SHORT, *search)
    assert len(found) == 6
    assert max(record.fused for record in found.values()) == most


@pytest.mark.slow
def test_one_whose_time_is_up_takes_no_other_with_it(tmp_path: Path) -> None:
    """Of two at a time the first never ends, the second soon does, and the third is at work with the first when that
    is stopped: it goes on alone, until its own time is up."""
    folder = tmp_path / "sweep"
    told = killing.finish(
        "train", "-m", *SHORT, "hydra/launcher=fused", "hydra.launcher.most=2", "hydra.launcher.timeout_minutes=0.2",
        "trainer.threads=1", "trainer.max_epochs=90000,1,80000", f"hydra.sweep.dir={folder}", status=1,
    )  # fmt: skip
    found = {record.config["trainer"]["max_epochs"]: record for record in records(folder).values()}
    first, second, third = (found[epochs] for epochs in (90000, 1, 80000))
    assert (first.status, second.status, third.status) == ("failed", "ok", "failed")
    assert told.count("took longer than hydra.launcher.timeout_minutes=0.2") == 2
    assert not first.resumed
    assert third.resumed[0]["step"] > 0
    assert first.fused == third.fused == 2


def test_a_group_that_is_killed_goes_on_as_two(tmp_path: Path) -> None:
    """Whatever it was, it is no fault of all of them; and no job has failed for it."""
    folder = tmp_path / "sweep"
    process = killing.start(
        "train", "-m", *EXACT, "trainer.max_epochs=6", "trainer.checkpoint_minutes=0", "trainer.threads=1",
        "hydra/launcher=fused", "seed=1,2,3,4", f"hydra.sweep.dir={folder}", alone=True,
    )  # fmt: skip
    while not any(path.name >= "step-00000007" for path in folder.glob("seed=4/checkpoints/step-*")):
        assert process.is_alive(), killing.said(process)
        time.sleep(0.02)
    os.kill(RunRecord.read(folder / "seed=1").process["pid"], signal.SIGKILL)
    told = killing.said(process)
    assert process.exitcode == 0, told
    assert told.count("go on, 2 as one: killed by SIGKILL") == 1
    found = finished(folder)
    assert len(found) == 4
    assert all(record.fused == 4 and record.resumed[-1]["step"] > 0 for record in found.values())
