"""What the benchmarks share: how finesweep is called, what the machine is, and where a table goes."""

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


def tell(title: str, text: str, output: Path | None) -> None:
    """Print what came out, and append it under a title to a Markdown file if there is to be one."""
    print(text)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("a", encoding="utf-8") as stream:
            stream.write(f"## {title}\n\n{text}\n\n")
