"""Links from the page to what lies around it."""

import os
from pathlib import Path
from urllib.parse import quote


def href(path: Path, folder: Path) -> str:
    """A link from a page in ``folder``, relative, so that the whole can be moved."""
    relative = Path(os.path.relpath(path, folder)).as_posix()
    return "./" + quote(relative, safe="/=,+") + ("/" if path.is_dir() else "")
