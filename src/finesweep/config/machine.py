"""What ``auto`` means on this machine. Settled before hashing, so that a run's hash says what it really did."""

import sys
from functools import cache
from pathlib import Path
from typing import Any


def settle(values: dict[str, Any]) -> dict[str, Any]:
    """A resolved configuration with ``trainer.accelerator`` and ``trainer.precision`` settled where they are auto."""
    trainer = values["trainer"]
    accelerator, precision = trainer.get("accelerator"), trainer.get("precision")
    if accelerator == "auto":
        accelerator = "gpu" if _gpu() else "cpu"
    if precision == "auto":
        fast = _gpu_has_bfloat16() if accelerator == "gpu" else _cpu_has_bfloat16()
        precision = "bf16-mixed" if fast else "32-true"
    return {**values, "trainer": {**trainer, "accelerator": accelerator, "precision": precision}}


@cache  # a sweep asks for each of its jobs
def _gpu() -> bool:
    """Whether torch can use a GPU. Torch takes seconds to import, so look for the device first."""
    if not (Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists() or sys.platform in ("darwin", "win32")):
        return False
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _gpu_has_bfloat16() -> bool:
    import torch

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


@cache
def _cpu_has_bfloat16() -> bool:
    """Without these instructions bfloat16 on a CPU is many times slower than float32."""
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.is_file() else set()
    return bool(flags & {"avx512_bf16", "amx_bf16"})
