"""What a split contains, as one hash: of its rows alone, not of the path, the format or the time they were read."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def fingerprint(rows: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 over the rows in order. One changed tag changes it; the same rows from another file do not."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def content_hash(folder: Path, files: Iterable[Path]) -> str:
    """SHA-256 over files below a folder: their names and what is in them, not where they stand or how old they are."""
    digest = hashlib.sha256()
    for file in sorted(path for path in files if path.is_file()):
        digest.update(str(file.relative_to(folder)).encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
