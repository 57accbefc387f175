"""Whole runs through the Python door: what they learn, what they leave behind, and how they end."""

import csv
import json
import math
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import finesweep
from finesweep.config.errors import TrainingError, UserError
from finesweep.results.record import RunRecord
from tests.conftest import curve

Run = Callable[..., RunRecord]


@pytest.fixture
def run(tmp_path: Path, quick: list[str]) -> Run:
    """``run("seed=2")``: a quick run in a folder of its own."""
    count = 0

    def start(*overrides: str, folder: Path | None = None) -> RunRecord:
        nonlocal count
        count += 1
        where = folder or tmp_path / f"run{count}"
        return finesweep.run([*quick, *overrides, f"hydra.run.dir={where}"])

    return start


def test_the_folder_holds_what_the_design_says(finished_run: Path) -> None:
    record = json.loads((finished_run / "record.json").read_text())
    assert record["status"] == "ok"
    assert record["metrics"].keys() == {"before", "validation", "test"}
    names = {"loss", "f1", "precision", "recall", "token_accuracy", "token_macro_f1"}
    assert all(set(scores) == names for scores in record["metrics"].values())
    assert record["parameters"]["total"] == record["parameters"]["trainable"] > 0
    assert record["timing"].keys() == {
        "train_seconds", "samples_per_second", "tokens_per_second", "tokens_seen", "padding_fraction",
        "encode_seconds",
    }  # fmt: skip
    assert record["peak_memory_bytes"] > 0
    assert {"train", "validation", "test"} == record["data"].keys()
    assert record["environment"]["packages"]["torch"]
    assert record["labels"][0] == "O"
    for name in ("config.yaml", "metrics.csv", "report.md", "model/config.json", "model/README.md"):
        assert (finished_run / name).is_file(), name
    for name in ("learning_curve", "confusion_validation", "confusion_test"):
        assert (finished_run / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert not (finished_run / "checkpoints").exists()


def test_a_token_budget_takes_the_place_of_the_batch_size(run: Run) -> None:
    """Its steps are those of the schedule, whose rate ends at 0, and its batches hold little padding."""
    record = run("data.max_batch_tokens=300", "trainer.log_every_n_steps=1")
    assert curve(record, "lr")[-1] < min(curve(record, "lr")[1:-1])
    assert record.timing["padding_fraction"] < 0.05
    assert len(curve(record, "train/loss")) > len(curve(run("trainer.log_every_n_steps=1"), "train/loss"))


def test_predictions_are_aligned_with_the_source(finished_run: Path) -> None:
    from finesweep.data.demo import demo_splits

    source = demo_splits("entities.sentences", 0, {"train": 64, "validation": 24, "test": 24}, 0.8)
    for split in ("validation", "test"):
        lines = (finished_run / "predictions" / f"{split}.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        assert [row["tokens"] for row in rows] == [row["tokens"] for row in source[split]]
        assert [row["tags"] for row in rows] == [row["tags"] for row in source[split]]
        assert all(len(row["predicted_tags"]) == len(row["tokens"]) == len(row["scores"]) for row in rows)


def test_the_saved_metrics_are_those_of_the_saved_predictions(finished_run: Path) -> None:
    from seqeval.metrics import f1_score

    rows = [json.loads(line) for line in (finished_run / "predictions" / "test.jsonl").read_text().splitlines()]
    f1 = f1_score([row["tags"] for row in rows], [row["predicted_tags"] for row in rows])
    assert RunRecord.read(finished_run).metrics["test"]["f1"] == pytest.approx(f1)


def test_the_model_loads_in_plain_transformers(finished_run: Path) -> None:
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

    model = AutoModelForTokenClassification.from_pretrained(finished_run / "model")
    assert list(model.config.id2label.values()) == RunRecord.read(finished_run).labels
    tagger = pipeline("token-classification", model=str(finished_run / "model"), aggregation_strategy="first")
    assert {entity["entity_group"] for entity in tagger("Klosen of Brunburg Bank resigned .")} <= {
        "LOC", "MISC", "ORG", "PER",
    }  # fmt: skip
    assert AutoTokenizer.from_pretrained(finished_run / "model").model_max_length == 512


@pytest.mark.parametrize("strategy", ["full", "lora"])
def test_the_same_seed_gives_the_same_run_to_the_last_digit(run: Run, strategy: str) -> None:
    first, second = (run(f"finetune_strategy={strategy}", "trainer.precision=auto") for _ in range(2))
    assert first.metrics == second.metrics
    assert curve(first, "train/loss") == curve(second, "train/loss")
    assert first.config_hash == second.config_hash


def test_another_seed_is_another_run_on_the_same_data(run: Run) -> None:
    first, second = (run(f"seed={seed}") for seed in (1, 2))
    assert first.metrics != second.metrics
    assert first.data == second.data


def test_training_learns(run: Run) -> None:
    record = run("data.sentences.train=256", "trainer.max_epochs=4")
    assert record.metrics["validation"]["loss"] < 0.5 * record.metrics["before"]["loss"]
    assert record.metrics["validation"]["token_accuracy"] > 0.7 > record.metrics["before"]["token_accuracy"]


def test_the_best_weights_are_kept_and_scored(run: Run) -> None:
    record = run("trainer.max_epochs=3", "objective.metric=loss", "objective.direction=minimize")
    losses = curve(record, "val/loss")[1:]
    assert record.objective["value"] == min(losses) == record.metrics["validation"]["loss"]
    assert record.objective["epoch"] == losses.index(min(losses)) + 1


def test_a_worse_last_epoch_is_not_kept(run: Run) -> None:
    record = run("trainer.max_epochs=3", "objective.metric=loss", "objective.direction=maximize")
    losses = curve(record, "val/loss")[1:]
    assert losses[0] > losses[-1]
    assert record.objective["epoch"] == 1
    assert record.metrics["validation"]["loss"] == losses[0]


def test_early_stopping_stops(run: Run) -> None:
    record = run(
        "trainer.max_epochs=6", "trainer.early_stopping.patience=2", "objective.metric=loss",
        "objective.direction=maximize",
    )  # fmt: skip
    assert len(curve(record, "val/loss")) == 1 + 3


def test_small_gains_add_up_before_patience_ends(run: Run) -> None:
    shared = ["optimizer=sgd", "optimizer.lr=1e-3", "scheduler=constant", "trainer.max_epochs=5", "model.dropout=0"]
    shared += ["objective.metric=loss", "objective.direction=minimize", "model.pretrained=false"]
    losses = curve(run(*shared), "val/loss")[1:]
    gains = [before - after for before, after in pairwise(losses)]
    assert 0 < max(gains) < 1.3 * min(gains)
    stopping = ["trainer.early_stopping.patience=2", f"trainer.early_stopping.min_delta={1.4 * max(gains)}"]
    assert curve(run(*shared, *stopping), "val/loss")[1:] == losses


def test_the_curve_has_a_row_for_each_optimizer_step_of_many_batches(run: Run) -> None:
    record = run("data.batch_size=4", "trainer.accumulate_grad_batches=3", "trainer.log_every_n_steps=1")
    steps = math.ceil(record.data["train"]["rows"] / 12)
    assert len(curve(record, "train/loss")) == steps
    with (record.folder / "metrics.csv").open() as stream:
        assert [int(row["step"]) for row in csv.DictReader(stream) if row["train/loss"]] == list(range(1, steps + 1))


def test_max_steps_in_mid_epoch_still_validates(run: Run) -> None:
    record = run("data.batch_size=8", "trainer.max_epochs=5", "trainer.max_steps=3")
    assert record.objective["step"] == 3
    assert len(curve(record, "val/f1")) == 2


def test_accumulating_equals_the_large_batch(run: Run) -> None:
    shared = ["model.dropout=0", "trainer.precision=64-true", "model.dtype=float64", "trainer.max_epochs=2"]
    large = run(*shared, "data.batch_size=32")
    small = run(*shared, "data.batch_size=8", "trainer.accumulate_grad_batches=4")
    assert small.metrics["validation"]["loss"] == pytest.approx(large.metrics["validation"]["loss"], rel=1e-9)


@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer=sgd"],
        ["scheduler=cosine"],
        ["scheduler=constant"],
        ["task.label_smoothing=0.1"],
        ["trainer.gradient_clip_val=null"],
        ["trainer.precision=bf16-mixed"],
        ["data.max_length=12", "task.window_overlap=4"],
        ["data.num_workers=1"],
    ],
    ids=lambda overrides: overrides[0],
)
def test_other_choices_change_the_result_and_end_well(run: Run, finished_run: Path, overrides: list[str]) -> None:
    record = run(*overrides)
    assert record.status == "ok"
    different = record.metrics["validation"] != RunRecord.read(finished_run).metrics["validation"]
    assert different is (overrides != ["data.num_workers=1"])


def test_a_nan_loss_stops_the_run_and_is_recorded(run: Run, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"not a number at step \d+ .*last learning rate was 1e\+38"):
        run("optimizer.lr=1e38", "scheduler=constant", "scheduler.warmup_fraction=0", "data.batch_size=8")
    record = RunRecord.read(tmp_path / "run1")
    assert record.status == "failed"
    assert record.error is not None
    assert "TrainingError" in record.error


def test_a_malformed_file_fails_the_run_with_file_and_line(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "train.txt"
    file.write_text("EU B-ORG\nrejects O\n\nGerman\ncall O\n")
    with pytest.raises(UserError, match=r"train\.txt:4"):
        run("data=files", f"data.train={file}", "~data.sentences")
    assert RunRecord.read(tmp_path / "run1").status == "failed"


def test_own_files_without_validation_and_test(run: Run, tmp_path: Path) -> None:
    from finesweep.data.demo import demo_splits

    file = tmp_path / "train.txt"
    rows = demo_splits("entities.sentences", 0, {"train": 60}, 0.0)["train"]
    text = "\n\n".join("\n".join(f"{t} {g}" for t, g in zip(r["tokens"], r["tags"], strict=True)) for r in rows)
    file.write_text(text)
    record = run("data=files", f"data.train={file}", "~data.sentences")
    assert {split: data["rows"] for split, data in record.data.items()} == {"train": 54, "validation": 6}
    assert record.metrics.keys() == {"before", "validation"}
    assert any("held out" in note for note in record.notes)


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    first = run(folder=folder)
    with pytest.raises(UserError, match="holds this run already"):
        run(folder=folder)
    with pytest.raises(UserError, match="another configuration"):
        run("seed=2", folder=folder)
    assert RunRecord.read(folder).started == first.started


def test_no_model_is_written_if_not_wanted(run: Run) -> None:
    record = run("trainer.save_model=false")
    assert not (record.folder / "model").exists()
    assert record.status == "ok"


def test_dropout_is_active_in_training(run: Run) -> None:
    with_dropout, without = run("model.dropout=0.5"), run("model.dropout=0")
    assert with_dropout.metrics["before"] == without.metrics["before"]
    assert curve(with_dropout, "train/loss") != curve(without, "train/loss")


def test_tensorboard_gets_the_curves(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record = run("logger=tensorboard")
    events = EventAccumulator(str(record.folder / "tensorboard"))
    events.Reload()
    assert [event.value for event in events.Scalars("val/f1")] == pytest.approx(curve(record, "val/f1"))


def test_wandb_runs_offline_and_ends_with_the_right_status(run: Run, tmp_path: Path) -> None:
    record = run("logger=wandb")
    folders = list((record.folder / "wandb").glob("offline-run-*"))
    assert len(folders) == 1
    assert _wandb_exit_code(folders[0]) == 0
    with pytest.raises(TrainingError):
        run("logger=wandb", "optimizer.lr=1e38", "scheduler=constant", "data.batch_size=8")
    failed = list((tmp_path / "run2" / "wandb").glob("offline-run-*"))
    assert _wandb_exit_code(failed[0]) == 1


def _wandb_exit_code(folder: Path) -> int:
    """The exit code in an offline run's transaction log; wandb's own process may still be writing its end."""
    until = time.monotonic() + 30
    while not (codes := _exit_codes(next(folder.glob("*.wandb")).read_bytes())):
        assert time.monotonic() < until, f"no exit code in {folder} after 30 s"
        time.sleep(0.1)
    return codes[0]


def _exit_codes(raw: bytes) -> list[int]:
    """Of a LevelDB log (blocks of 32 KiB) of protobuf records, as far as it is written."""
    from wandb.proto import wandb_internal_pb2

    at, whole, codes = 7, b"", []
    while at + 7 <= len(raw):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = int.from_bytes(raw[at + 4 : at + 6], "little"), raw[at + 6]
        if at + 7 + length > len(raw):
            break
        whole += raw[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record: Any = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            codes += [record.exit.exit_code] if record.WhichOneof("record_type") == "exit" else []
            whole = b""
    return codes


@pytest.mark.slow
def test_two_devices_equal_the_large_batch(run: Run) -> None:
    shared = ["model.dropout=0", "trainer.precision=64-true", "model.dtype=float64", "trainer.accelerator=cpu"]
    one = run(*shared, "data.batch_size=16")
    two = run(*shared, "data.batch_size=8", "trainer.devices=2")
    assert two.status == "ok"
    assert two.metrics["validation"]["loss"] == pytest.approx(one.metrics["validation"]["loss"], rel=1e-9)
    assert two.metrics["test"]["f1"] == one.metrics["test"]["f1"]


@pytest.mark.slow
def test_an_error_on_several_devices_is_still_one_message(run: Run, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not a number"):
        run("trainer.devices=2", "optimizer.lr=1e38", "scheduler=constant", "trainer.accelerator=cpu")
    assert RunRecord.read(tmp_path / "run1").status == "failed"


def test_the_epoch_is_right_where_max_steps_end_the_training(run: Run) -> None:
    record = run("trainer.max_epochs=3", "trainer.max_steps=2")
    assert (record.objective["epoch"], record.objective["step"]) == (1, 2)
