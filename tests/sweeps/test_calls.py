"""What ``finesweep resume SWEEP`` gives again."""

from pathlib import Path

from finesweep.sweeps.calls import calls_of, note_call

LAUNCHER = "hydra.launcher.slots"


def given(folder: Path, *calls: list[str]) -> list[list[str]]:
    for overrides in calls:
        note_call(folder, overrides, None, "finesweep train -m …")
    return [call.overrides[:-1] for call in calls_of(folder)]


def test_how_it_is_done_is_taken_from_the_last_call(tmp_path: Path) -> None:
    first = ["seed=1", "keep=none"]
    calls = [first, ["seed=1", "keep=2", f"{LAUNCHER}=1"], ["seed=1,2", "keep=all"]]
    assert given(tmp_path, *calls) == [["seed=1", "keep=all"], ["seed=1,2", "keep=all"]]
    assert given(tmp_path, first) == [["seed=1,2", "keep=none"], ["seed=1", "keep=none"]]


def test_what_is_done_is_taken_from_each_call(tmp_path: Path) -> None:
    """Replicates, a logger or a cache change no result of a job, but which jobs there are, and what a call needs."""
    calls = [["lr=1,2", "seed=1,2"], ["lr=1,2", "replicates=3"], ["lr=1,2", "replicates=5", "logger=mine"]]
    assert given(tmp_path, *calls) == calls
