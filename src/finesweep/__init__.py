"""finesweep: fine-tune transformers by configuration, with the sweep as the unit of work.

From Python: ``finesweep.run(["model=tiny", "seed=1"])`` trains and returns the run record;
``finesweep.load("outputs/…/…").predict(["some text"])`` predicts with a finished run.
"""

from typing import TYPE_CHECKING, Any

from finesweep.config.errors import ConfigError, TrainingError, UserError

if TYPE_CHECKING:
    from finesweep.api import load, run

__all__ = ["ConfigError", "TrainingError", "UserError", "__version__", "load", "run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the API on first use: ``finesweep --help`` must not pay for torch (PEP 562)."""
    if name in ("run", "load"):
        from finesweep import api

        return getattr(api, name)
    raise AttributeError(f"module 'finesweep' has no attribute {name!r}")
