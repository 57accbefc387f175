"""A run is done again from its record, and every number is compared."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import finesweep
from finesweep.cli import main
from finesweep.results.record import RunRecord


@pytest.fixture
def on_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: list[str]) -> Path:
    """The folder of a run on files in a repository, from which the test goes on."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{'good' if i % 2 else 'bad'} text {i}\t{'pos' if i % 2 else 'neg'}\n" for i in range(64))
    for split in ("train", "validation", "test"):
        Path(f"{split}.tsv").write_text("text\tlabel\n" + rows)
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "Begin")
    Path("train.tsv").write_text(Path("train.tsv").read_text() + "one more\tpos\n")
    Path("new.py").write_text("pass\n")
    files = [f"data.{split}={split}.tsv" for split in ("train", "validation", "test")]
    short = [text for text in quick if "sentences" not in text]
    return finesweep.run(["data=files", "task=text_classification", *files, *short, "hydra.run.dir=runs/one"]).folder


def git(*arguments: str) -> str:
    person = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
    return subprocess.run(["git", *person, *arguments], check=True, capture_output=True, text=True).stdout


def written(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "record.json").read_text()))


def test_the_record_holds_what_is_needed_to_do_it_again(on_files: Path) -> None:
    record = written(on_files)
    assert record["format"] == 2
    assert record["config"]["optimizer"]["lr"] > 0
    assert record["cwd"] == str(Path.cwd())
    assert record["git"] | {"finesweep": None} == {
        "commit": git("rev-parse", "HEAD").strip(), "dirty": True, "untracked": ["new.py"], "finesweep": None,
        "diff": hashlib.sha256(git("diff", "HEAD", "--binary").encode()).hexdigest(),
    }  # fmt: skip
    assert "+one more\tpos" in (on_files / "uncommitted.diff").read_text()
    assert {
        "python",
        "platform",
        "cpu",
        "cores",
        "threads",
        "interop_threads",
        "gpus",
        "cuda",
        "cudnn",
        "packages",
    } == (record["environment"].keys())
    assert [split["rows"] for split in record["data"].values()] == [65, 64, 64]
    assert len(record["model"]["fingerprint"]) == len(record["model"]["weights"]) == 64
    assert record["process"].keys() == {"pid", "host"}


def test_doing_it_again_gives_the_same(
    on_files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = on_files.resolve()
    monkeypatch.chdir("/")
    assert main(["reproduce", str(folder), "--output", str(folder.parent / "two")]) == 0
    said = capsys.readouterr().out
    assert "identical." in said
    assert "different" not in said
    then, now = RunRecord.read(folder), RunRecord.read(folder.parent / "two")
    assert then.metrics == now.metrics
    assert then.model == now.model
    told = {"run": str(folder), "threads": 1, "batch": then.batch, "verdict": "identical", "differs": []}
    assert now.reproduces == told


def test_one_changed_sentence_is_refused_by_the_name_of_its_split(
    on_files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path("validation.tsv")
    file.write_text(file.read_text().replace("good text 1\t", "good text one\t"))
    assert main(["reproduce", "--check", str(on_files)]) == 1
    assert "data.validation.fingerprint" in capsys.readouterr().out
    assert main(["reproduce", str(on_files)]) == 2
    message = capsys.readouterr().err
    assert "data.validation.fingerprint" in message
    assert "data.train" not in message


def test_data_that_is_gone_cannot_be_run(on_files: Path) -> None:
    Path("train.tsv").unlink()
    assert main(["reproduce", str(on_files)]) == 2


def change(folder: Path, **values: Any) -> None:
    record = written(folder)
    for path, value in values.items():
        *above, last = path.split("__")
        node = record
        for key in above:
            node = node[key]
        node[last] = value
    (folder / "record.json").write_text(json.dumps(record))


@pytest.mark.parametrize(("off", "status", "verdict"), [(1e-4, 0, "within tolerance."), (0.1, 1, "different.")])
def test_other_numbers_are_told_with_what_may_be_why(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], off: float, status: int, verdict: str
) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "run")
    change(folder, metrics__test__f1=written(folder)["metrics"]["test"]["f1"] + off)
    change(folder, environment__packages__torch="1.0", environment__cpu="a slide rule")
    assert main(["reproduce", str(folder)]) == status
    said = capsys.readouterr().out
    assert verdict in said.splitlines()
    assert "packages.torch: 1.0, now " in said
    assert "cpu: a slide rule, now " in said
    assert "python" not in said


def test_a_run_that_did_not_end_well_is_not_done_again(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "run")
    change(folder, status="failed")
    assert main(["reproduce", str(folder)]) == 2
    assert "its status is failed" in capsys.readouterr().err


def test_a_record_of_old_is_done_again(finished_run: Path, tmp_path: Path) -> None:
    """Format 1 had its configuration in config.yaml alone, and no hash of the weights."""
    folder = shutil.copytree(finished_run, tmp_path / "run")
    record = written(folder)
    for key in ("config", "cwd", "sweep", "process", "resumed", "reproduces"):
        del record[key]
    record["format"] = 1
    del record["model"]["weights"]
    (folder / "record.json").write_text(json.dumps(record))
    assert main(["reproduce", str(folder)]) == 0


def test_secrets_are_not_written_down(tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "hf_abcdefghijklmnopqrstuvwxyz"
    monkeypatch.setenv("HF_TOKEN", secret)
    main(["train", *quick, f"extension_packages=[{secret}]", f"hydra.run.dir={tmp_path / 'run'}"])
    assert "***" in (tmp_path / "run" / "report.md").read_text()
    for file in (tmp_path / "run").rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file


def test_a_new_run_that_fails_cannot_be_run(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("finesweep.training.reproduce.run", fail)
    assert main(["reproduce", str(finished_run), "--output", str(tmp_path / "new")]) == 2
    assert "cannot be done again: RuntimeError: out of memory" in capsys.readouterr().err


def test_a_folder_that_is_gone_is_told_of(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "run")
    change(folder, cwd="/nowhere/at/all")
    assert main(["reproduce", str(folder), "--check"]) in (0, 1)
    assert "/nowhere/at/all, where the run was started, is gone" in capsys.readouterr().err


def test_secrets_have_to_be_given_again(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "run")
    change(folder, config__model__hub_token="***")
    assert main(["reproduce", str(folder)]) == 2
    assert "give the command again" in capsys.readouterr().err


@pytest.mark.parametrize("tolerance", ["-1", "nan", "inf"])
def test_a_tolerance_is_a_number_from_0_on(finished_run: Path, tolerance: str) -> None:
    assert main(["reproduce", str(finished_run), f"--tolerance={tolerance}"]) == 2
