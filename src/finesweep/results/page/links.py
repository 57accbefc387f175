"""Links from the page to what lies around it."""

import os
from pathlib import Path
from urllib.parse import quote


def href(path: Path, folder: Path) -> str:
    """A link from a page in ``folder``, relative, so that the whole can be moved."""
    return "./" + quote(relative(path, folder), safe="/=,+") + ("/" if path.is_dir() else "")


def relative(path: Path, folder: Path) -> str:
    """A path as seen from ``folder``: of several sweeps, runs may have the same name."""
    return Path(os.path.relpath(path, folder)).as_posix()
