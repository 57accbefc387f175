"""What a command line spans: combinations in order, keys that advance together, and composing as Hydra does."""

from pathlib import Path

import pytest
from hydra.types import RunMode
from omegaconf import open_dict

from finesweep.config.check import check
from finesweep.config.compose import Composer, compose_parsed, hydra_session, parse_overrides
from finesweep.config.errors import ConfigError
from finesweep.config.grid import combinations, space

SAMPLE = [
    [],
    ["optimizer.lr=1e-3", "seed=4"],
    ["finetune_strategy=lora", "finetune_strategy.r=4", "optimizer=sgd", "optimizer.momentum=0.5"],
    ["data=demo_topics", "task.class_weights=balanced", "+task.new_key=1", "~scheduler.warmup_fraction"],
    ["experiment=seed_conll2003", "trainer.max_epochs=7", "data.limit.train=5"],
    ["model=bert_base", "name=x", "objective.metric=precision", "data.label_map={PER: person}"],
    ["model=tiny", "data=files", "data.train=a.tsv", "task=text_classification", "hydra.launcher.slots=2"],
]


@pytest.mark.parametrize("overrides", SAMPLE, ids=lambda each: " ".join(each) or "nothing")
def test_a_job_is_what_hydra_composes(overrides: list[str]) -> None:
    with hydra_session() as hydra:
        theirs = compose_parsed(hydra, parse_overrides(hydra, overrides), RunMode.RUN)
        with open_dict(theirs):
            del theirs["hydra"]
        composer = Composer(hydra)
        for _ in range(2):  # the second time from what it has kept
            assert composer.compose(overrides).cfg == theirs


def test_one_job_leaves_no_trace_in_the_next() -> None:
    with hydra_session() as hydra:
        composer = Composer(hydra)
        plain = check(composer.compose([]))
        check(composer.compose(["optimizer.lr=0.5", "seed=9"]))
        assert check(composer.compose([])) == plain


def test_combinations_come_in_order() -> None:
    with hydra_session() as hydra:
        found = space(
            hydra, ["finetune_strategy=full,lora", "seed=1,2", "trainer.max_epochs=1", "hydra.launcher.slots=1"]
        )
    assert combinations(found) == [
        ["trainer.max_epochs=1", f"finetune_strategy={strategy}", f"seed={seed}"]
        for strategy in ("full", "lora")
        for seed in (1, 2)
    ]
    assert found.fixed_keys == ["trainer.max_epochs"]


def test_together() -> None:
    with hydra_session() as hydra:
        found = space(hydra, ["optimizer.lr=1,2,3", "seed=1,2", "data.batch_size=8,16,32"])
    assert combinations(found, [["optimizer.lr", "data.batch_size"]]) == [
        [f"optimizer.lr={rate}", f"data.batch_size={size}", f"seed={seed}"]
        for rate, size in ((1, 8), (2, 16), (3, 32))
        for seed in (1, 2)
    ]


def test_a_sweep_can_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      optimizer.lr: 0.1,0.2\n      seed: 1,2\n"
    )
    with hydra_session(tmp_path) as hydra:
        found = space(hydra, ["experiment=mine", "seed=5"])
    assert combinations(found) == [["experiment=mine", "seed=5", f"optimizer.lr={rate}"] for rate in (0.1, 0.2)]


def test_a_continuous_range_is_no_grid() -> None:
    with hydra_session() as hydra, pytest.raises(ConfigError, match="has no end of values"):
        combinations(space(hydra, ["optimizer.lr=interval(0,1)"]))
