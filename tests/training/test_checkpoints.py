"""What a checkpoint is refused for, and what a damaged one costs."""

import json
import pickle
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from finesweep.config.errors import TrainingError
from finesweep.results.record import RunRecord
from finesweep.training.checkpoint import CheckpointError, read, write
from finesweep.training.optimizers import load_optimizer_state, optimizer_state
from tests.training.killing import SHORT, finish, kill_after_step, outcome, said, start


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


@pytest.mark.parametrize("how", ["cut short", pytest.param("pickle", marks=pytest.mark.slow)])
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


def test_of_two_best_weights_the_good_ones_are_used(stopped: Path) -> None:
    best = sorted((stopped / "checkpoints").glob("best-*"))[-1]
    best.write_bytes(best.read_bytes()[:1000])
    assert f"{best.name}, which belongs to it, is damaged" in finish("resume", str(stopped), status=1)


class Counting(torch.optim.SGD):
    """An optimizer with a state of its own, as extensions have them."""

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, lr=0.1, momentum=0.9)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        super().step(closure)
        for group in self.param_groups:
            group["warmth"] = group.get("warmth", 0.1) * 1.1
            for parameter in group["params"]:
                self.state[parameter]["count"] = self.state[parameter].get("count", 0) + 1


def stepped(steps: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    layer = torch.nn.Linear(2, 1)
    names = [name for name, _ in layer.named_parameters()]
    optimizer = Counting([{"params": list(layer.parameters()), "names": names}])
    for _ in range(steps):
        layer(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    return layer, optimizer


def test_optimizers_of_others_keep_what_they_know() -> None:
    _, then = stepped(3)
    tensors, values = optimizer_state(then)
    _, now = stepped(0)
    load_optimizer_state(now, tensors, json.loads(json.dumps(values)))
    assert now.state_dict()["param_groups"] == then.state_dict()["param_groups"]
    for a, b in zip(now.state.values(), then.state.values(), strict=True):
        assert a.keys() == b.keys()
        assert a["count"] == 3
        assert torch.equal(a["momentum_buffer"], b["momentum_buffer"])


def test_what_a_checkpoint_cannot_hold_is_named() -> None:
    _, optimizer = stepped(1)
    optimizer.param_groups[0]["history"] = {1, 2}
    with pytest.raises(TrainingError, match=r"cannot hold 'history' of Counting, which is a set"):
        optimizer_state(optimizer)
