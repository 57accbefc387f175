"""A run that is killed, wherever, and goes on ends as the run that nobody stopped: bit for bit."""

import json
import os
import pickle
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from finesweep.config.paths import conf_dir
from finesweep.results.record import RunRecord
from finesweep.training.checkpoint import CheckpointError, read, write
from tests.training.killing import (
    SHORT,
    finish,
    kill_after_step,
    kill_and_resume,
    kill_when,
    outcome,
    said,
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
STRATEGIES = sorted(path.stem for path in (conf_dir() / "finetune_strategy").glob("[!_]*.yaml"))
#: What else may have a state that a checkpoint could forget.
OTHERS = {
    "a mask drawn anew": ["data=demo_masked_text"],
    "beam search": ["data=demo_answers", "data.sentences={train: 96, validation: 8, test: 8}"],
    "a decoder": ["data=demo_dialogues", "data.max_length=128"],
    "bfloat16": ["trainer.precision=bf16-mixed"],
    "max_steps in mid-epoch": ["trainer.max_steps=19"],
    "a process that builds batches": ["data.num_workers=1"],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``whole("seed=2")``: the folder of a run that nobody stopped."""
    made: dict[tuple[str, ...], Path] = {}

    def run(*overrides: str) -> Path:
        if overrides not in made:
            made[overrides] = tmp_path_factory.mktemp("whole") / "run"
            finish("train", *SHORT, *overrides, f"hydra.run.dir={made[overrides]}")
        return made[overrides]

    return run


@pytest.mark.parametrize("case", CASES)
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


def test_a_kill_in_validation_changes_nothing(whole: Callable[..., Path], tmp_path: Path) -> None:
    """SIGTERM in the last validation of an epoch, right after its last step: the validation is then still due."""
    reference = whole()
    folder = tmp_path / "run"
    overrides = ["train", *SHORT, "trainer.checkpoint_minutes=null", f"hydra.run.dir={folder}"]
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
    process = start("train", *SHORT, folder=tmp_path)
    runs = tmp_path / "outputs" / "demo-tiny"
    while not list(runs.glob("*/checkpoints/step-00000005*")):
        time.sleep(0.001)
    process.kill()
    process.join()
    finish("train", *SHORT, "seed=2", folder=tmp_path)
    finish("train", *SHORT, folder=tmp_path)
    assert sorted((record.seed, record.status) for record in map(RunRecord.read, runs.iterdir())) == [
        (1, "ok"), (2, "ok"),
    ]  # fmt: skip
    finish("train", *SHORT, folder=tmp_path)
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


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """The folder of a run on files that was killed after step 14 of 36."""
    rows = "".join(f"{'good' if i % 2 else 'bad'} text {i}\t{'pos' if i % 2 else 'neg'}\n" for i in range(96))
    for split in ("train", "validation"):
        (tmp_path / f"{split}.tsv").write_text("text\tlabel\n" + rows)
    files = [f"data.{split}={split}.tsv" for split in ("train", "validation")]
    short = [text for text in SHORT if "sentences" not in text]
    overrides = ["data=files", "task=text_classification", *files, *short, "hydra.run.dir=run"]
    process = start("train", *overrides, folder=tmp_path)
    assert kill_after_step(process, tmp_path / "run", 14, signal.SIGKILL)
    return tmp_path / "run"


def test_it_goes_on_from_anywhere(stopped: Path) -> None:
    finish("resume", str(stopped), folder=Path("/"))
    assert RunRecord.read(stopped).status == "ok"


def test_other_data_is_refused_by_name(stopped: Path) -> None:
    file = stopped.parent / "train.tsv"
    text = file.read_text()
    file.write_text(text.replace("good text 1\tpos", "good text 1\tneg"))
    message = finish("resume", str(stopped), status=2)
    assert "data.train.fingerprint" in message
    assert "validation" not in message
    file.write_text(text)
    finish("resume", str(stopped))


def test_another_base_model_is_refused(encoder_folder: Callable[[str], Path], tmp_path: Path) -> None:
    import shutil

    import torch
    from transformers import AutoModel

    base = shutil.copytree(encoder_folder("bert"), tmp_path / "base")
    process = start("train", *SHORT, "model=hf", f"model.name_or_path={base}", f"hydra.run.dir={tmp_path / 'run'}")
    assert kill_after_step(process, tmp_path / "run", 3, signal.SIGKILL)
    torch.manual_seed(1)
    model = AutoModel.from_pretrained(base)
    torch.nn.init.normal_(model.embeddings.word_embeddings.weight)
    model.save_pretrained(base)
    assert "model:" in finish("resume", str(tmp_path / "run"), status=2)


def test_another_configuration_is_refused_by_name(stopped: Path) -> None:
    record = json.loads((stopped / "record.json").read_text())
    record["config"]["optimizer"]["lr"] = 0.5
    (stopped / "record.json").write_text(json.dumps(record))
    assert "not the configuration of the run" in finish("resume", str(stopped), status=2)


def test_a_folder_of_another_configuration_is_refused_by_name(finished_run: Path, quick: list[str]) -> None:
    message = finish("train", *quick, "optimizer.weight_decay=0.5", f"hydra.run.dir={finished_run}", status=2)
    assert "optimizer.weight_decay: 0.01, now 0.5" in message


class Bomb:
    """What a pickle may do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def damaged(content: bytes, how: str, path: Path) -> bytes:
    if how == "pickle":
        return pickle.dumps(Bomb(path))
    if how == "a changed byte":
        return content[:-1] + bytes([content[-1] ^ 1])
    return {"cut short": content[: len(content) // 2], "empty": b"", "text": b"{}"}[how]


@pytest.mark.parametrize("how", ["empty", "text", "a changed byte"])
def test_a_damaged_checkpoint_is_no_checkpoint(how: str, tmp_path: Path) -> None:
    import torch

    path = tmp_path / "one.safetensors"
    write(path, {"weight": torch.arange(4.0)}, {"step": 1})
    assert read(path)[1] == {"step": 1}
    path.write_bytes(damaged(path.read_bytes(), how, tmp_path))
    with pytest.raises(CheckpointError, match=r"one\.safetensors"):
        read(path)


@pytest.mark.parametrize("how", ["cut short", "pickle"])
def test_of_two_checkpoints_the_good_one_is_used(how: str, whole: Callable[..., Path], tmp_path: Path) -> None:
    folder, bomb = tmp_path / "run", tmp_path / "bomb"
    process = start("train", *SHORT, f"hydra.run.dir={folder}")
    assert kill_after_step(process, folder, 14, signal.SIGTERM)
    older, newer = sorted(folder.glob("checkpoints/step-*"))
    newer.write_bytes(damaged(newer.read_bytes(), how, bomb))
    assert newer.name in finish("resume", str(folder))
    assert outcome(folder) == outcome(whole())
    assert not bomb.exists()
    assert RunRecord.read(folder).resumed[0]["step"] == int(older.stem.split("-")[1])


def test_without_a_good_checkpoint_it_says_so(stopped: Path) -> None:
    for path in stopped.glob("checkpoints/step-*"):
        path.write_bytes(b"")
    message = finish("resume", str(stopped), status=1)
    assert "no checkpoint of this run can be used" in message
    assert "remove this folder" in message


def test_best_weights_that_are_missing_make_a_checkpoint_useless(stopped: Path) -> None:
    for path in stopped.glob("checkpoints/best-*"):
        path.unlink()
    message = finish("resume", str(stopped), status=1)
    assert "best-00000012.safetensors, which belongs to it, is missing" in message


def test_a_full_disk_costs_nothing(whole: Callable[..., Path], tmp_path: Path) -> None:
    """The files of a first stop are written; then there is no room for any more of their size."""
    folder = tmp_path / "run"
    arguments = ("train", *SHORT, f"hydra.run.dir={folder}")
    assert kill_after_step(start(*arguments), folder, 7, signal.SIGTERM)
    kept = {path: path.read_bytes() for path in folder.glob("checkpoints/step-*")}
    process = start(*arguments, largest_file=1_000_000)
    message = said(process)
    assert process.exitcode == 1
    assert "cannot be written" in message
    assert "make room on the disk" in message
    assert "Traceback" not in message
    assert kept == {path: path.read_bytes() for path in folder.glob("checkpoints/*")}
    assert RunRecord.read(folder).status == "failed"
    finish(*arguments)
    assert outcome(folder) == outcome(whole())


def test_a_disk_too_full_for_a_record_is_one_message(tmp_path: Path) -> None:
    process = start("train", *SHORT, f"hydra.run.dir={tmp_path / 'run'}", largest_file=1000)
    message = said(process)
    assert process.exitcode == 1
    assert "the disk is full" in message
    assert "Traceback" not in message
    assert not list((tmp_path / "run").glob(".*.tmp"))


def test_a_checkpoint_holds_what_trains(tmp_path: Path) -> None:
    sizes = {}
    for strategy in ("full", "lora", "frozen"):
        folder = tmp_path / strategy
        process = start("train", *SHORT, f"finetune_strategy={strategy}", f"hydra.run.dir={folder}")
        assert kill_after_step(process, folder, 3, signal.SIGKILL)
        sizes[strategy] = max(path.stat().st_size for path in folder.glob("checkpoints/step-*"))
        trainable = RunRecord.read(folder).parameters["trainable"]
        assert sizes[strategy] < 3 * 4 * trainable + 60_000  # weights and two moments in float32, and the names
    assert sizes["frozen"] < sizes["lora"] < sizes["full"] / 5


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_on_two_devices_goes_on(number: int, whole: Callable[..., Path], tmp_path: Path) -> None:
    overrides = ["trainer.devices=2", "trainer.accelerator=cpu"]
    reference, folder = whole(*overrides), tmp_path / "run"
    process = start("train", *SHORT, *overrides, f"hydra.run.dir={folder}")
    assert kill_after_step(process, folder, 8, number)
    time.sleep(1)  # orphans end themselves
    finish("train", *SHORT, *overrides, f"hydra.run.dir={folder}")
    assert outcome(folder) == outcome(reference)
    assert steps(folder) == 18
