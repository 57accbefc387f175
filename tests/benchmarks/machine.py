"""What the benchmarks share: how finesweep is called, and what the machine is."""

import os
import platform
import sys
from pathlib import Path

FINESWEEP = [sys.executable, "-c", "import sys; from finesweep.cli import main; sys.exit(main())"]


def facts() -> str:
    """The machine in a line."""
    import torch

    model, file = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if file.is_file():
        lines = file.read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{model}, {os.cpu_count()} cores{gpu}, Python {platform.python_version()}, torch {torch.__version__}"
