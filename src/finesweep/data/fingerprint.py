"""What a split contains, as one hash: of its rows alone, not of the path, the format or the time they were read."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any


def fingerprint(rows: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 over the rows in order. One changed tag changes it; the same rows from another file do not."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
        digest.update(b"\n")
    return digest.hexdigest()
