"""Which configurations a race lets go."""

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from finesweep.results.record import RunRecord
from finesweep.sweeps.race import Race


def config(lr: str, seed: int, data: str = "demo") -> dict[str, Any]:
    return {"seed": seed, "data": {"name": data}, "optimizer": {"lr": lr}, "objective": {"metric": "f1"}}


def race(scores: dict[str, list[float]], level: float = 0.05, direction: str = "maximize") -> Race:
    run = Race(level)
    enter(run, scores, direction)
    return run


def enter(run: Race, scores: dict[str, list[float]], direction: str = "maximize", data: str = "demo") -> None:
    for lr, each in scores.items():
        for seed, value in enumerate(each):
            record = RunRecord(Path(), "", seed, "", "", [], config=config(lr, seed, data))
            record.objective = {"metric": "f1", "direction": direction, "value": value}
            run.add(record)


def test_who_is_clearly_behind_is_out_and_who_is_near_stays() -> None:
    run = race({"best": [0.90, 0.91, 0.92], "near": [0.895, 0.915], "far": [0.40, 0.42], "once": [0.3], "new": []})
    lost = {lr: bool(run.lost(config(lr, 5))) for lr in ("best", "near", "far", "once", "new")}
    assert lost == {"best": False, "near": False, "far": True, "once": True, "new": False}
    assert "replicate" in run.lost(config("far", 5))


def test_a_loss_is_better_the_lower_it_is() -> None:
    run = race({"best": [0.1, 0.11, 0.12], "far": [0.9, 0.93]}, direction="minimize")
    assert run.lost(config("far", 5))
    assert not run.lost(config("best", 5))


def test_what_runs_on_other_data_is_in_another_race() -> None:
    run = race({"easy": [0.95, 0.94, 0.96]})
    enter(run, {"hard": [0.6], "hardest": [0.2], "near": [0.6, 0.62], "best": [0.61, 0.62, 0.63]}, data="other")
    assert not run.lost(config("hard", 5, "other"))
    assert run.lost(config("hardest", 5, "other"))


def test_files_that_are_called_alike_are_told_apart() -> None:
    def of(lr: str, seed: int, file: str) -> dict[str, Any]:
        return config(lr, seed) | {"data": {"name": "files", "train": file, "validation": None}}

    run = Race(0.05)
    for lr, file, values in (("a", "easy", (0.95, 0.94)), ("b", "easy", (0.94, 0.95)), ("c", "hard", (0.6, 0.5))):
        for seed, value in enumerate(values):
            record = RunRecord(Path(), "", seed, "", "", [], config=of(lr, seed, file))
            record.objective = {"metric": "f1", "direction": "maximize", "value": value}
            run.add(record)
    assert not run.lost(of("c", 2, "hard"))
    record.config = of("c", 0, "easy")
    run.add(record)
    assert run.lost(of("c", 2, "easy"))


def test_nothing_is_said_before_there_is_a_spread() -> None:
    assert not race({"a": [0.9], "b": [0.1]}).lost(config("b", 1))
    assert not race({"a": [0.9, 0.91], "b": [0.1]}).lost(config("b", 1))


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcde"), st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=1),
    st.floats(0.001, 0.5),
)
def test_the_best_never_drops_out_and_a_stricter_level_lets_fewer_go(
    scores: dict[str, list[float]], level: float
) -> None:
    strict, lax = race(scores, level / 2), race(scores, level)
    full = {lr: sum(each) / len(each) for lr, each in scores.items() if len(each) > 1}
    for lr in scores:
        if lr in full and full[lr] == max(full.values()):
            assert not lax.lost(config(lr, 9)) or list(full.values()).count(max(full.values())) > 1
        if strict.lost(config(lr, 9)):
            assert lax.lost(config(lr, 9))
