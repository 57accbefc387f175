"""The command line in a process of its own, for what is done to processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.training import killing

SHORT = [
    "data.sentences={train: 32, validation: 24, test: 24}", "data.batch_size=16", "trainer.max_epochs=1",
    "trainer.precision=32-true", "trainer.threads=1", "trainer.save_model=false",
]  # fmt: skip
Finesweep = Callable[..., BaseProcess]
Cold = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., list[str]]:
    """The arguments of a sweep into ``sweep``."""
    return lambda *overrides: [
        "train", "-m", *SHORT, "hydra.launcher.slots=2", f"hydra.sweep.dir={tmp_path}/sweep", *overrides,
    ]  # fmt: skip


@pytest.fixture
def finesweep(command: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> Finesweep:
    """Start a sweep from a process that has imported everything."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return lambda *overrides: killing.start(*command(*overrides), alone=True)


@pytest.fixture
def cold(command: Callable[..., list[str]], tmp_path: Path) -> Cold:
    """Start a sweep as from a shell, with a fork server of its own; all its processes have ``tmp_path`` as ``TEST``."""
    code = "import sys; from finesweep.cli import main; sys.exit(main())"
    return lambda *overrides: subprocess.Popen(
        [sys.executable, "-c", code, *command(*overrides)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True, start_new_session=True, env={**os.environ, "TEST": str(tmp_path)},
    )  # fmt: skip
