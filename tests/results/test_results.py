"""Records, leaderboards and reports on their own, without a training."""

import os
import subprocess
from pathlib import Path

import pytest

from finesweep.config.errors import UserError
from finesweep.config.identity import config_hash
from finesweep.results.environment import environment, git_state, uncommitted
from finesweep.results.figures import confusion_matrix
from finesweep.results.record import RunRecord, repeatable_config
from finesweep.results.tables import markdown_table
from finesweep.training.components import Components
from tests.results.scores import record


def test_a_record_survives_writing_and_reading(tmp_path: Path) -> None:
    written = record(tmp_path, ["seed=1"], 0.9)
    written.end("ok")
    assert RunRecord.read(written.folder) == written


def test_a_record_of_a_later_version_with_more_in_it_can_be_read(tmp_path: Path) -> None:
    written = record(tmp_path, [], 0.9)
    written.end("ok")
    file = tmp_path / "record.json"
    file.write_text(file.read_text().replace('"name"', '"unheard_of": 3,\n  "name"', 1))
    assert RunRecord.read(tmp_path).name == "demo"


@pytest.mark.parametrize("content", [None, "{", "", "{}", "[]"])
def test_no_record_or_a_broken_one_is_one_message(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "record.json").write_text(content)
    with pytest.raises(UserError, match=str(tmp_path)):
        RunRecord.read(tmp_path)


def test_the_environment_holds_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "hush-hush")
    assert "hush-hush" not in str(environment())


def test_git_state_outside_of_a_repository(tmp_path: Path) -> None:
    assert git_state(tmp_path) == {"commit": None, "dirty": None}
    assert uncommitted(tmp_path) == ""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=me", "-c", "user.email=me@here"]
    (tmp_path / "file").write_text("one")
    for command in (["init", "-q"], ["add", "file"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    return tmp_path


def test_a_repository_is_looked_at_without_a_lock(repository: Path) -> None:
    """Git takes one to note what has not changed; a run that is killed meanwhile would leave it to the user."""
    os.utime(repository / "file", (1, 1))  # as if it had changed
    before = (repository / ".git" / "index").read_bytes()
    assert git_state(repository)["dirty"] is False
    assert (repository / ".git" / "index").read_bytes() == before


def test_where_the_index_cannot_be_read_nothing_is_said_to_be_deleted(repository: Path) -> None:
    (repository / "file").write_text("two")
    assert "+two" in uncommitted(repository)
    (repository / ".git" / "index").unlink()
    (repository / ".git" / "index").mkdir()
    assert uncommitted(repository) == ""


def test_markdown_escapes_pipes() -> None:
    assert markdown_table(["a", "b"], [["x|y", 0.5]]).splitlines()[-1] == "| x\\|y | 0.5000 |"


def test_a_confusion_matrix_with_an_empty_row_and_many_labels(tmp_path: Path) -> None:
    labels = [f"B-{i}" for i in range(40)]
    confusion_matrix(labels, [[i if i == j else 0 for j in range(40)] for i in range(40)], tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_a_confusion_matrix_of_very_many_labels_stays_a_picture(tmp_path: Path) -> None:
    labels = [f"label {number}" for number in range(400)]
    confusion_matrix(labels, [[int(i == j) for j in range(400)] for i in range(400)], tmp_path / "large.png")
    with (tmp_path / "large.png").open("rb") as stream:
        width = int.from_bytes(stream.read(24)[16:20], "big")
    assert width < 5000


def test_runs_of_format_1_stay_readable() -> None:
    """Written by the code of then; what came later is filled in, so that they can be run again."""
    old = RunRecord.read(Path(__file__).parent / "run_of_format_1")
    assert (old.format, old.status, old.resumed) == (1, "ok", [])
    assert old.metrics["validation"]["f1"] == pytest.approx(0.0421, abs=1e-4)
    values = repeatable_config(old)
    assert config_hash(values) == old.config_hash  # so that what is done stays done
    assert Components.of(values).trainer.checkpoint_minutes == 5


def test_a_record_of_a_newer_format_says_so(tmp_path: Path) -> None:
    record(tmp_path, [], 0.9).end("ok")
    file = tmp_path / "record.json"
    file.write_text(file.read_text().replace('"format": 2', '"format": 3'))
    with pytest.raises(UserError, match="update finesweep"):
        RunRecord.read(tmp_path)
