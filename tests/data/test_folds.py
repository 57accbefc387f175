"""Folds: which training rows are validation, whatever the seed, and what cannot be cut into folds."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from finesweep.config.errors import ConfigError, UserError
from finesweep.config.instantiate import build
from finesweep.data.base import Limit
from finesweep.data.table import Table
from tests.tasks.making import source_of, task_of

CLASSES, TEXTS = task_of("text_classification"), task_of("causal_lm")


def labelled(folder: Path, labels: Sequence[str], name: str = "train.tsv") -> str:
    """A file of numbered texts with these labels."""
    path = folder / name
    path.write_text("".join(f"t{i}\t{label}\n" for i, label in enumerate(labels)))
    return str(path)


def loaded(path: str, folds: int, fold: int, **changes: Any) -> dict[str, Table]:
    source = source_of(CLASSES, train=path, folds=folds, fold=fold, columns=["text", "label"], **changes)
    return source.load(CLASSES.wanted)


def texts(table: Table) -> list[str]:
    return [record["text"] for _, record in table.records()]


# --- who is in a fold -------------------------------------------------------------------------------------------

FOLDS = st.integers(2, 6)


@given(FOLDS, st.data())
def test_every_row_is_validation_once_and_folds_are_equally_large(
    tmp_path_factory: pytest.TempPathFactory, folds: int, data: st.DataObject
) -> None:
    labels = data.draw(st.lists(st.sampled_from("xyz"), min_size=folds, max_size=30))
    path = labelled(tmp_path_factory.mktemp("folds"), labels)
    every = [f"t{i}" for i in range(len(labels))]
    held = []
    for fold in range(folds):
        tables = loaded(path, folds, fold)
        train, validation = texts(tables["train"]), texts(tables["validation"])
        assert validation == [text for text in every if text in validation]  # in the file's order, as the others
        assert train == [text for text in every if text not in validation]
        held.append(validation)
    assert sorted(text for fold in held for text in fold) == sorted(every)
    sizes = [len(fold) for fold in held]
    assert min(sizes) > 0
    assert max(sizes) - min(sizes) <= 1


@given(FOLDS, st.data(), st.integers(0, 3))
def test_every_fold_has_its_share_of_every_class(
    tmp_path_factory: pytest.TempPathFactory, folds: int, data: st.DataObject, split_seed: int
) -> None:
    labels = data.draw(st.lists(st.sampled_from("xyz"), min_size=folds, max_size=30))
    path = labelled(tmp_path_factory.mktemp("folds"), labels)
    counts = []
    for fold in range(folds):
        validation = loaded(path, folds, fold, split_seed=split_seed)["validation"]
        counts.append(Counter(record["label"] for _, record in validation.records()))
    for label in set(labels):
        shares = [count[label] for count in counts]
        assert sum(shares) == labels.count(label)
        assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize("setting", ["kind", 0])
def test_the_share_is_of_the_column_that_holds_the_label(tmp_path: Path, setting: str | int) -> None:
    (tmp_path / "train.csv").write_text("kind,text\n" + "".join(f"{'xy'[i >= 9]},t{i}\n" for i in range(12)))
    changes = {"label_column": setting, "text_column": "text"}
    for fold in range(3):
        source = source_of(CLASSES, train=str(tmp_path / "train.csv"), folds=3, fold=fold, **changes)
        validation = source.load(CLASSES.wanted)["validation"]
        assert sorted(record["label"] for _, record in validation.records()) == ["x", "x", "x", "y"]


@given(FOLDS, st.integers(0, 14))
def test_rows_without_a_label_are_cut_as_well(tmp_path_factory: pytest.TempPathFactory, folds: int, more: int) -> None:
    every = [f"text {i}" for i in range(folds + more)]
    path = tmp_path_factory.mktemp("folds") / "train.txt"
    path.write_text("\n\n".join(every))
    held = []
    for fold in range(folds):
        tables = source_of(TEXTS, train=str(path), folds=folds, fold=fold).load(TEXTS.wanted)
        for table in tables.values():
            assert [table.where(row) for row in range(len(table.rows))] == [
                f"{path}:{2 * every.index(text) + 1}" for text in texts(table)
            ]
        assert sorted(texts(tables["train"]) + texts(tables["validation"])) == sorted(every)
        held.append(texts(tables["validation"]))
    assert sorted(text for fold in held for text in fold) == sorted(every)
    assert max(map(len, held)) - min(map(len, held)) <= 1


def test_as_many_folds_as_rows_leave_one_out(tmp_path: Path) -> None:
    path = labelled(tmp_path, "xyxy")
    assert sorted(texts(loaded(path, 4, fold)["validation"])[0] for fold in range(4)) == ["t0", "t1", "t2", "t3"]


# --- what they follow from --------------------------------------------------------------------------------------


def test_a_fold_follows_from_the_split_seed_alone(tmp_path: Path) -> None:
    path = labelled(tmp_path, "xy" * 20)
    drawn = [texts(loaded(path, 4, 1, split_seed=seed)["validation"]) for seed in (1, 1, 0, 2)]
    assert drawn[0] == drawn[1]
    assert len({tuple(rows) for rows in drawn}) == 3
    # Also where nothing but the validation split is asked for, as when a finished run is scored again.
    source = source_of(CLASSES, train=path, folds=4, fold=1, split_seed=0, columns=["text", "label"])
    assert texts(source.load(CLASSES.wanted, ("validation",))["validation"]) == drawn[2]


def test_the_seed_of_a_run_changes_no_fold(composed: Callable[..., Any], tmp_path: Path) -> None:
    path = labelled(tmp_path, "xy" * 20)

    def held(*overrides: str) -> list[str]:
        files = ["data=files", "task=text_classification", f"data.train={path}", "data.folds=4", "data.fold=2"]
        source = build(composed(*files, "data.columns=[text,label]", *overrides)["data"], [])
        return texts(source.load(CLASSES.wanted)["validation"])

    assert held("seed=1") == held("seed=2") == held("seed=2", "data.split_seed=1")
    assert held("seed=1", "data.split_seed=2") != held("seed=1")


def test_the_fraction_to_hold_out_does_not_matter(tmp_path: Path) -> None:
    path = labelled(tmp_path, "xy" * 6)
    few, many = (loaded(path, 3, 0, validation_fraction=fraction)["validation"] for fraction in (0.1, 0.9))
    assert texts(few) == texts(many)
    assert len(few.rows) == 4


def test_a_test_file_and_limits_go_with_folds(tmp_path: Path) -> None:
    path, test = labelled(tmp_path, "xy" * 6), labelled(tmp_path, "xyx", "test.tsv")
    every = loaded(path, 3, 0, test=test)
    assert texts(every["test"]) == ["t0", "t1", "t2"]
    some = loaded(path, 3, 0, test=test, limit=Limit(train=5, validation=2, test=0))
    assert {split: len(table.rows) for split, table in some.items()} == {"train": 5, "validation": 2}
    assert all(set(texts(some[split])) <= set(texts(every[split])) for split in some)


# --- what is said -----------------------------------------------------------------------------------------------


def test_a_note_says_how_many_rows_are_validation(tmp_path: Path) -> None:
    path = labelled(tmp_path, "xyxyxyx")
    notes = [loaded(path, 3, fold)["train"].notes for fold in range(3)]
    assert notes == [
        ["fold 0 of 3: 3 of 7 training rows are validation"],
        ["fold 1 of 3: 2 of 7 training rows are validation"],
        ["fold 2 of 3: 2 of 7 training rows are validation"],
    ]


def test_a_note_says_that_the_datas_own_validation_split_is_not_used(composed: Callable[..., Any]) -> None:
    sentences = "data.sentences={train: 12, validation: 5, test: 4}"
    demo, folded = (
        build(composed("data=demo_topics", sentences, *more)["data"], []).load(CLASSES.wanted)
        for more in ([], ["data.folds=3", "data.fold=1"])
    )
    assert folded["train"].notes == [
        "fold 1 of 3: 4 of 12 training rows are validation, not the validation split that the data has"
    ]
    assert sorted(texts(folded["train"]) + texts(folded["validation"])) == sorted(texts(demo["train"]))
    assert texts(folded["test"]) == texts(demo["test"])


@pytest.mark.parametrize(("labels", "folds", "few"), [("x", 2, "one row"), ("xyx", 4, "3 rows")])
def test_fewer_rows_than_folds_are_an_error_with_the_file(tmp_path: Path, labels: str, folds: int, few: str) -> None:
    path = labelled(tmp_path, labels)
    with pytest.raises(UserError) as caught:
        loaded(path, folds, 0)
    assert str(caught.value) == f"{path}: {few} cannot be split into {folds} folds"


def problems(path: str, **changes: Any) -> list[tuple[str, str]]:
    source = source_of(CLASSES, train=path, **changes)
    return list(source.problems({"task": {"name": CLASSES.name, "columns": CLASSES.columns}}))


def test_a_fold_out_of_range_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    path = labelled(tmp_path, "xyxyxy")
    assert [problems(path, folds=3, fold=fold) for fold in range(3)] == [[], [], []]
    for fold in (3, 4):
        assert problems(path, folds=3, fold=fold) == [("data.fold", f"is {fold}; of 3 folds the last is 2")]


def test_folds_beside_a_validation_file_are_a_problem_of_the_configuration(tmp_path: Path) -> None:
    path, validation = labelled(tmp_path, "xyxyxy"), labelled(tmp_path, "xy", "validation.tsv")
    assert problems(path, validation=validation) == []
    ((key, message),) = problems(path, validation=validation, folds=3)
    assert key == "data.folds"
    assert "data.validation must be null" in message


def test_all_that_is_wrong_with_folds_is_said_before_anything_is_read(
    composed: Callable[..., Any], tmp_path: Path
) -> None:
    path = labelled(tmp_path, "xyxyxy")
    with pytest.raises(ConfigError) as caught:
        composed(
            "data=files", "task=text_classification", f"data.train={path}", f"data.validation={path}",
            "data.folds=3", "data.fold=3",
        )  # fmt: skip
    assert {problem.key for problem in caught.value.problems} == {"data.fold", "data.folds"}


@pytest.mark.parametrize("wrong", [{"folds": 1}, {"folds": 0}, {"folds": 2.5}, {"folds": True}, {"fold": -1}])
def test_there_are_two_folds_at_least_and_they_count_from_zero(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        source_of(CLASSES, train=labelled(tmp_path, "xy"), **wrong)


@pytest.mark.parametrize("changes", [{"validation_fraction": 0.3}, {"folds": 4, "fold": 1}])
def test_questions_about_one_context_are_held_out_together(tmp_path: Path, changes: dict[str, Any]) -> None:
    task = task_of("question_answering")
    rows = [f'{{"question": "q{i}", "context": "c{i % 8}", "answers": []}}' for i in range(40)]
    (tmp_path / "train.jsonl").write_text("\n".join(rows) + "\n")
    tables = source_of(task, train=str(tmp_path / "train.jsonl"), **changes).load(task.wanted)
    sides = [{record["context"] for _, record in tables[split].records()} for split in ("train", "validation")]
    assert sides[0] & sides[1] == set()
    assert len(sides[1]) == 2
    assert len(tables["validation"].rows) == 10
    with pytest.raises(UserError, match=r"8 contexts cannot be split into 9 folds"):
        source_of(task, train=str(tmp_path / "train.jsonl"), folds=9, fold=0).load(task.wanted)


@pytest.mark.parametrize(
    ("changes", "held"),
    [({"validation_fraction": 0.2}, range(16, 20)), ({"folds": 4, "fold": 1}, range(5, 10))],
)
def test_a_running_text_is_cut_and_not_thinned(tmp_path: Path, changes: dict[str, Any], held: range) -> None:
    task = task_of("causal_lm", document="file")
    lines = ["" if i % 7 == 3 else f"line {i}" for i in range(20)]
    (tmp_path / "train.txt").write_text("\n".join(lines) + "\n")
    source = source_of(
        task, train=str(tmp_path / "train.txt"), limit=Limit(train=12, validation=None, test=None), **changes
    )
    tables = source.load(task.wanted)
    assert texts(tables["validation"]) == [lines[i] for i in held]
    assert texts(tables["train"]) == [line for i, line in enumerate(lines) if i not in held][:12]


def test_a_fold_without_folds_is_one_message(composed: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match=r"data\.fold: is 2, and data\.folds says nothing of folds"):
        composed("data=demo_topics", "data.fold=2")


def held_of_contexts(folder: Path, contexts: Sequence[str | None], **changes: Any) -> list[str | None]:
    """The contexts of the rows that are held out."""
    task = task_of("question_answering", columns={"question": ["q"], "context": ["c"], "answer": ["a"]})
    rows = [json.dumps({"q": f"q{i}", "c": context, "a": []}) for i, context in enumerate(contexts)]
    (folder / "train.jsonl").write_text("\n".join(rows) + "\n")
    tables = source_of(task, train=str(folder / "train.jsonl"), **changes).load(task.wanted)
    return [record["context"] for _, record in tables["validation"].records()]


@pytest.mark.parametrize("seed", range(4))
def test_a_large_context_is_not_held_out_for_a_small_share(tmp_path: Path, seed: int) -> None:
    held = held_of_contexts(tmp_path, ["A"] * 90 + ["B"] * 10, validation_fraction=0.1, split_seed=seed)
    assert held == ["B"] * 10
    sizes = [
        len(held_of_contexts(tmp_path, ["A"] * 40 + list("bcdefghijk") * 6, folds=3, fold=fold, split_seed=seed))
        for fold in range(3)
    ]
    assert sum(sizes) == 100
    assert max(sizes) <= 46


@pytest.mark.parametrize("context", [None, "", "one for all"])
def test_rows_without_contexts_or_about_one_are_held_out_singly(tmp_path: Path, context: str | None) -> None:
    assert held_of_contexts(tmp_path, [context] * 50, validation_fraction=0.2) == [context] * 10
