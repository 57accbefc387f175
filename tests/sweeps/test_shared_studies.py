"""Several sweepers on one study, sweepers that are killed, and the study as Optuna's own tools see it."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import optuna_dashboard
import pytest
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from finesweep.results.record import records_in
from tests.sweeps.conftest import Finesweep
from tests.training.killing import ended

SPACE = [
    "hydra/sweeper=optuna", "optimizer.lr=tag(log,interval(1e-5,1e-1))", "finetune_strategy=full,frozen",
    "hydra.launcher.slots=1", "hydra.sweeper.startup_trials=2",
]  # fmt: skip


def journal(folder: Path) -> BaseStorage:
    return JournalStorage(JournalFileBackend(str(folder / "study.journal")))


def trials(storage: BaseStorage) -> list[FrozenTrial]:
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage).get_trials()


@pytest.mark.slow
@pytest.mark.parametrize("kills", [[2], [1, 3, 6]])
def test_a_search_that_is_killed_proposes_the_same_again(
    finesweep: Finesweep, tmp_path: Path, kills: list[int]
) -> None:
    command = [*SPACE, f"hydra.sweeper.n_trials={kills[-1] + 2}"]
    undisturbed = tmp_path / "undisturbed"
    ended(finesweep(*command, f"hydra.sweep.dir={undisturbed}"))
    for least in kills:
        process = finesweep(*command)
        while len(records_in(tmp_path / "sweep")) < least:
            assert process.is_alive()
            time.sleep(0.02)
        process.kill()
        process.join()
    ended(finesweep(*command))
    whole, found = (trials(journal(folder)) for folder in (tmp_path / "undisturbed", tmp_path / "sweep"))
    assert [(t.params, t.value, t.state) for t in found] == [(t.params, t.value, t.state) for t in whole]
    assert {t.state for t in found} == {TrialState.COMPLETE}


def check_shared(
    finesweep: Finesweep, sweepers: int, n_trials: int, storage: Callable[[], BaseStorage], *more: str
) -> None:
    """Several sweepers at once: no trial is lost, none is done twice."""
    command = [*SPACE, f"hydra.sweeper.n_trials={n_trials}", *more]
    each = [finesweep(*command) for _ in range(sweepers)]
    said = [ended(process) for process in each]
    found = trials(storage())
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * n_trials
    assert sorted(trial.user_attrs["ticket"] for trial in found) == list(range(n_trials))
    jobs = [job for trial in found for job in trial.user_attrs["jobs"]]
    assert sum(text.count(" started") for text in said) == len(set(jobs))
    assert sum(" started" in text for text in said) > 1


@pytest.mark.slow
def test_two_sweepers_share_a_study(finesweep: Finesweep, tmp_path: Path) -> None:
    check_shared(finesweep, 2, 4, lambda: journal(tmp_path / "sweep"))
    shown = dashboard(journal(tmp_path / "sweep"))
    assert [trial["state"] for trial in shown] == ["Complete"] * 4


def dashboard(storage: BaseStorage) -> list[dict[str, Any]]:
    """The trials, as optuna-dashboard shows them."""
    app, answer = optuna_dashboard.wsgi(storage), []
    for path in ("/api/studies/0", "/dashboard"):
        environ: dict[str, Any] = {"PATH_INFO": path}
        setup_testing_defaults(environ)
        body = b"".join(app(environ, lambda status, *_: answer.append(status)))
        if path.startswith("/api"):
            found = json.loads(body)["trials"]
    assert answer == ["200 OK"] * 2
    return list(found)


@pytest.fixture
def postgresql(tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database on a server of its own."""
    initdb = shutil.which("initdb") or next(Path("/usr/lib/postgresql").glob("*/bin/initdb"), None)
    assert initdb, "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    bin_ = Path(initdb).resolve().parent
    data, sockets = tmp_path / "data", tmp_path / "s"
    sockets.mkdir()
    asroot = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []
    for path in [tmp_path, *tmp_path.parents[:3], sockets]:
        if path.owner() == "root" and path != Path("/tmp"):
            path.chmod(0o777)
    subprocess.run([*asroot, bin_ / "initdb", "-D", data, "-U", "me", "-A", "trust"], check=True, capture_output=True)
    server = subprocess.Popen(
        [*asroot, bin_ / "postgres", "-D", data, "-k", sockets, "-c", "listen_addresses="], stderr=subprocess.DEVNULL
    )
    url = f"postgresql://me@/postgres?host={sockets}"
    try:
        while subprocess.run([bin_ / "pg_isready", "-h", sockets], capture_output=True, check=False).returncode:
            assert server.poll() is None
            time.sleep(0.1)
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


@pytest.mark.services
def test_four_sweepers_share_a_postgresql_study(finesweep: Finesweep, postgresql: str) -> None:
    check_shared(
        finesweep, 4, 24, lambda: optuna.storages.RDBStorage(postgresql), f"hydra.sweeper.storage='{postgresql}'"
    )
