"""Claims on a file system that does not always answer."""

import os
from pathlib import Path

import pytest

from finesweep.sweeps.ledger import Ledger, at_work


def test_a_claim_that_cannot_be_read_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That its owner is dead is known only of one that can be read."""
    assert Ledger(tmp_path).claim("job") is not None
    read, stat = Path.read_text, Path.stat

    def stale(path: Path, **_: object) -> None:
        raise OSError(116, "Stale file handle", str(path))

    monkeypatch.setattr(Path, "read_text", lambda p, **k: (stale if p.name == "job.1" else read)(p, **k))
    other = Ledger(tmp_path, patience=0.0)
    assert at_work(tmp_path) == {"job"}
    monkeypatch.setattr(Path, "stat", lambda p, **k: (stale if p.name.startswith("job.1") else stat)(p, **k))
    assert other.claim("job") is None
    assert other.claim("job") is None
    monkeypatch.setattr(Path, "stat", stat)
    assert other.claim("job") is None  # seen for the first time
    later = other.claim("job")
    assert later is not None
    assert later.attempt == 2
    later.beat()
    later.path.unlink()
    later.beat()


def test_a_link_whose_answer_went_astray_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def astray(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError(17, "File exists", str(target))

    ledger = Ledger(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "link", astray)
        mine = ledger.claim("job")
    assert mine is not None
    mine.check()
    assert Ledger(tmp_path).claim("job") is None


@pytest.mark.parametrize("left", [b"", b"\x00\xff\xfe"])
def test_a_claim_that_a_power_cut_has_spoilt_is_taken_over(tmp_path: Path, left: bytes) -> None:
    first = Ledger(tmp_path).claim("job")
    assert first is not None
    first.path.write_bytes(left)
    second = Ledger(tmp_path).claim("job")
    assert second is not None
    assert second.attempt == 2
