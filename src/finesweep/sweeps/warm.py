"""What a fork server imports once for all jobs of a sweep. Nothing of it touches a GPU, which could not be forked."""

import atexit
import contextlib
import gc
import importlib
import io
import logging
import os
import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, while this is still importing too

_MODULES = [
    "finesweep.training.runner",
    "finesweep.sweeps.worker",
    "transformers.models.auto.modeling_auto",
    "transformers.models.bert.modeling_bert",
    "peft",
    "sklearn.metrics",
    "seqeval.metrics",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
]

# What packages have to say of one another is no news to whoever started a sweep.
logging.disable(logging.WARNING)
with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
    for _module in _MODULES:
        importlib.import_module(_module)
logging.disable(logging.NOTSET)

importlib.import_module("finesweep.results.environment").packages()  # once for all jobs
gc.collect()
gc.freeze()  # else the collector goes through all that in each job again
_server = os.getpid()


@atexit.register
def _end() -> None:
    """Python would take seconds to take all that apart, by which the server would outlive its driver."""
    if os.getpid() == _server:  # a job may do as it likes
        os._exit(0)
