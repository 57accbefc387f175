"""Runs that train as one end as each of them ends alone: metrics, curves, weights, best epochs, and what goes wrong."""

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from finesweep.config.errors import CrowdedError, PrunedError, TrainingError
from finesweep.config.interrupt import Interrupted
from finesweep.results.record import RunRecord
from finesweep.sweeps.fused.joint import Joint
from finesweep.sweeps.fused.run import Run
from finesweep.training.module import FineTuner
from finesweep.training.supervision import Unsupervised
from tests.conftest import ENCODERS
from tests.sweeps.fused.conftest import EXACT, SHORT, Configured, Stopping, Trained, assert_same

Together = Callable[..., list[Run]]
#: Of each strategy what three runs have each of its own.
OWN: dict[str, list[list[str]]] = {
    name: [["seed=1", "optimizer.lr=1e-3"], ["seed=2", "optimizer.lr=5e-4"], ["seed=3", "optimizer.weight_decay=0.1"]]
    for name in ("full", "frozen", "top_layers", "bitfit", "llrd")
}
OWN["lora"] = [
    ["seed=1", "finetune_strategy.r=2", "finetune_strategy.alpha=4"],
    ["seed=2", "finetune_strategy.r=4", "finetune_strategy.alpha=16", "optimizer.lr=5e-3"],
    ["seed=3", "finetune_strategy.r=3", "finetune_strategy.alpha=5"],
]


def agree(
    configured: Configured, alone: Trained, together: Together, common: Sequence[str], own: Sequence[Sequence[str]]
) -> None:
    values = configured(common, *own)
    for record, run in zip(alone(values), together(values), strict=True):
        assert_same(record, run)


#: Every family in full, every strategy on BERT; all else takes minutes.
QUICK = {*((shape, "full") for shape in ENCODERS), *(("bert", name) for name in OWN), ("deberta-v2", "lora")}
PAIRS = [
    pytest.param(shape, name, marks=[] if (shape, name) in QUICK else pytest.mark.slow)
    for shape in ENCODERS
    for name in OWN
    if (shape, name) != ("modernbert", "bitfit")
]


@pytest.mark.parametrize(("shape", "strategy"), PAIRS)
def test_every_family_and_strategy(
    shape: str,
    strategy: str,
    encoder_folder: Callable[[str], Path],
    configured: Configured,
    alone: Trained,
    together: Together,
) -> None:
    model = ["model=hf", f"model.name_or_path={encoder_folder(shape)}", f"finetune_strategy={strategy}"]
    agree(configured, alone, together, [*EXACT, *model], OWN[strategy])


@pytest.mark.parametrize(
    ("common", "own"),
    [
        (["optimizer=sgd"], [["optimizer.momentum=0"], ["optimizer.nesterov=false"], ["optimizer.weight_decay=0.1"]]),
        ([], [["optimizer.betas=[0.5,0.9]"], ["optimizer.eps=1e-3"], ["trainer.gradient_clip_val=null"]]),
        ([], [["scheduler=constant"], ["scheduler=cosine"], ["scheduler.warmup_fraction=0.5"]]),
        ([], [["task.label_smoothing=0.2"], ["task.label_smoothing=0"], ["trainer.ema_decay=0.5"]]),
        ([], [["trainer.max_epochs=1"], ["trainer.max_epochs=3"], ["trainer.max_steps=4"]]),
        (["trainer.accumulate_grad_batches=2"], [["seed=1"], ["seed=2"], ["seed=3"]]),
        (["trainer.val_check_interval=0.5"], [["seed=1"], ["trainer.max_steps=2"], ["optimizer.lr=0"]]),
        (["data.max_batch_tokens=128"], [["seed=1"], ["seed=2"], ["seed=3"]]),
        (["data.mix_lengths=1"], [["seed=1"], ["seed=2"], ["seed=3"]]),
        (["cache_gb=0", "finetune_strategy=top_layers", "finetune_strategy.layers=1"], [["seed=1"], ["seed=2"]]),
        (["model.pretrained=false"], [["seed=1"], ["seed=2"], ["seed=3"]]),
        (["data=demo_topics"], [["seed=1"], ["seed=2"], ["seed=3"]]),
        (["data=demo_questions"], [["seed=1"], ["seed=2"], ["seed=3"]]),
        pytest.param(["data=demo_choices"], [["seed=1"], ["seed=2"], ["seed=3"]], marks=pytest.mark.slow),
        (["data=demo_similarity"], [["seed=1"], ["seed=2"], ["seed=3"]]),
        (["data=demo_causal_text"], [["seed=1"], ["seed=2"], ["seed=3"]]),
        pytest.param(["data=demo_dialogues"], [["seed=1"], ["seed=2"], ["seed=3"]], marks=pytest.mark.slow),
    ],
    ids=lambda value: " ".join(value) if value and isinstance(value[0], str) else None,
)
def test_what_each_may_have_of_its_own(
    common: list[str], own: list[list[str]], configured: Configured, alone: Trained, together: Together
) -> None:
    agree(configured, alone, together, [*EXACT, *common], own)


def test_in_32_bits_losses_agree(configured: Configured, alone: Trained, together: Together) -> None:
    values = configured([*SHORT, "trainer.precision=32-true", "model.dropout=0"], ["seed=1"], ["seed=2"], ["seed=3"])
    for record, run in zip(alone(values), together(values), strict=True):
        assert_same(record, run, tolerance=1e-3)


def test_a_loss_that_is_no_number_is_one_runs_own(configured: Configured, alone: Trained, together: Together) -> None:
    values = configured(EXACT, ["seed=1"], ["seed=2", "optimizer.lr=1e300", "scheduler=constant"], ["seed=3"])
    first, broken, last = together(values)
    assert isinstance(broken.error, TrainingError)
    assert "the loss is not a number at step" in str(broken.error)
    assert RunRecord.read(values_folder(first).parent / "1").status == "failed"
    records = alone([values[0], values[2]])
    assert_same(records[0], first)
    assert_same(records[1], last)


def values_folder(run: Run) -> Path:
    assert run.record is not None
    return run.record.folder


def test_one_stops_early_and_the_others_go_on(configured: Configured, alone: Trained, together: Together) -> None:
    longer = [*EXACT, "trainer.max_epochs=4"]
    stopping = ["optimizer.lr=0", "trainer.early_stopping.patience=1"]
    agree(configured, alone, together, longer, [["seed=1"], ["seed=2", *stopping], ["seed=3"]])


class Pruning(Unsupervised):
    """Stops a run after a validation."""

    def __init__(self, after: int) -> None:
        self._after = after

    def validated(self, number: int, epoch: int, value: float) -> None:
        del epoch, value
        if number == self._after:
            raise PrunedError.after(number)


def test_one_is_pruned_and_the_others_go_on(configured: Configured, alone: Trained, together: Together) -> None:
    values = configured([*EXACT, "trainer.val_check_interval=0.5"], ["seed=1"], ["seed=2"], ["seed=3"])
    pruned, *others = together(values, [Pruning(1)])
    assert isinstance(pruned.error, PrunedError)
    for record, run in zip(alone(values[1:]), others, strict=True):
        assert_same(record, run)


def test_what_goes_wrong_for_all_is_no_ones_failure(
    configured: Configured, alone: Trained, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose fault it was shows when fewer of them try; each goes on from where it was."""
    values = configured([*EXACT, "trainer.checkpoint_minutes=0"], ["seed=1"], ["seed=2"], ["seed=3"])
    train, steps = Joint.train, 0

    def broken(joint: Joint, *given: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 5:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return train(joint, *given)

    monkeypatch.setattr(Joint, "train", broken)
    for run in together(values):
        assert isinstance(run.error, CrowdedError)
        assert "DefaultCPUAllocator" in str(run.error)
    for record, run in zip(alone(values), together(values), strict=True):
        assert run.record is not None
        assert run.record.resumed[-1]["step"] == 4
        assert run.record.metrics["validation"] == pytest.approx(record.metrics["validation"], abs=1e-6)


def test_the_base_is_kept_once(configured: Configured, together: Together, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no run trains is one piece of memory for all of them, from when each has loaded its model."""
    from finesweep.sweeps.fused import joint as module

    seen: list[set[int]] = []
    made = module.Stack

    def stack(template: Any, models: Any, groups: Any) -> Any:
        every = [template, *models]
        frozen = [name for name, own in template.named_parameters() if not own.requires_grad]
        base = [name for name in frozen if "original_module" not in name]  # which is the head before training
        seen.extend({model.get_parameter(name).data_ptr() for model in every} for name in base)
        return made(template, models, groups)

    monkeypatch.setattr(module, "Stack", stack)
    together(configured([*EXACT, "finetune_strategy=lora"], ["seed=1"], ["seed=2"], ["seed=3"]))
    assert len(seen) > 10
    assert all(len(pointers) == 1 for pointers in seen)


def test_a_signal_is_heard_while_scoring(
    configured: Configured, alone: Trained, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run has a checkpoint then, and goes on from there."""
    values = configured(EXACT, ["seed=1"], ["seed=2"], ["seed=3"])
    collect, scored = FineTuner.collect, 0

    def signalled(tuner: FineTuner, *said: Any) -> None:
        nonlocal scored
        scored += tuner.trainer.global_step > 0
        if scored == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        collect(tuner, *said)

    monkeypatch.setattr(FineTuner, "collect", signalled)
    for run in together(values):
        assert isinstance(run.error, Interrupted)
    assert 0 < scored <= len(values)  # the batch that was being scored, and no other
    monkeypatch.undo()
    for record, run in zip(alone(values), together(values), strict=True):
        assert run.record is not None
        assert run.record.resumed[-1]["step"] == 3
        assert run.record.metrics["validation"] == pytest.approx(record.metrics["validation"], abs=1e-6)


def test_one_waits_for_another_to_catch_up(configured: Configured, alone: Trained, together: Together) -> None:
    """Where batches are of one length those of two epochs do not go together: they would be padding for the most."""
    common = [*EXACT, "data.max_batch_tokens=128", "trainer.max_epochs=3", "trainer.checkpoint_minutes=0"]
    values = configured(common, ["seed=1"], ["seed=2"])
    (first,) = together(values[:1], [Stopping()])
    assert isinstance(first.error, Interrupted)
    for record, run in zip(alone(values), together(values), strict=True):
        assert run.record is not None
        assert run.record.fused == 2
        assert bool(run.record.resumed) == (run.record.seed == 1)
        assert run.record.metrics["validation"] == pytest.approx(record.metrics["validation"], abs=1e-6)
        assert run.record.timing["padding_fraction"] < record.timing["padding_fraction"] + 0.1


@pytest.mark.parametrize("strategy", ["lora", "full"])
def test_all_weights_in_16_bits(configured: Configured, alone: Trained, together: Together, strategy: str) -> None:
    short = [*SHORT, "trainer.precision=bf16-true", "model.dtype=bfloat16", "model.dropout=0", "optimizer.lr=1e-2"]
    values = configured([*short, f"finetune_strategy={strategy}"], ["seed=1"], ["seed=2"], ["seed=3"])
    for record, run in zip(alone(values), together(values), strict=True):
        assert run.record is not None
        gains = [each.metrics["before"]["loss"] - each.metrics["validation"]["loss"] for each in (record, run.record)]
        assert gains[1] == pytest.approx(gains[0], rel=0.1)
