"""What stands around a sentence: of its own document, the nearest words, the same however rows come."""

import json
from itertools import chain, islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

import finesweep
import finesweep.models
from finesweep.cli import main
from finesweep.data.table import Table
from finesweep.tasks.context import filled, in_document, neighbours
from tests.tasks.making import frame_of, read_files, task_of

SENTENCE = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6)
DOCUMENTS = st.lists(st.lists(SENTENCE, min_size=1, max_size=6), min_size=1, max_size=4)


def table_of(documents: list[list[list[str]]]) -> tuple[Table, list[list[str]]]:
    sentences = list(chain.from_iterable(documents))
    begins = [sum(map(len, documents[:i])) for i in range(len(documents))]
    return Table("file", ["tokens"], [[words] for words in sentences], documents=begins), sentences


@given(DOCUMENTS, st.integers(1, 12))
def test_the_nearest_words_of_the_same_document(documents: list[list[list[str]]], most: int) -> None:
    table, sentences = table_of(documents)
    found = iter(neighbours(table, sentences, most))
    for document in documents:
        for place in range(len(document)):
            left, right = next(found)
            assert left == list(chain.from_iterable(document[:place]))[-most:]
            assert right == list(chain.from_iterable(document[place + 1 :]))[:most]


@given(DOCUMENTS, st.integers(1, 12), st.data())
def test_rows_that_were_drawn_keep_the_neighbours_that_they_had(
    documents: list[list[list[str]]], most: int, data: st.DataObject
) -> None:
    table, sentences = table_of(documents)
    chosen = data.draw(st.lists(st.integers(0, len(sentences) - 1), unique=True))
    every = list(neighbours(table, sentences, most))
    assert list(neighbours(table.take(chosen), sentences, most)) == [every[i] for i in chosen]
    again = list(range(len(chosen)))[::2]
    twice = table.take(chosen).take(again)
    assert list(neighbours(twice, sentences, most)) == [every[chosen[i]] for i in again]


@given(DOCUMENTS, st.integers(1, 12))
def test_a_stream_gives_what_the_file_gives(documents: list[list[list[str]]], most: int) -> None:
    """A row without words parts documents."""
    table, sentences = table_of(documents)
    stream = [{"tokens": words} for document in documents for words in [*document, []]]
    streamed = list(in_document(iter(stream), most))
    assert [row["tokens"] for row in streamed] == [row["tokens"] for row in stream]
    around = [(row["_left"], row["_right"]) for row in streamed if row["tokens"]]
    assert around == list(neighbours(table, sentences, most))


def test_a_stream_waits_for_no_more_than_it_needs() -> None:
    endless = ({"tokens": ["a", "b"]} for _ in iter(int, 1))
    assert len(list(islice(in_document(endless, 5), 3))) == 3


WORDS = st.lists(st.integers(0, 9), max_size=20)


@given(WORDS, WORDS, WORDS, st.integers(1, 40))
def test_the_window_is_filled_from_both_sides(
    body: list[int], left: list[int], right: list[int], capacity: int
) -> None:
    if len(body) > capacity:
        return
    whole, before = filled(body, left, right, capacity)
    assert len(whole) == min(capacity, len(left) + len(body) + len(right))
    assert whole[before : before + len(body)] == body
    assert whole[:before] == left[len(left) - before :]
    assert whole[before + len(body) :] == right[: len(whole) - before - len(body)]
    behind = len(whole) - before - len(body)
    if before < len(left) and behind < len(right):
        assert abs(before - behind) <= 1


DOCSTART = "-DOCSTART- O\n\n"
TRAIN = f"{DOCSTART}Klosen B-PER\nleft O\n\nBrunburg B-LOC\nis O\nfar O\n\n{DOCSTART}Feis B-LOC\n\nHe O\nleft O\n"


def test_a_column_file_says_where_documents_begin(tmp_path: Path) -> None:
    task = task_of("token_classification")
    rows = read_files(task, tmp_path, {"train.txt": TRAIN}, context="document").splits["train"]
    assert [(row["_left"], row["_right"]) for row in rows] == [
        ([], ["Brunburg", "is", "far"]),
        (["Klosen", "left"], []),
        ([], ["He", "left"]),
        (["Feis"], []),
    ]


def test_so_do_sentences_that_are_marks(tmp_path: Path) -> None:
    lines = [{"tokens": words, "tags": ["O"] * len(words)} for words in (["-DOCSTART-"], ["a"], ["b"], ["-DOCSTART-"])]
    lines[1]["tags"] = ["B-X"]
    content = "".join(json.dumps(line) + "\n" for line in lines)
    rows = read_files(task_of("token_classification"), tmp_path, {"train.jsonl": content}, context="document")
    assert [row["_right"] for row in rows.splits["train"]] == [["a", "b"], ["b"], [], []]


def test_only_the_sentences_own_words_are_scored(tmp_path: Path) -> None:
    task = task_of("token_classification")
    tokenizer = AutoTokenizer.from_pretrained(Path(finesweep.models.__file__).parent / "tiny_files")
    alone, seen = (
        task.encode(
            read_files(task, tmp_path, {"train.txt": TRAIN}, context=context).splits["train"],
            frame_of(tokenizer, ["O", "B-LOC", "B-PER"]),
        )
        for context in ("sentence", "document")
    )
    for one, other in zip(alone, seen, strict=True):
        assert len(other) > len(one)
        for key in ("words", "labels"):
            assert one.extra[key] == other.extra[key]
        at = [[each.input_ids[place] for place in each.extra["positions"]] for each in (one, other)]
        assert at[0] == at[1]


def test_a_run_scores_evaluates_and_predicts_with_it(
    tmp_path: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    plain = finesweep.run([*quick, f"hydra.run.dir={tmp_path / 'plain'}"])
    written = (plain.folder / "predictions" / "validation.jsonl").read_text().splitlines()
    lines = [(word, tag) for line in written for word, tag in [*_tagged(line), ("", "")]]
    file = tmp_path / "dev.txt"
    file.write_text(DOCSTART + "".join(f"{word} {tag}\n" if word else "\n" for word, tag in lines))
    files = ["data=files", f"data.train={file}", f"data.validation={file}", "data.context=document"]
    record = finesweep.run(["trainer.max_epochs=1", *files, f"hydra.run.dir={tmp_path / 'run'}"])
    predictions = (record.folder / "predictions" / "validation.jsonl").read_text().splitlines()
    assert not any("_left" in json.loads(line) for line in predictions)
    assert main(["evaluate", str(record.folder), *files[:3], "--split", "validation", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["metrics"]
    assert scores["f1"] == pytest.approx(record.metrics["validation"]["f1"])
    assert scores["loss"] == pytest.approx(record.metrics["validation"]["loss"], rel=1e-4)
    arguments = ["--input", str(file), "--input-format", "columns", "--format", "columns"]
    assert main(["predict", str(record.folder), *arguments]) == 0
    said = [line.split("\t")[1] for line in capsys.readouterr().out.splitlines() if line]
    assert said == [tag for line in predictions for tag in json.loads(line)["predicted_tags"]]


def _tagged(line: str) -> list[tuple[str, str]]:
    row = json.loads(line)
    return list(zip(row["tokens"], row["tags"], strict=True))


def test_a_task_that_reads_rows_alone_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "data=demo_topics", "data.context=document"]) == 2
    assert "data.context: text_classification reads each row alone" in capsys.readouterr().err
