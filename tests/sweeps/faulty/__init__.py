"""An extension whose optimizer ends the run in every way that a run can end, as long as a file is there."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from finesweep.config.fields import component
from finesweep.training.loggers import CSV
from finesweep.training.optimizers import AdamW


@component
class Faulty(AdamW):
    """AdamW, but for the fault; ``number`` only tells jobs apart."""

    fault: str
    number: int
    switch: str

    def build(self, groups: list[dict[str, Any]]) -> Any:
        if Path(self.switch).exists():
            if self.fault == "exits":
                os._exit(3)
            if self.fault == "raises":
                raise RuntimeError("on purpose")
            if self.fault == "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
            while self.fault == "hangs":
                try:
                    time.sleep(0.1)
                except BaseException:  # not even for SIGTERM
                    continue
        return super().build(groups)


@component
class Late(CSV):
    """A logger that is told to stop when everything is done and written down."""

    def finish(self, failed: bool) -> None:
        if not failed:
            os.kill(os.getpid(), signal.SIGTERM)
