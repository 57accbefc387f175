"""What a run ran on: code version, packages, Python, operating system, processor, accelerator. No secrets."""

import contextlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any


def git_state(folder: Path) -> dict[str, Any]:
    """``{"commit", "dirty"}`` of the repository that ``folder`` is in; both None where there is none."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD")
    status = git("status", "--porcelain") if commit else None
    return {"commit": commit, "dirty": bool(status) if status is not None else None}


def environment() -> dict[str, Any]:
    """Versions and hardware. Environment variables stay out of it: they hold tokens."""
    import torch  # the caller has it anyway; reading a record must not need it

    gpus = (
        [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "cuda": torch.version.cuda,
        "packages": dict(sorted((d.name, d.version) for d in metadata.distributions())),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


class PeakMemory:
    """The largest memory that a stretch of work used: resident memory of the process, or of the GPU where one works."""

    def __init__(self) -> None:
        import torch

        self._cuda = torch.cuda.is_available()
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
        clear = Path("/proc/self/clear_refs")
        # Linux starts its high-water mark again, so that the jobs of one process do not add up; others cannot.
        with contextlib.suppress(OSError):
            clear.write_text("5")

    def bytes(self) -> int:
        """Bytes since this object was made."""
        import torch

        if self._cuda and torch.cuda.max_memory_allocated():
            return int(torch.cuda.max_memory_allocated())
        status = Path("/proc/self/status")
        if status.is_file():
            for line in status.read_text().splitlines():
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) * 1024
        import resource  # not on Windows

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
