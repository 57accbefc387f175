"""SQuAD's nested JSON as a row for each question; the other forms of JSON are in test_formats.py."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finesweep.config.errors import UserError
from finesweep.data.formats import read
from finesweep.data.table import Reading, Table
from tests.tasks.making import source_of, tables_of, task_of

WHO = {"text": ["Klosen"], "answer_start": [0]}
PLACES = [{"text": "Feis", "answer_start": 11}, {"text": "Feis in Bonn", "answer_start": 11}]
SQUAD: dict[str, Any] = {
    "version": "v2.0",
    "data": [
        {
            "title": "Klosen",
            "paragraphs": [
                {
                    "context": "Klosen met Feis in Bonn.",
                    "qas": [
                        {"id": "q1", "question": "Who met Feis?", "answers": WHO, "is_impossible": False},
                        {"id": "q2", "question": "Whom did Klosen meet?", "answers": PLACES},
                    ],
                },
                {
                    "context": "Nothing is known.",
                    "qas": [
                        {
                            "id": 3, "question": "Why?", "is_impossible": True, "answers": [],
                            "plausible_answers": [{"text": "Nothing", "answer_start": 0}],
                        }
                    ],
                },
            ],
        },
        {"title": "no paragraphs", "paragraphs": []},
        {"title": "no questions", "paragraphs": [{"context": "Bonn.", "qas": []}]},
        {"title": "more", "paragraphs": [{"context": "Rom.", "qas": [{"question": "Where?", "answers": []}]}]},
    ],
}  # fmt: skip
COLUMNS = ["id", "question", "context", "answers"]
ROWS = [
    ["q1", "Who met Feis?", "Klosen met Feis in Bonn.", WHO],
    ["q2", "Whom did Klosen meet?", "Klosen met Feis in Bonn.", PLACES],
    ["3", "Why?", "Nothing is known.", []],
    ["", "Where?", "Rom.", []],
]


def written(folder: Path, content: Any, name: str = "a.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def squad(path: Path) -> Table:
    return read(path, Reading())


def of_paragraphs(*paragraphs: Any) -> dict[str, Any]:
    """Two articles, the second of which has these paragraphs."""
    return {"data": [*SQUAD["data"][:1], {"title": "", "paragraphs": list(paragraphs)}]}


@pytest.mark.parametrize(
    ("name", "indent"), [("a.json", None), ("a.json", 2), ("a.json.gz", None), ("a.json.gz", 2), ("a.txt", None)]
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["without BOM", "with BOM"])
def test_each_question_is_a_row_with_its_context(tmp_path: Path, name: str, indent: int | None, mark: bytes) -> None:
    content = mark + json.dumps(SQUAD, indent=indent).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = squad(path)
    assert (found.columns, found.rows) == (COLUMNS, ROWS)
    assert found.where(1) == f"{path}, row 2"


ANSWER = st.fixed_dictionaries({"text": st.text(max_size=5), "answer_start": st.integers(0, 9)})
QUESTION = st.fixed_dictionaries(
    {"id": st.text(max_size=5), "question": st.text(max_size=9), "answers": st.lists(ANSWER, max_size=2)}
)
PARAGRAPH = st.fixed_dictionaries({"context": st.text(max_size=20), "qas": st.lists(QUESTION, max_size=3)})
ARTICLES = st.lists(
    st.fixed_dictionaries({"paragraphs": st.lists(PARAGRAPH, max_size=3)}), min_size=1, max_size=3
).filter(lambda articles: any(p["qas"] for article in articles for p in article["paragraphs"]))


@given(ARTICLES)
def test_no_question_is_lost_and_all_stay_in_order(
    tmp_path_factory: pytest.TempPathFactory, articles: list[dict[str, Any]]
) -> None:
    found = squad(written(tmp_path_factory.mktemp("squad"), {"data": articles}))
    assert found.rows == [
        [qa["id"], qa["question"], paragraph["context"], qa["answers"]]
        for article in articles
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]


@pytest.mark.parametrize("answers", [{}, {"answers": []}, {"answers": PLACES}])
def test_an_impossible_question_has_no_answer_whatever_is_given(tmp_path: Path, answers: dict[str, Any]) -> None:
    qa = {"id": "q", "question": "Who?", "is_impossible": True, **answers}
    path = written(tmp_path, of_paragraphs({"context": "Klosen met Feis.", "qas": [qa]}))
    assert squad(path).rows[-1] == ["q", "Who?", "Klosen met Feis.", []]


def test_the_task_finds_its_columns_in_it(tmp_path: Path) -> None:
    task = task_of("question_answering")
    source = source_of(task, train=str(written(tmp_path, SQUAD)))
    records = [record for _, record in tables_of(task, source)["train"].records()]
    names = ("id", "question", "context", "answer")
    assert records == [dict(zip(names, row, strict=True)) for row in ROWS]


QA = {"id": "q", "question": "Who?", "answers": []}


@pytest.mark.parametrize(
    ("paragraphs", "place", "says"),
    [
        ([{"qas": [QA]}], 0, "a paragraph needs a 'context' and a list 'qas'"),
        ([{"context": "Bonn.", "qas": [QA]}, {"context": "Rom."}], 1, "a paragraph needs a 'context'"),
        ([{"context": "Bonn.", "qas": [QA]}, "Rom."], 1, "a paragraph needs a 'context'"),
        ([{"context": "Bonn.", "qas": [QA, {"id": "q2", "answers": []}]}], 0, "needs a 'question'"),
        ([{"context": "Bonn.", "qas": [QA]}, {"context": "Rom.", "qas": ["Where?"]}], 1, "needs a 'question'"),
    ],
)
def test_what_is_missing_is_said_with_the_paragraph(
    tmp_path: Path, paragraphs: list[Any], place: int, says: str
) -> None:
    path = written(tmp_path, of_paragraphs(*paragraphs))
    with pytest.raises(UserError) as caught:
        squad(path)
    assert caught.value.where == f"{path}, data[1].paragraphs[{place}]"
    assert says in caught.value.what


@pytest.mark.parametrize(
    "content",
    [
        {"data": [{"paragraphs": []}]},
        {"data": [{"paragraphs": [{"context": "Bonn.", "qas": []}]}]},
        {"data": []},
    ],
)
def test_no_question_at_all_is_an_error(tmp_path: Path, content: Any) -> None:
    path = written(tmp_path, content)
    with pytest.raises(UserError, match="the file has no rows") as caught:
        squad(path)
    assert caught.value.where == str(path)


def test_a_row_that_merely_has_a_column_of_that_name_is_a_row(tmp_path: Path) -> None:
    rows = [{"paragraphs": "two", "label": "x"}, {"paragraphs": "three", "label": "y"}]
    found = squad(written(tmp_path, {"data": rows}))
    assert (found.columns, found.rows) == (["paragraphs", "label"], [["two", "x"], ["three", "y"]])


def test_json_that_breaks_off_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(SQUAD, indent=1)[:200])
    with pytest.raises(UserError, match="the file is no JSON") as caught:
        squad(path)
    line = int(str(caught.value.where).removeprefix(f"{path}:"))
    assert line == path.read_text().count("\n") + 1
