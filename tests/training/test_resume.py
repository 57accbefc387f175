"""A run that is killed, wherever, and goes on ends as the run that nobody stopped: bit for bit."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from finesweep.config.paths import conf_dir
from finesweep.results.record import RunRecord
from finesweep.training.checkpoint import read
from tests.training.killing import (
    SHORT,
    finish,
    kill_after_step,
    kill_and_resume,
    kill_when,
    outcome,
    start,
    steps,
)

#: Where a run may be stopped: by strategy, in mid-accumulation, between an epoch's validations, before it stops early.
CASES = {
    "full": ["finetune_strategy=full", "trainer.val_check_interval=0.3"],
    "frozen": ["finetune_strategy=frozen", "optimizer=sgd"],
    "lora": ["finetune_strategy=lora", "trainer.accumulate_grad_batches=3"],
    "gradual_unfreeze": ["finetune_strategy=gradual_unfreeze", "trainer.accumulate_grad_batches=2"],
    "stopping_early": [
        "trainer.early_stopping.patience=2", "trainer.val_check_interval=0.25", "optimizer.lr=0.02",
        "scheduler=constant",
    ],
}  # fmt: skip
SLOW = ("frozen", "gradual_unfreeze", "lora")
STRATEGIES = sorted(path.stem for path in (conf_dir() / "finetune_strategy").glob("[!_]*.yaml"))
#: What else may have a state that a checkpoint could forget.
OTHERS = {
    "a mask drawn anew": ["data=demo_masked_text"],
    "beam search": ["data=demo_answers", "data.sentences={train: 96, validation: 8, test: 8}"],
    "a decoder": ["data=demo_dialogues", "data.max_length=128"],
    "bfloat16": ["trainer.precision=bf16-mixed"],
    "max_steps in mid-epoch": ["trainer.max_steps=19"],
    "a process that builds batches": ["data.num_workers=1"],
    "averaged weights": ["trainer.ema_decay=0.9", "trainer.val_check_interval=0.3"],
    "layers that run twice": ["trainer.gradient_checkpointing=true", "data.max_batch_tokens=200"],
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] if case in SLOW else []) for case in CASES]
)
def test_a_kill_changes_nothing(case: str, whole: Callable[..., Path], tmp_path: Path) -> None:
    reference = whole(*CASES[case])
    kill_and_resume([*SHORT, *CASES[case]], reference, tmp_path / "run", 1, random.Random(case))
    assert outcome(tmp_path / "run") == outcome(reference)


def test_all_strategies_are_killed() -> None:
    assert len(STRATEGIES) == 12


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "qlora"])
def test_two_kills_change_nothing(strategy: str, seed: int, whole: Callable[..., Path], tmp_path: Path) -> None:
    writer = ["model=tiny_causal", "data=demo_dialogues", "data.max_length=128"] if strategy == "prefix_tuning" else []
    overrides = [*writer, f"finetune_strategy={strategy}", "trainer.val_check_interval=0.3"]
    reference = whole(*overrides)
    kill_and_resume([*SHORT, *overrides], reference, tmp_path / "run", 2, random.Random(f"{strategy} {seed}"))
    assert outcome(tmp_path / "run") == outcome(reference)


@pytest.mark.slow
@pytest.mark.parametrize("case", OTHERS)
def test_kills_of_other_kinds_of_runs_change_nothing(case: str, whole: Callable[..., Path], tmp_path: Path) -> None:
    reference = whole(*OTHERS[case])
    kill_and_resume([*SHORT, *OTHERS[case]], reference, tmp_path / "run", 2, random.Random(case))
    assert outcome(tmp_path / "run") == outcome(reference)


@pytest.mark.parametrize("more", [[], pytest.param(["trainer.ema_decay=0.9"], marks=[pytest.mark.slow])])
def test_a_kill_in_validation_changes_nothing(more: list[str], whole: Callable[..., Path], tmp_path: Path) -> None:
    """SIGTERM in the last validation of an epoch, right after its last step: the validation is then still due, and of
    an average it is the weights that are trained on which the checkpoint must hold."""
    reference = whole(*more)
    folder = tmp_path / "run"
    overrides = ["train", *SHORT, *more, "trainer.checkpoint_minutes=null", f"hydra.run.dir={folder}"]
    process = start(*overrides)

    def validating() -> bool:  # the curve's last row before a validation is the loss of its epoch
        curve = folder / "metrics.csv"
        return curve.is_file() and "\n12," in curve.read_text()

    assert kill_when(validating, process, folder, signal.SIGTERM)
    assert process.exitcode == 143
    assert RunRecord.read(folder).status == "interrupted"
    assert list((folder / "checkpoints").glob("step-*"))
    finish(*overrides)
    assert outcome(folder) == outcome(reference)


def test_without_a_checkpoint_it_begins_again(whole: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start("train", *SHORT, f"hydra.run.dir={folder}")
    assert kill_when((folder / "record.json").is_file, process, folder, signal.SIGKILL)
    assert RunRecord.read(folder).status == "running"
    finish("resume", str(folder))
    assert outcome(folder) == outcome(whole())
    assert [each["step"] for each in RunRecord.read(folder).resumed] == [0]


def test_the_same_command_goes_on_with_the_newest_unfinished_run(tmp_path: Path) -> None:
    short = [*SHORT, "trainer.max_epochs=1"]
    process = start("train", *short, folder=tmp_path)
    runs = tmp_path / "outputs" / "demo-tiny"
    while not list(runs.glob("*/checkpoints/step-00000005*")):
        time.sleep(0.001)
    process.kill()
    process.join()
    finish("train", *short, "seed=2", folder=tmp_path)
    finish("train", *short, folder=tmp_path)
    assert sorted((record.seed, record.status) for record in map(RunRecord.read, runs.iterdir())) == [
        (1, "ok"), (2, "ok"),
    ]  # fmt: skip
    finish("train", *short, folder=tmp_path)
    assert len(list(runs.iterdir())) == 3


def test_the_same_command_on_other_data_begins_a_new_run(stopped: Path) -> None:
    """The folder is named by the user in that fixture; moved to where runs lie, it is found by its hash."""
    runs = stopped.parent / "outputs" / "files-tiny"
    runs.mkdir(parents=True)
    old = stopped.rename(runs / "old")
    (runs / "broken").mkdir()
    (runs / "broken" / "record.json").write_text("{")
    file = stopped.parent / "train.tsv"
    file.write_text(file.read_text().replace("good text 1\tpos", "good text 1\tneg"))
    command = [text for text in RunRecord.read(old).overrides if not text.startswith("hydra.run.dir=")]
    message = finish("train", *command, folder=stopped.parent)
    assert "a new run begins" in message
    assert "data.train.fingerprint" in message
    others = [folder for folder in runs.iterdir() if folder.name not in ("old", "broken")]
    assert [RunRecord.read(folder).status for folder in others] == ["ok"]
    assert RunRecord.read(old).status == "running"  # as the kill has left it


def test_a_live_run_is_refused_by_the_name_of_its_process(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start("train", *SHORT, f"hydra.run.dir={folder}")
    while not list(folder.glob("checkpoints/step-*")):
        time.sleep(0.001)
    os.kill(process.pid or 0, signal.SIGSTOP)
    assert f"process {process.pid} on " in finish("resume", str(folder), status=2)
    process.kill()
    process.join()


def test_a_finished_run_says_so(finished_run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished_run.rglob("*") if path.name != ".lock"}
    assert "has ended well already" in finish("resume", str(finished_run))
    assert before == {path: path.stat().st_mtime_ns for path in finished_run.rglob("*") if path.name != ".lock"}


@pytest.mark.slow
def test_a_stop_between_two_steps_keeps_the_gradients(whole: Callable[..., Path], tmp_path: Path) -> None:
    """Of the batches whose gradients are added up a part is done when the signal comes."""
    accumulating = [*SHORT, "trainer.accumulate_grad_batches=6", "trainer.checkpoint_minutes=null"]
    reference = whole("trainer.accumulate_grad_batches=6")
    stopped = []
    for moment in (0.0, 0.02, 0.05):
        folder = tmp_path / str(moment)
        process = start("train", *accumulating, f"hydra.run.dir={folder}")
        assert kill_when(curve_has(folder, 2), process, folder, signal.SIGTERM, moment)
        (path,) = (folder / "checkpoints").glob("step-*")
        tensors, state = read(path)
        stopped.append(state["whole_step"])
        assert any(name.startswith("gradient.") for name in tensors) == (not state["whole_step"])
        finish("resume", str(folder))
        assert outcome(folder) == outcome(reference)
    assert not all(stopped)


@pytest.mark.slow
def test_a_stop_in_the_validation_after_the_last_step(whole: Callable[..., Path], tmp_path: Path) -> None:
    """``max_steps`` ends an epoch early; its validation is begun by the run itself."""
    short = [*SHORT, "trainer.max_steps=19", "trainer.log_every_n_steps=1"]
    reference, folder = whole("trainer.max_steps=19", "trainer.log_every_n_steps=1"), tmp_path / "run"
    process = start("train", *short, "trainer.checkpoint_minutes=null", f"hydra.run.dir={folder}")
    assert kill_when(curve_has(folder, 19), process, folder, signal.SIGTERM)
    finish("resume", str(folder))
    assert outcome(folder) == outcome(reference)


def test_a_kill_after_the_training_costs_no_training(whole: Callable[..., Path], tmp_path: Path) -> None:
    reference, folder = whole(), tmp_path / "run"
    process = start("train", *SHORT, "trainer.checkpoint_minutes=null", f"hydra.run.dir={folder}")
    assert kill_after_step(process, folder, 36, signal.SIGKILL)
    (path,) = (folder / "checkpoints").glob("step-*")
    assert path.stat().st_size < 20_000  # the best weights lie in another file, and nothing else is of use
    assert "goes on after its last step" in finish("resume", str(folder))
    assert outcome(folder) == outcome(reference)


def curve_has(folder: Path, step: int) -> Callable[[], bool]:
    """Whether the curve has a row for a step."""
    curve = folder / "metrics.csv"
    return lambda: curve.is_file() and f"\n{step}," in curve.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGTERM to all", "SIGTERM while scoring"])
def test_a_run_on_two_devices_goes_on(how: str, whole: Callable[..., Path], tmp_path: Path) -> None:
    overrides = [*SHORT, "trainer.devices=2", "trainer.accelerator=cpu"]
    reference, folder = whole(*overrides[len(SHORT) :]), tmp_path / "run"
    process = start("train", *overrides, f"hydra.run.dir={folder}", alone="to all" in how)
    number = signal.SIGKILL if how == "SIGKILL" else signal.SIGTERM
    begun = time.monotonic()
    if how == "SIGTERM while scoring":
        assert kill_when((folder / "metrics.csv").is_file, process, folder, number)
    else:
        assert kill_after_step(process, folder, 8, number, everyone="to all" in how)
        assert how == "SIGKILL" or list((folder / "checkpoints").glob("step-*"))
    assert time.monotonic() - begun < 50
    time.sleep(1)  # orphans end themselves
    finish("train", *overrides, f"hydra.run.dir={folder}")
    assert outcome(folder) == outcome(reference)
    assert steps(folder) == 18
