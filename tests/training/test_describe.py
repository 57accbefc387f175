"""``finesweep data``: every figure of a small corpus that can be counted by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finesweep.cli import main
from finesweep.training.describe import divergence

TRAIN = "a b\tx\na  B\tx\na b\ty\nc d e\ty\nq\tx\n"
VALIDATION = "a b\tx\nz z z z z z z z z z\tw\n"


@pytest.fixture
def told(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.tsv").write_text(TRAIN)
    (tmp_path / "dev.tsv").write_text(VALIDATION)
    files = ["data=files", "data.train=train.tsv", "data.validation=dev.tsv", "task=text_classification"]
    assert main(["data", *files, "data.max_length=8", "data.name=mine"]) == 0
    return capsys.readouterr().out


def cells(told: str, first: str) -> list[str]:
    """The cells of the table row that begins with a word."""
    line = next(line for line in told.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_rows_repeats_contradictions_and_overlap_are_counted(told: str) -> None:
    assert cells(told, "train") == ["train", "5", "2", "1", ""]
    assert cells(told, "validation") == ["validation", "2", "0", "0", "1"]


def test_rows_in_two_splits_are_told_of_each_pair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("train", "a\tx\nb\ty\n"), ("dev", "c\tx\nd\ty\n"), ("test", "a\tx\nc\tx\nD\ty\n")):
        (tmp_path / f"{name}.tsv").write_text(text)
    files = [
        f"data.{split}={name}.tsv" for split, name in (("train", "train"), ("validation", "dev"), ("test", "test"))
    ]
    assert main(["data", "data=files", *files, "task=text_classification", "data.name=mine"]) == 0
    out = capsys.readouterr().out
    assert "rows also in train | rows also in validation" in out
    assert cells(out, "test") == ["test", "3", "0", "0", "1", "2"]
    assert cells(out, "validation")[-2:] == ["0", ""]


def test_lengths_and_what_max_length_cuts(told: str) -> None:
    lengths = told[told.index("### Lengths") :]
    assert cells(lengths, "train") == ["train", "1", "2", "2.0000", "2", "3", "0", "0.0000"]
    assert cells(lengths, "validation") == ["validation", "2", "6", "6.0000", "9", "10", "1", "0.5000"]


def test_classes_and_those_missing_from_training(told: str) -> None:
    assert "Missing from training: w." in told
    assert cells(told, "x") == ["x", "3", "0.6000", "1", "0.5000"]


def test_what_training_has_not_seen(told: str) -> None:
    distance = told[told.index("### Distance") :]
    assert cells(distance, "validation")[1] == f"{10 / 12:.4f}"


def test_a_report_with_a_figure_is_written(told: str, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "data" / "mine"
    assert f"Report: {folder.relative_to(tmp_path)}/report.md" in told
    assert "figures/data.png" in (folder / "report.md").read_text()
    assert (folder / "figures" / "data.png").stat().st_size > 1000


@pytest.mark.parametrize("data", ["demo", "demo_similarity", "demo_causal_text", "demo_dialogues", "demo_choices"])
def test_data_of_other_tasks_is_told_too(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = "data.sentences={train: 40, validation: 12, test: 12}"
    assert main(["data", f"data={data}", few, "--output", str(tmp_path / "told")]) == 0
    assert "### Lengths" in capsys.readouterr().out


COUNTS = st.lists(st.integers(0, 50), min_size=4, max_size=4).map(np.array)


@given(COUNTS, COUNTS, st.integers(1, 9))
def test_the_divergence_is_symmetric_and_between_nothing_and_all(one: np.ndarray, other: np.ndarray, by: int) -> None:
    apart = divergence(one, other)
    assert -1e-12 <= apart <= 1 + 1e-12
    assert apart == pytest.approx(divergence(other, one))
    assert divergence(one, one * by) == pytest.approx(0, abs=1e-12)


def test_nothing_in_common_is_one() -> None:
    assert divergence(np.array([3, 0]), np.array([0, 5])) == 1.0
