"""``predict`` and ``evaluate`` on a finished run, from the command line and from Python."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import finesweep
from finesweep.cli import main
from finesweep.results.record import RunRecord, find_run

TEXT = "Yesterday Klosen of Brunburg Bank's board met in FC Feis, said U.N. doctors."
Lines = Callable[..., list[dict[str, object]]]


@pytest.fixture
def predicted(capsys: pytest.CaptureFixture[str], finished_run: Path) -> Lines:
    def run(*arguments: str) -> list[dict[str, object]]:
        assert main(["predict", str(finished_run), *arguments]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def test_texts_give_entities_with_offsets_and_scores(predicted: Lines) -> None:
    lines = predicted("--text", TEXT, "--text", "")
    assert [line["text"] for line in lines] == [TEXT, ""]
    assert lines[1]["entities"] == []
    for entity in lines[0]["entities"]:  # type: ignore[attr-defined]
        assert TEXT[entity["start"] : entity["end"]] == entity["text"]
        assert entity["type"] in ("LOC", "MISC", "ORG", "PER")
        assert 0 < entity["score"] <= 1


def test_file_stdin_and_arguments_agree(predicted: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [TEXT, "Doctors at Fexford Clinic treated 3 patients .", "", "x " * 400]
    (tmp_path / "in.txt").write_text("\r\n".join(texts) + "\n", encoding="utf-8-sig")
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    expected = predicted(*[part for text in texts for part in ("--text", text)])
    assert predicted("--input", str(tmp_path / "in.txt")) == expected
    assert predicted("--input", str(tmp_path / "in.jsonl")) == expected
    assert predicted("--input", str(tmp_path / "in.txt"), "--batch-size", "1") == expected
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(texts) + "\n"))
    assert predicted() == expected


def test_tokens_and_columns(predicted: Lines, tmp_path: Path, finished_run: Path) -> None:
    tokens = ["Klosen", "left", "Brunburg", "Bank", "."]
    (tmp_path / "in.jsonl").write_text(json.dumps({"tokens": tokens}) + "\n")
    (tmp_path / "in.conll").write_text("\n".join(tokens) + "\n\n")
    lines = predicted("--input", str(tmp_path / "in.jsonl"))
    assert lines[0]["text"] == " ".join(tokens)
    assert predicted("--input", str(tmp_path / "in.conll")) == lines
    output = tmp_path / "out.conll"
    arguments = ["--input", str(tmp_path / "in.conll"), "--format", "columns", "--output", str(output)]
    assert main(["predict", str(finished_run), *arguments]) == 0
    written = [line.split("\t") for line in output.read_text().splitlines() if line]
    assert [word for word, _ in written] == tokens
    assert all(tag == "O" or tag[:2] in ("B-", "I-") for _, tag in written)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a"}\n{"text": \n', "in.jsonl:2"),
        ('{"words": "a"}\n', "neither a 'text' nor"),
        ('{"tokens": [1]}\n', "token number 1 is 1, not text"),
        ('{"text": "a \\ud800"}\n', "in.jsonl:1: the text holds half a character"),
        ('{"tokens": ["a", "\\ud800"]}\n', "in.jsonl:1: token number 2 holds half a character"),
    ],
)
def test_bad_input_names_the_line(
    content: str, message: str, tmp_path: Path, finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").write_text(content)
    assert main(["predict", str(finished_run), "--input", str(tmp_path / "in.jsonl")]) == 2
    assert message in capsys.readouterr().err


def test_the_input_is_not_overwritten(
    tmp_path: Path, finished_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").write_text("kept\n")
    assert main(["predict", str(finished_run), "--input", "in.txt", "--output", f"{tmp_path}/in.txt"]) == 2
    assert "which it would overwrite" in capsys.readouterr().err
    assert (tmp_path / "in.txt").read_text() == "kept\n"


def test_output_goes_where_it_can(tmp_path: Path, finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = tmp_path / "new" / "out.jsonl"
    assert main(["predict", str(finished_run), "--text", "a", "--output", str(new)]) == 0
    assert json.loads(new.read_text())["text"] == "a"
    assert main(["predict", str(finished_run), "--text", "a", "--output", str(new / "below.jsonl")]) == 2
    assert "--output" in capsys.readouterr().err


def test_missing_and_wrongly_encoded_files(
    tmp_path: Path, finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "latin.txt").write_bytes("Müller".encode("latin-1"))
    assert main(["predict", str(finished_run), "--input", str(tmp_path / "latin.txt")]) == 2
    assert main(["predict", str(finished_run), "--input", str(tmp_path / "none.txt")]) == 2
    errors = capsys.readouterr().err
    assert "not UTF-8" in errors
    assert "no such file" in errors


def test_from_python(finished_run: Path, predicted: Lines) -> None:
    assert finesweep.load(finished_run).predict([TEXT]) == predicted("--text", TEXT)


def test_evaluate_gives_the_runs_own_scores(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = RunRecord.read(finished_run)
    for split in ("test", "validation"):
        assert main(["evaluate", str(finished_run), "--split", split, "--json"]) == 0
        metrics = json.loads(capsys.readouterr().out)["metrics"]
        assert metrics == pytest.approx(record.metrics[split], rel=1e-6)


def test_evaluate_on_another_file(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other.tsv"
    file.write_text("Klosen\tB-PER\nleft\tO\n\nVienna\tB-GPE\n")
    output = tmp_path / "out.jsonl"
    arguments = ["data=files", f"data.test={file}", "--output", str(output)]
    assert main(["evaluate", str(finished_run), *arguments]) == 0
    shown = capsys.readouterr()
    assert "2 rows" in shown.out
    assert "B-GPE (1)" in shown.err
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["tokens"] for row in rows] == [["Klosen", "left"], ["Vienna"]]


def test_a_run_without_model_says_so(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.json").write_text((finished_run / "record.json").read_text())
    assert main(["predict", str(tmp_path / "run"), "--text", "x"]) == 2
    assert "has no model" in capsys.readouterr().err


def test_runs_are_found_by_a_unique_part_of_their_name(tmp_path: Path, finished_run: Path) -> None:
    for name in ("demo/2026-a1", "demo/2026-b2"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "record.json").write_text((finished_run / "record.json").read_text())
    assert find_run("a1", tmp_path) == tmp_path / "demo" / "2026-a1"
    with pytest.raises(finesweep.UserError, match="fits 2 runs"):
        find_run("2026", tmp_path)
    with pytest.raises(finesweep.UserError, match="there is no run"):
        find_run("c3", tmp_path)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier") / "run"
    quick = ["data.sentences={train: 40, validation: 12, test: 12}", "trainer.max_steps=2", "trainer.progress=false"]
    return finesweep.run(["data=demo_topics", *quick, f"hydra.run.dir={folder}"]).folder


def test_empty_lines_a_byte_order_mark_and_gzip_are_no_hindrance(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "\ufeffDoctors met .\n\nHeavy rain .\n"
    (tmp_path / "in.txt").write_text(text)
    with gzip.open(tmp_path / "in.txt.gz", "wt", encoding="utf-8") as stream:
        stream.write(text)
    told = []
    for arguments in (["--input", str(tmp_path / "in.txt")], ["--input", str(tmp_path / "in.txt.gz")], []):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        assert main(["predict", str(classifier), *arguments]) == 0
        told.append([json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()])
    assert told == [["Doctors met .", "Heavy rain ."]] * 3
    assert main(["predict", str(classifier), "--input", str(tmp_path / "in.txt")]) == 0
    assert "in.txt: 1 empty line passed over" in capsys.readouterr().err
    assert main(["predict", str(classifier), "--input", str(tmp_path)]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_nothing_is_predicted_of_nothing(classifier: Path) -> None:
    assert finesweep.load(classifier).predict([]) == []


def test_a_language_model_has_no_predictions_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["data.sentences={train: 40, validation: 12, test: 12}", "trainer.max_steps=2", "trainer.progress=false"]
    folder = finesweep.run(["data=demo_masked_text", *quick, f"hydra.run.dir={tmp_path / 'run'}"]).folder
    assert main(["evaluate", str(folder), "--output", str(tmp_path / "out.jsonl")]) == 2
    assert "the task has scores alone and no predictions of rows" in capsys.readouterr().err
