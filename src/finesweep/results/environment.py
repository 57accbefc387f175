"""What a run ran on: code version, packages, Python, operating system, processor, accelerator. No secrets."""

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from finesweep.config.identity import differences
from finesweep.config.secrets import redacted_diff

#: Bytes of a diff that are kept; more is no small change to a known commit.
_LARGEST_DIFF = 10_000_000
#: Files of a container, of the newer kind and the older: its limit of memory, and what it uses.
_CGROUP = {
    "memory.max": "memory.current",
    "memory/memory.limit_in_bytes": "memory/memory.usage_in_bytes",
}


def git_state(folder: Path, but: Path | None = None) -> dict[str, Any]:
    """The state of the repository that ``folder`` is in.

    Args:
        but: what does not count, a folder.

    Returns:
        ``commit``; whether it is ``dirty``; the names of ``untracked`` files, a hundred at most; and ``diff``, the
        SHA-256 of what else is not committed, None where all is. What git does not tell is None.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "dirty": None}
    places = [":/", *([f":(exclude){but.resolve()}"] if but and but.resolve().is_relative_to(folder) else [])]
    status = _git(folder, "status", "--porcelain", "--untracked-files=all", "--", *places)
    lines = (status or "").splitlines()
    diff = _diff(folder)
    return {
        "commit": commit.strip(),
        "dirty": None if status is None else bool(lines),
        "untracked": [line[3:] for line in lines if line.startswith("??")][:100],
        "diff": hashlib.sha256(diff.encode()).hexdigest() if diff else None,
    }


def uncommitted(folder: Path) -> str:
    """How the tracked files of the repository that ``folder`` is in differ from its commit, without secrets.

    ``git apply`` takes it, unless it was too long to be kept: then its last line says so.
    """
    diff = _diff(folder)
    cut = len(diff) > _LARGEST_DIFF
    end = f"\n# cut here: {len(diff)} characters, {_LARGEST_DIFF} of them are kept\n" if cut else ""
    return redacted_diff(diff[:_LARGEST_DIFF]) + end


def _diff(folder: Path) -> str:
    index = _git(folder, "rev-parse", "--git-path", "index")
    if index is None:
        return ""
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "index"  # git locks it, to note there what has not changed
        try:
            shutil.copyfile(folder / index.strip(), copy)
        except FileNotFoundError:  # of a repository that has none yet
            pass
        except OSError:  # without one git would say that all is deleted
            return ""
        found = _git(folder, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-color", "--no-textconv", index=copy)
        return found or ""


def source_state() -> dict[str, Any] | None:
    """The commit of the repository that this code is run from; None where it is installed as a package."""
    here = Path(__file__)
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None
    state = git_state(here.parent)
    return {"commit": state["commit"], "dirty": state["dirty"], "diff": state["diff"]}


def changed_code(then: dict[str, Any], folder: Path) -> list[str]:
    """How the code is not what the ``git`` of a record says, by name.

    Untracked files do not count: results are among them.
    """
    if not then.get("commit"):
        return []
    now = git_state(folder)
    keys = [key for key in ("commit", "diff") if key in then]
    found = differences({"git": {key: then[key] for key in keys}}, {"git": {key: now.get(key) for key in keys}})
    if "finesweep" in then:
        source = source_state() or {}
        known = [key for key in keys if key in then["finesweep"]]
        tree = {key: then["finesweep"][key] for key in known}, {key: source.get(key) for key in known}
        found += differences({"git.finesweep": tree[0]}, {"git.finesweep": tree[1]})
    return found


def _git(folder: Path, *arguments: str, index: Path | None = None) -> str | None:
    own = {} if index is None else {"GIT_INDEX_FILE": str(index)}
    try:
        done = subprocess.run(
            # A lock that a kill leaves behind would stop the user's own git.
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True, text=True, errors="replace", timeout=10, check=True, env={**os.environ, **own},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


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
        "interop_threads": torch.get_num_interop_threads(),
        "gpus": gpus,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if gpus else None,
        "packages": packages(),
    }


@cache
def packages() -> dict[str, str]:
    """The version of each package; of one that is there twice the one that is imported, the first found."""
    found: dict[str, str] = {}
    for each in metadata.distributions():
        about = each.metadata  # read anew at each look
        if about["Name"]:  # what is left of one that was half removed has none
            found.setdefault(about["Name"], about["Version"])
    return dict(sorted(found.items()))


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine_memory() -> int | None:
    """Bytes of memory that this machine has, or the container if it may have less; None where nothing tells."""
    limits = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not on Windows
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for file in _CGROUP:
        with contextlib.suppress(OSError, ValueError):  # no such limit, or `max`
            limits.append(int((Path("/sys/fs/cgroup") / file).read_text()))
    return min(limits, default=None)


def free_memory(device: Any, devices: int) -> int | None:
    """Bytes that are free on a torch device; None where nothing tells.

    Of a CPU what the system could give to this process without paging, within the limit of its container. Of several
    devices nine tenths of what the smallest has, so that all of them come to the same.
    """
    import torch

    if device.type == "cuda" and devices > 1:
        return int(0.9 * min(torch.cuda.get_device_properties(i).total_memory for i in range(devices)))
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if devices > 1:
        whole = machine_memory()
        return None if whole is None else int(0.9 * whole / devices)
    free = []
    with contextlib.suppress(OSError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    for limit, used in _CGROUP.items():
        with contextlib.suppress(OSError, ValueError):  # no such limit, or `max`
            group = Path("/sys/fs/cgroup")
            free.append(int((group / limit).read_text()) - int((group / used).read_text()))
    return min(free, default=None)


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
