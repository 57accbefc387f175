"""Prediction and evaluation go through what need not fit into memory, window by window, and give the same."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import finesweep
from finesweep.cli import main
from finesweep.data import formats
from finesweep.deploy import evaluate, predictor
from finesweep.deploy.progress import progress

SENTENCES = [["Klosen", "left", "Brunburg", "Bank", "."], ["He", "met", "U.N.", "doctors"], ["x"] * 40, ["Feis"]]
TAGS = [["B-PER", "O", "B-ORG", "I-ORG", "O"], ["O", "O", "B-ORG", "O"], ["O"] * 40, ["B-LOC"]]


def written(path: Path, times: int = 9) -> Path:
    blocks = ["".join(f"{w}\t{t}\n" for w, t in zip(*row, strict=True)) for row in zip(SENTENCES, TAGS, strict=True)]
    path.write_text("-DOCSTART-\tO\n\n" + "\n".join(blocks * times) + "\n-DOCSTART-\tO\n\n" + "\n".join(blocks))
    return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Windows of seven rows, and every file large."""

    def narrow() -> None:
        for module in (evaluate, predictor):
            monkeypatch.setattr(module, "WINDOW", 7)
        monkeypatch.setattr(formats, "_LARGE", 0)

    return narrow


@pytest.mark.parametrize("context", ["sentence", "document"])
def test_scores_and_predictions_do_not_depend_on_windows(
    context: str, tmp_path: Path, quick: list[str], small: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path / "in.conll")
    data = [*quick, f"hydra.run.dir={tmp_path / 'run'}", "data.max_length=32", f"data.context={context}"]
    run = finesweep.run([*data, "trainer.max_epochs=1"])
    other = ["data=files", "data.train=null", f"data.test={file}"]

    def outcome(name: str) -> tuple[dict[str, float], str]:
        output = tmp_path / f"{name}.jsonl"
        capsys.readouterr()
        assert main(["evaluate", str(run.folder), *other, "--json", "--output", str(output)]) == 0
        return json.loads(capsys.readouterr().out)["metrics"], output.read_text()

    whole, lines = outcome("whole")
    small()
    metrics, again = outcome("windows")
    assert len(lines.splitlines()) == 40
    assert metrics == pytest.approx(whole, abs=1e-5)
    said, expected = ([json.loads(line)["predicted_tags"] for line in text.splitlines()] for text in (again, lines))
    assert said == expected
    assert main(["predict", str(run.folder), "--input", str(file), "--output", str(tmp_path / "out.jsonl")]) == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 40


def test_what_is_noted_of_each_window_is_said_once(
    small: Callable[[], None], finished_run: Path, tmp_path: Path
) -> None:
    small()
    lines = ["a\tB-NEW\n\n" * 8, "b\tI-PER\n\n" * 20]
    (tmp_path / "a.conll").write_text("".join(lines))
    overrides = ["data=files", "data.train=null", f"data.test={tmp_path / 'a.conll'}"]
    with finesweep.config.compose.hydra_session(None) as hydra:
        values = finesweep.config.check.check(
            finesweep.config.compose.compose(hydra, overrides), optional=("data.train",)
        )
    notes = evaluate.evaluate(finished_run, values, None)[1].notes
    assert len([note for note in notes if "begin with I-" in note]) == 1
    assert len([note for note in notes if "B-NEW" in note]) == 1


def test_no_more_is_read_than_a_window(finished_run: Path, small: Callable[[], None]) -> None:
    small()
    asked = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal asked
        while True:
            asked += 1
            yield {"tokens": ["word"] * (asked % 5 + 1)}

    pairs = list(islice(finesweep.load(finished_run).in_windows(endless()), 9))
    assert asked == 14
    assert [len(row["tokens"]) for row, _ in pairs] == [2, 3, 4, 5, 1, 2, 3, 4, 5]
    assert [len(said["tags"]) for _, said in pairs] == [2, 3, 4, 5, 1, 2, 3, 4, 5]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("shown", [True, False])
def test_a_terminal_shows_how_far_it_is(
    shown: bool, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", _Terminal() if shown else io.StringIO())
    (tmp_path / "in.txt").write_text("Klosen left .\n" * 200)
    arguments = ["--input", str(tmp_path / "in.txt"), "--output", str(tmp_path / "out.jsonl")]
    assert main(["predict", str(finished_run), *arguments]) == 0
    said = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert ("200/200" in said and "rows/s" in said) == shown
    assert shown or not said


def test_rows_with_several_windows_are_counted_once(finished_run: Path) -> None:
    counted: list[int] = []
    rows = [{"tokens": ["word"] * length} for length in (3, 400, 1, 90)]
    finesweep.load(finished_run).run(rows, counted.append)
    assert sum(counted) == 4


def test_the_number_of_rows_need_not_be_known() -> None:
    with progress("rows", None) as done:
        done(3)


# --- in 8 bits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["full", "lora"])
def test_in_8_bits_a_model_says_nearly_the_same(
    strategy: str, tmp_path: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = finesweep.run([*quick, f"hydra.run.dir={tmp_path / 'run'}", f"finetune_strategy={strategy}"])
    scores = []
    for more in ([], ["--int8"]):
        capsys.readouterr()
        assert main(["evaluate", str(run.folder), *quick_data(run.overrides), "--json", *more]) == 0
        scores.append(json.loads(capsys.readouterr().out)["metrics"])
    assert scores[0] != scores[1]
    assert scores[1]["loss"] == pytest.approx(scores[0]["loss"], rel=0.02)
    assert scores[1]["token_accuracy"] == pytest.approx(scores[0]["token_accuracy"], abs=0.02)
    model = finesweep.load(run.folder, int8=True).model
    assert any("quantized" in type(module).__module__ for module in model.modules())


def quick_data(overrides: list[str]) -> list[str]:
    return [text for text in overrides if text.startswith("data.")]
