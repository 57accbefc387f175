"""Two things that a CPU does slowly by default, done faster while a training runs.

Drawing dropout's zeros: PyTorch calls its generator once for each number, unless the CPU is Intel's. On two cores of an
AMD EPYC, MiniLM in batches of 32 sentences, that was 11 % of a step. And memory: what is freed goes back to the system,
which clears it page by page when the next step asks for it again. A step in 32 bits took 441 ms as PyTorch does it, and
380 like this.
"""

import ctypes
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

#: Parameters of glibc's mallopt, and what it has by default.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_DEFAULTS = {_TRIM_THRESHOLD: 128 * 1024, _MMAP_MAX: 65536}
_KEEP = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_MAX: 0}


@contextmanager
def fast_cpu() -> Iterator[None]:
    """Inside, random zeros are drawn in one go, and freed memory is kept for the next step."""
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Warning only once for all operators")  # that one is replaced
        library.impl("bernoulli_.float", _bernoulli, "CPU")
    allocator = _allocator()
    for name, value in _KEEP.items():
        allocator.mallopt(name, value)
    try:
        yield
    finally:
        del library  # which puts PyTorch's own back
        for name, value in _DEFAULTS.items():
            allocator.mallopt(name, value)
        allocator.malloc_trim(0)


def _bernoulli(tensor: torch.Tensor, p: float = 0.5, *, generator: torch.Generator | None = None) -> torch.Tensor:
    """Fill with ones, each with probability ``p``, and zeros.

    16 bits decide each, so the probability is met to 1 in 131,072. They come from a generator that PyTorch's own seeds,
    so they follow from its seed, and are the same whatever the machine and the number of threads.
    """
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    count = tensor.numel()
    bits = np.random.PCG64DXSM(seed).random_raw((count + 3) // 4).view(np.int16)
    drawn = torch.from_numpy(bits)[:count].view(tensor.shape)
    threshold = round(p * 2**16) - 2**15
    return torch.lt(drawn, threshold, out=tensor) if threshold < 2**15 else tensor.fill_(1)


class _Nothing:
    """Of a system whose allocator has no such settings."""

    def mallopt(self, parameter: int, value: int) -> int:
        return 0

    def malloc_trim(self, pad: int) -> int:
        return 0


def _allocator() -> Any:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else _Nothing()
