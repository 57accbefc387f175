"""The trainer group: how long, on what and how exactly to train."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from finesweep.config.fields import NonNegative, Positive, PositiveInt, component

Precision = Literal["auto", "32-true", "64-true", "bf16-mixed", "16-mixed", "bf16-true"]


@component
class EarlyStopping:
    """Stop after ``patience`` validations that were not better than the best before them
    by more than ``min_delta``; null never stops early."""

    patience: PositiveInt | None
    min_delta: NonNegative


@component
class TrainerSettings:
    """Keys that Lightning knows bear Lightning's names; ``conf/trainer/default.yaml`` says what each does."""

    max_epochs: PositiveInt
    max_steps: PositiveInt | None
    accelerator: Literal["auto", "cpu", "gpu"]
    devices: PositiveInt
    precision: Precision
    threads: PositiveInt | None
    deterministic: bool
    gradient_clip_val: Positive | None
    accumulate_grad_batches: PositiveInt
    gradient_checkpointing: bool
    compile: Literal["default", "reduce-overhead", "max-autotune"] | None
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None
    val_check_interval: Annotated[float, Field(gt=0, le=1)]
    early_stopping: EarlyStopping
    checkpoint_minutes: NonNegative | None
    log_every_n_steps: PositiveInt
    progress: bool
    save_model: bool

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        if self.precision == "16-mixed" and self.accelerator == "cpu":
            yield "trainer.precision", "16-mixed needs a GPU; on a CPU use bf16-mixed or 32-true"
        if self.precision.endswith("mixed") and cfg["model"].get("dtype") != "float32":
            yield "trainer.precision", f"{self.precision} needs model.dtype=float32, not {cfg['model'].get('dtype')}"
        if self.precision == "64-true" and cfg["model"].get("dtype") != "float64":
            yield "trainer.precision", f"64-true needs model.dtype=float64, not {cfg['model'].get('dtype')}"
        if self.precision == "bf16-true" and cfg["model"].get("dtype") != "bfloat16":
            yield "trainer.precision", f"bf16-true needs model.dtype=bfloat16, not {cfg['model'].get('dtype')}"
