"""The command line in a process of its own, for what is done to processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SHORT = [
    "data.sentences={train: 32, validation: 24, test: 24}", "data.batch_size=16", "trainer.max_epochs=1",
    "trainer.precision=32-true", "trainer.threads=1", "trainer.save_model=false",
]  # fmt: skip
Finesweep = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def finesweep(tmp_path: Path) -> Finesweep:
    """Start the command line in a process of its own, a sweep into ``sweep``."""

    def start(*overrides: str) -> subprocess.Popen[str]:
        code = "import sys; from finesweep.cli import main; sys.exit(main())"
        command = ["train", "-m", *SHORT, "hydra.launcher.slots=2", f"hydra.sweep.dir={tmp_path}/sweep", *overrides]
        path = os.pathsep.join([str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        return subprocess.Popen(
            [sys.executable, "-c", code, *command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            env={**os.environ, "PYTHONPATH": path}, start_new_session=True,
        )  # fmt: skip

    return start
