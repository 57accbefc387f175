"""Where the time of a training step goes, and how near the machine's own rate of matrix products it comes.

    DATA=../shared/data/conll2003 MODEL=folder python tests/benchmarks/step.py [--rows 2000] [key=value …]

``inputs.py`` says what ``DATA`` and ``MODEL`` are; further arguments are overrides. The same steps run three times, in
a run's own trainer and without validation: alone, for their true time; under PyTorch's profiler, which tells where it
goes and costs time itself; and under FlopCounterMode. The profiler's times are of operations without those that they
call, on a GPU of their kernels. What is outside of them is Python: Lightning's loop, the model's modules, callbacks.
"""

import argparse
import contextlib
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from inputs import overrides, prepared
from machine import facts, tell
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.flop_counter import FlopCounterMode

from finesweep.config.check import check
from finesweep.config.compose import compose, hydra_session
from finesweep.results.tables import markdown_table
from finesweep.training.assemble import Assembled, assemble
from finesweep.training.callbacks import Monitor
from finesweep.training.components import Components
from finesweep.training.cpu import fast_cpu
from finesweep.training.lightning import lightning_trainer

#: Steps before the first that counts.
WARM_UP = 5
_CLIP = "clip gradients"
_LINEAR, _ATTENTION = "matrix products", "attention, products and kernels"
#: Parts of a step by how the names of their operations begin. One without a part is of that which calls it.
PARTS = {
    _LINEAR: r"aten::(addmm|mm|linear|mkldnn\w*|_addmm_activation)\b",
    _ATTENTION: r"aten::(bmm|baddbmm|_?scaled_dot_product|_flash|_efficient)",
    "dropout, random numbers": r"aten::(bernoulli|native_dropout$|_fused_dropout)",
    "dropout, applied": r"aten::(dropout|native_dropout_backward)",
    "casts": r"aten::(to|_to_copy)$",
    "copies": r"aten::(clone|contiguous|cat)$",
    "activations, softmax, layer norms, loss": (
        r"aten::_?(log_)?softmax|aten::(native_)?layer_norm|aten::(gelu|relu|silu|tanh|nll_loss|cross_entropy)"
    ),
    "embeddings": r"aten::embedding",
    "optimizer": r"aten::_fused_|aten::_foreach_add",
    "gradient norm and clipping": _CLIP,
    "zeroing gradients": r"Optimizer\.zero_grad",
    "building batches": r"enumerate\(DataLoader\)",
}
REST, OUTSIDE = "the rest of PyTorch", "outside of PyTorch's operations"
#: What matrix products are computed in; float32 under any other precision.
_DTYPES = {
    "bf16-mixed": torch.bfloat16, "bf16-true": torch.bfloat16, "16-mixed": torch.float16, "64-true": torch.float64,
}  # fmt: skip


class Window(pl.Callback):
    """Open a context for the steps after the warm-up, and time them."""

    def __init__(self, inside: AbstractContextManager[Any], steps: int) -> None:
        self._inside, self._steps = inside, steps
        self._begun = 0.0
        self.seconds = 0.0
        self.rows = self.positions = 0

    def on_train_batch_end(self, trainer: pl.Trainer, *given: Any) -> None:
        batch = given[2]  # after the module and its outputs
        if self._begun and not self.seconds:
            self.rows += batch["rows"]
            self.positions += batch["positions"]
        if trainer.global_step == WARM_UP and not self._begun:
            _wait()
            self._inside.__enter__()
            self._begun = time.perf_counter()
        elif trainer.global_step == WARM_UP + self._steps and not self.seconds:
            _wait()
            self.seconds = time.perf_counter() - self._begun
            self._inside.__exit__(None, None, None)


def trained(work: Assembled, inside: AbstractContextManager[Any], steps: int, folder: Path) -> Window:
    """Train for the warm-up and the steps, the context around these."""
    window = Window(inside, steps)
    trainer = lightning_trainer(work, [], [Monitor(work.parts.trainer.log_every_n_steps), window], folder)
    trainer.limit_val_batches = 0
    trainer.fit(work.tuner, datamodule=work.data)
    return window


def shares(events: Iterable[Any]) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of each part, and of each kind of operation in the rest."""
    parts, rest = defaultdict[str, float](float), defaultdict[str, float](float)
    gpu = torch.cuda.is_available()
    for event in events:
        if event.device_type.name != "CPU":  # a kernel, whose time the operation has
            continue
        seconds = (event.self_device_time_total if gpu else event.self_cpu_time_total) / 1e6
        part = _part(event)
        parts[part] += seconds
        if part == REST:
            rest[event.name.rpartition(": ")[2]] += seconds
    return parts, rest


def _part(event: Any) -> str:
    """The part of an operation: its own, or the nearest one's above it."""
    around = event
    while around is not None:
        found = next((part for part, pattern in PARTS.items() if re.match(pattern, around.name)), None)
        if found:
            return found
        around = around.cpu_parent
    # The closure with all of a step runs inside the optimizer's annotation, whose own time is thus Python's.
    return OUTSIDE if event.name.startswith(("Optimizer.step", "ProfilerStep")) else REST


def matrix_rate(dtype: torch.dtype, device: torch.device) -> tuple[float, int]:
    """The most floating-point operations a second in a product of two square matrices, and their size."""
    best = (0.0, 0)
    for size in (4096, 8192) if device.type == "cuda" else (1024, 2048):
        left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        for _ in range(10):
            _wait()
            begun = time.perf_counter()
            torch.mm(left, right)
            _wait()
            best = max(best, (2 * size**3 / (time.perf_counter() - begun), size))
    return best


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def told(values: dict[str, Any], steps: int, folder: Path) -> str:
    """The table and the facts."""
    parts = Components.of(values)
    with fast_cpu() if parts.trainer.accelerator == "cpu" else contextlib.nullcontext():
        work = assemble(parts, {})
        clip: Callable[..., None] = work.tuner.configure_gradient_clipping
        work.tuner.configure_gradient_clipping = record_function(_CLIP)(clip)  # type: ignore[method-assign]
        gpu = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
        profiler, counter = profile(activities=[ProfilerActivity.CPU, *gpu]), FlopCounterMode(display=False)
        alone = trained(work, contextlib.nullcontext(), steps, folder)
        watched = trained(work, profiler, steps, folder)
        trained(work, counter, steps, folder)
        dtype = _DTYPES.get(parts.trainer.precision, torch.float32)
        rate, size = matrix_rate(dtype, torch.device("cuda" if gpu else "cpu"))
    recorded: Any = profiler
    seconds, rest = shares(recorded.events())
    seconds[OUTSIDE] = watched.seconds - sum(took for part, took in seconds.items() if part != OUTSIDE)
    labels = {REST: f"{REST}, most of it {', '.join(sorted(rest, key=lambda name: -rest[name])[:4])}"}
    rows = [
        [labels.get(part, part), f"{1000 * took / steps:.1f}", f"{took / watched.seconds:.1%}"]
        for part, took in sorted(seconds.items(), key=lambda pair: (pair[0] in (REST, OUTSIDE), -pair[1]))
    ]
    table = markdown_table(["part of a step", "ms", "share"], rows)
    flops, products = counter.get_total_flops(), seconds[_LINEAR] + seconds[_ATTENTION]
    reached, kind = flops / alone.seconds, str(dtype).removeprefix("torch.")
    return (
        f"A step of {alone.rows / steps:.0f} sentences, {alone.positions / steps:.0f} positions, in "
        f"{parts.trainer.precision}: {1000 * alone.seconds / steps:.1f} ms, {alone.rows / alone.seconds:.1f} sentences "
        f"a second; under the profiler {1000 * watched.seconds / steps:.1f} ms.\n"
        f"Products of {size} × {size} matrices in {kind}: {rate / 1e9:.0f} GFLOP/s at best. FlopCounterMode counts "
        f"{flops / steps / 1e9:.1f} GFLOP in a step, forward and backward: {reached / 1e9:.0f} GFLOP/s, "
        f"{reached / rate:.1%} of that rate, and {flops / products / rate:.1%} of it within matrix products and "
        f"attention.\n\n{table}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20, help="with many, the profiler's own memory distorts")
    parser.add_argument("--output", type=Path, help="a Markdown file to append the table to")
    args, given = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = prepared(folder, args.rows, held_out=10)
        # Epochs enough for the steps, however few the rows.
        length = ["trainer.max_epochs=1000", f"trainer.max_steps={WARM_UP + args.steps}"]
        own = overrides(folder, model, args.batch_size, folder / "cache")
        with hydra_session() as hydra:
            values = check(compose(hydra, [*own, "finetune_strategy=full", *length, *given]))
        text = told(values, args.steps, folder)
    tell("A step", f"{facts()}; {args.rows} sentences, {args.steps} steps after {WARM_UP}\n\n{text}", args.output)


if __name__ == "__main__":
    main()
