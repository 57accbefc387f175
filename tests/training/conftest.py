"""Runs that nobody stopped, and one that was killed."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.killing import SHORT, finish, kill_after_step, start


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
