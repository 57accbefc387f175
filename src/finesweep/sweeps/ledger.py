"""Who works on which job of a sweep: claims in a folder that several sweepers share, on one machine or on many.

A claim is a file that is made by linking, which on every file system, network ones too, only one of several can do.
Each attempt at a job has a claim of its own, ``<job>.<attempt>``; nothing is ever removed or overwritten. Its owner
touches it while it works, and leaves ``<job>.<attempt>.end`` behind. Whoever finds a claim whose owner is dead, or was
not heard of for a while, makes the next one, and from then on the record of the old owner is refused.
"""

import contextlib
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finesweep.config.errors import LostError
from finesweep.results.files import write_atomically

#: Seconds between two signs of life, and how many may be missed. Clocks of two machines are never compared.
BEAT = 5.0
MISSED = 12


@dataclass(frozen=True)
class Owner:
    """A process, so that another one of the same machine can tell whether it still lives.

    Attributes:
        host: the machine and, in a container, which; only processes of the same can look each other up.
        started: when the process began, in ticks since the machine did: numbers of processes are used again.
    """

    host: str
    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "Owner":
        return cls(_host(), pid, _started(pid))

    @property
    def dead(self) -> bool:
        """Whether it is known to be dead; of one on another machine that cannot be known."""
        return self.host == _host() and (_started(self.pid) != self.started or not self.started)


def _host() -> str:
    namespace = Path("/proc/self/ns/pid")
    boot = Path("/proc/sys/kernel/random/boot_id")
    parts = [socket.gethostname()]
    parts += [boot.read_text().strip()] if boot.is_file() else []
    parts += [str(namespace.readlink())] if namespace.is_symlink() else []
    return " ".join(parts)


def _started(pid: int) -> str:
    """When a process began; empty if there is none."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.is_dir() and Path("/proc/self/stat").is_file():
        try:
            return stat.read_text().rpartition(")")[2].split()[19]
        except OSError:
            return ""
    try:
        os.kill(pid, 0)  # no such file system: a number that is used again is not noticed
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"


@dataclass(frozen=True)
class Claim:
    """One attempt at a job, ours as long as there is no later one."""

    folder: Path
    job: str
    attempt: int

    @property
    def path(self) -> Path:
        return self.folder / f"{self.job}.{self.attempt}"

    @property
    def given_up(self) -> bool:
        """Whether it is over, or its owner is known to be dead."""
        try:
            if self.path.with_name(f"{self.path.name}.end").exists():
                return True
            owner = _read(self.path)
        except OSError:  # a network file system that does not answer; whether the owner does, time will tell
            return False
        return owner is None or owner.dead

    def check(self) -> None:
        """
        Raises:
            LostError: another sweeper has taken the job over.
        """
        if (later := newest(self.folder, self.job)) > self.attempt:
            who = "another sweeper"
            with contextlib.suppress(OSError):
                if other := _read(self.folder / f"{self.job}.{later}"):
                    who = f"process {other.pid} on {other.host.split()[0]}"
            raise LostError(f"{who} has taken this job over", where=str(self.path))

    def beat(self) -> None:
        """Give a sign of life. One may be missed."""
        with contextlib.suppress(OSError):
            os.utime(self.path)

    def end(self, status: str) -> None:
        """Say that the attempt is over, so that nobody needs to wait whether it still lives."""
        write_atomically(self.path.with_name(f"{self.path.name}.end"), status + "\n")


class Ledger:
    """The claims of one sweep, as one sweeper sees them.

    Args:
        folder: of the claims.
        patience: seconds without a sign of life after which an owner counts as dead.
    """

    def __init__(self, folder: Path, patience: float = BEAT * MISSED) -> None:
        self.folder, self._patience = folder, patience
        #: claim -> (its time stamp, when we saw it first by our own clock).
        self._seen: dict[Path, tuple[int, float]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def claim(self, job: str) -> Claim | None:
        """The job is ours from now on; or None where somebody else works on it."""
        last = newest(self.folder, job)
        if last and not self._is_over(Claim(self.folder, job, last)):
            return None
        mine = Claim(self.folder, job, last + 1)
        temporary = self.folder / f".{job}.{os.getpid()}.{time.monotonic_ns()}"
        temporary.write_text(json.dumps(asdict(Owner.of(os.getpid()))), encoding="utf-8")
        try:
            os.link(temporary, mine.path)
        except FileExistsError:
            if temporary.stat().st_nlink < 2:  # else it is ours, and the answer of a network file system went astray
                return None
        finally:
            temporary.unlink()
        return mine

    def _is_over(self, claim: Claim) -> bool:
        if claim.given_up:
            return True
        try:
            stamp, now = claim.path.stat().st_mtime_ns, time.monotonic()
        except OSError:
            return False
        if self._seen.get(claim.path, (None, 0.0))[0] != stamp:
            self._seen[claim.path] = (stamp, now)
        return now - self._seen[claim.path][1] > self._patience


def at_work(folder: Path) -> set[str]:
    """The jobs that somebody may be at work on; of another machine's process it cannot be known that it has died."""
    attempts: dict[str, int] = {}
    for path in folder.glob("[!.]*"):
        job, _, attempt = path.name.rpartition(".")
        if attempt.isdigit():
            attempts[job] = max(attempts.get(job, 0), int(attempt))
    return {job for job, attempt in attempts.items() if not Claim(folder, job, attempt).given_up}


def newest(folder: Path, job: str) -> int:
    """The number of the last attempt at a job, 0 if there is none."""
    numbers = [path.suffix[1:] for path in folder.glob(f"{job}.*") if path.suffix[1:].isdigit()]
    return max(map(int, numbers), default=0)


def _read(path: Path) -> Owner | None:
    """Whose claim it is; None of one that a power cut has left without its text."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Owner(**values)
    except (ValueError, TypeError):
        return None
