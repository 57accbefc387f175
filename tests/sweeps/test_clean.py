"""finesweep list and clean: what lies below a folder, what of it may go, and that nothing else does."""

import json
import os
import re
import time
from pathlib import Path

import pytest

from finesweep.cli import main
from finesweep.results.lock import locked
from finesweep.results.record import RunRecord, Status
from finesweep.sweeps.disk import Keep
from finesweep.sweeps.ledger import Ledger
from tests.sweeps.recorded import run

Shown = pytest.CaptureFixture[str]


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``outputs`` with a sweep of three configurations with two seeds each, and three single runs."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "outputs"
    sweep = root / "demo-tiny" / "sweep-1"
    scores = {("a", 1): 0.4, ("a", 2): 0.6, ("b", 1): 0.7, ("b", 2): 0.8, ("c", 1): 0.1, ("c", 2): None}
    for (strategy, seed), score in scores.items():
        overrides = [f"finetune_strategy={strategy}", f"seed={seed}"]
        values = {"name": "demo-tiny", "seed": seed, "data": {"name": "demo"}, "finetune_strategy": strategy}
        status: Status = "failed" if score is None else "ok"
        run(sweep / ",".join(overrides), overrides, score or 0.0, status=status, sweep="sweep-1", values=values)
    Keep("best", replicates=2).write(sweep)
    (sweep / "ledger").mkdir()
    (sweep / "sweep.json").write_text("{}")
    for number, state in enumerate(("ok", "interrupted", "running")):
        folder = run(root / "demo-tiny" / f"2026-run-{number}", [], 0.5, status=state).folder  # type: ignore[arg-type]
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "step-1.safetensors").write_bytes(bytes(2000))
    return root


def old(path: Path, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(3000))
    os.utime(path, (time.time() - days * 24 * 3600,) * 2)
    return path


def test_a_list_tells_when_how_many_how_good_and_how_large(outputs: Path, capsys: Shown) -> None:
    assert main(["list"]) == 0
    rows = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    table = {row[0]: row[1:] for row in rows if len(row) == 6}
    size = sum(path.stat().st_size for path in (outputs / "demo-tiny" / "sweep-1").rglob("*") if path.is_file())
    assert table["demo-tiny/sweep-1"][2:] == ["5 ok, 1 failed", "f1 0.7500", f"{size / 1024:.1f} KiB"]
    assert table["demo-tiny/2026-run-0"][2:4] == ["ok", "f1 0.5000"]
    assert rows[-1][0].startswith("9 runs, ")


def test_who_lost_a_race_is_not_the_best_of_a_list(outputs: Path, capsys: Shown) -> None:
    overrides = ["finetune_strategy=b", "seed=3"]
    values = {"name": "demo-tiny", "seed": 3, "data": {"name": "demo"}, "finetune_strategy": "b"}
    folder = outputs / "demo-tiny" / "sweep-1" / ",".join(overrides)
    run(folder, overrides, status="pruned", sweep="sweep-1", values=values)
    assert main(["list"]) == 0
    assert re.search(r"sweep-1 .* 1 pruned, 1 failed +f1 0\.5000 ", capsys.readouterr().out)


def test_a_run_that_says_it_is_running_is_only_so_while_a_process_holds_it(outputs: Path, capsys: Shown) -> None:
    folder = outputs / "demo-tiny" / "2026-run-2"
    with locked(folder):
        assert main(["list", str(folder)]) == 0
        assert re.search(r"run-2 +run .*  running", capsys.readouterr().out)
    assert main(["list", str(folder)]) == 0
    assert re.search(r"run-2 +run .*  stopped", capsys.readouterr().out)


def test_a_list_of_a_sweep_is_of_its_runs_and_one_of_nothing_says_so(outputs: Path, capsys: Shown) -> None:
    sweep = outputs / "demo-tiny" / "sweep-1"
    (sweep / "finetune_strategy=c,seed=2" / "record.json").write_text("{")
    assert main(["list", str(sweep)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^finetune_strategy=b,seed=2 +run .* f1 0\.8000 ", shown, re.MULTILINE)
    assert main(["list"]) == 0
    assert "5 ok, 1 unreadable" in capsys.readouterr().out
    assert main(["list", str(sweep / "ledger")]) == 0
    assert "There are no runs below" in capsys.readouterr().out
    assert main(["list", "nowhere"]) == 2
    assert "there is no such folder" in capsys.readouterr().err


def test_clean_shows_what_may_go_and_removes_that_alone_when_told_to(outputs: Path, capsys: Shown) -> None:
    sweep, root = outputs / "demo-tiny" / "sweep-1", outputs / "demo-tiny"
    gone = {root / "2026-run-0" / "checkpoints" / "step-1.safetensors"}
    gone |= {path for path in sweep.glob("*=a,*/model/*") if path.is_file()}
    gone |= {old(root / "2026-run-1" / ".record.json.7.tmp", 1), old(sweep / "ledger" / ".job.7.7", 1)}
    old(root / "2026-run-2" / ".record.json.8.tmp", 0)
    before = {path: path.read_bytes() for path in outputs.rglob("*") if path.is_file()}
    assert main(["clean"]) == 0
    shown = capsys.readouterr().out
    assert {path for path in outputs.rglob("*") if path.is_file()} == before.keys()
    assert re.search(r"^demo-tiny/2026-run-0 +checkpoints +1 +2\.0 KiB$", shown, re.MULTILINE)
    assert re.search(r"^demo-tiny/sweep-1 +models +2 +2\.0 KiB$", shown, re.MULTILINE)
    assert shown.endswith("9.8 KiB may go: the same with --yes removes it\n")
    assert main(["clean", "--yes"]) == 0
    assert capsys.readouterr().out.endswith("9.8 KiB removed\n")
    after = {path: path.read_bytes() for path in outputs.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after.keys() == before.keys() - gone
    changed = {path for path in after if after[path] != before[path]}
    assert changed == {sweep / f"finetune_strategy=a,seed={seed}" / "record.json" for seed in (1, 2)}
    assert "(keep=best)" in RunRecord.read(sweep / "finetune_strategy=a,seed=1").model["dropped"]
    assert main(["clean"]) == 0
    assert "Nothing below outputs/ may go." in capsys.readouterr().out


def test_clean_with_another_keep(outputs: Path, capsys: Shown) -> None:
    sweep = outputs / "demo-tiny" / "sweep-1"
    (sweep / "keep.json").unlink()  # a sweep of old: its models are only touched when asked for
    assert main(["clean", "--yes", str(sweep)]) == 0
    assert len(list(sweep.glob("*/model"))) == 5
    assert main(["clean", "--yes", "--keep", "2", str(sweep)]) == 0
    assert {path.parent.name[18] for path in sweep.glob("*/model")} == {"a", "b"}
    assert main(["clean", "--keep", "none", "--yes", str(outputs)]) == 0
    assert [path.parent.name for path in outputs.rglob("model")] == ["2026-run-0"]  # a single run's
    assert main(["clean", "--keep", "few"]) == 2
    assert "--keep: should be best, all, none or a number from 0 on, not 'few'" in capsys.readouterr().err


def test_clean_leaves_alone_what_a_process_works_on(outputs: Path, capsys: Shown) -> None:
    sweep, single = outputs / "demo-tiny" / "sweep-1", outputs / "demo-tiny" / "2026-run-0"
    claim = Ledger(sweep / "ledger").claim(RunRecord.read(sweep / "finetune_strategy=c,seed=2").config_hash[:16])
    with locked(single):
        assert main(["clean", "--yes"]) == 0
    assert "Nothing below outputs/ may go." in capsys.readouterr().out
    assert claim is not None
    claim.end("failed")
    assert main(["clean", "--yes"]) == 0
    assert not list(sweep.glob("*=a,*/model"))
    assert not (single / "checkpoints").exists()


def test_tokenised_text_goes_that_nobody_has_read_for_a_month(outputs: Path, tmp_path: Path, capsys: Shown) -> None:
    kept, gone = old(tmp_path / "cache" / "b-3000.uint16", 20), old(tmp_path / "cache" / "a-3000.uint16", 40)
    file = outputs / "demo-tiny" / "2026-run-1" / "record.json"
    values = json.loads(file.read_text())
    values["config"]["task"] = {"cache_dir": str(tmp_path / "cache")}
    file.write_text(json.dumps(values))
    assert main(["clean", "--yes"]) == 0
    assert re.search(r"/cache +encoded text +1 +2\.9 KiB", capsys.readouterr().out)
    assert kept.exists()
    assert not gone.exists()


def test_a_removal_that_was_cut_short_is_brought_to_its_end(outputs: Path) -> None:
    record = RunRecord.read(outputs / "demo-tiny" / "sweep-1" / "finetune_strategy=c,seed=1")
    record.model["dropped"] = "so"
    record.write()
    assert main(["clean", "--yes"]) == 0
    assert not (record.folder / "model").exists()
    assert RunRecord.read(record.folder).model["dropped"] == "so"


def test_checkpoints_of_runs_that_could_go_on_go_when_asked_for(outputs: Path) -> None:
    root = outputs / "demo-tiny"
    with locked(root / "2026-run-2"):
        assert main(["clean", "--unfinished", "--yes"]) == 0
    assert [(root / f"2026-run-{number}" / "checkpoints").exists() for number in range(3)] == [False, False, True]
    assert RunRecord.read(root / "2026-run-1").status == "interrupted"
