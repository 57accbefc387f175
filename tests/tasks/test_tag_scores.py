"""Scores of tags: entities as seqeval counts them, tokens as scikit-learn does, small cases by hand."""

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score
from sklearn.metrics import classification_report

from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.tag_scores import score_tags
from finesweep.tasks.tags import entities

Tags = list[list[str]]
TAG = st.sampled_from(["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC"])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tags, Tags]:
    """Gold and predicted tags of the same sentences."""
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=5))
    gold, predicted = ([[draw(TAG) for _ in range(length)] for length in lengths] for _ in range(2))
    return gold, predicted


def table(scores: Scores, title: str) -> dict[str, list[Any]]:
    """Rows of a table by their first cell."""
    (found,) = [table for table in scores.tables if table.title == title]
    assert isinstance(found, ReportTable)
    return {row[0]: row[1:] for row in found.rows}


@given(pairs())
def test_entity_scores_are_seqevals(pair: tuple[Tags, Tags]) -> None:
    gold, predicted = pair
    metrics = score_tags(zip(gold, predicted, strict=True)).metrics
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [score(gold, predicted, zero_division=0) for score in (precision_score, recall_score, f1_score)]
    assert [metrics[key] for key in ("precision", "recall", "f1")] == pytest.approx(expected)


@given(pairs())
def test_entity_scores_are_those_of_sets_of_entities(pair: tuple[Tags, Tags]) -> None:
    """Counted without any library: a hit has the same sentence, ends and type."""
    gold, predicted = ({(i, e) for i, tags in enumerate(side) for e in entities(tags)} for side in pair)
    hits = len(gold & predicted)
    metrics = score_tags(zip(*pair, strict=True)).metrics
    assert metrics["precision"] == pytest.approx(hits / len(predicted) if predicted else 0.0)
    assert metrics["recall"] == pytest.approx(hits / len(gold) if gold else 0.0)
    assert metrics["f1"] == pytest.approx(2 * hits / (len(gold) + len(predicted)) if gold | predicted else 0.0)


@given(pairs())
def test_the_table_of_tokens_is_scikit_learns(pair: tuple[Tags, Tags]) -> None:
    gold, predicted = ([tag for tags in side for tag in tags] for side in pair)
    scores = score_tags(zip(*pair, strict=True))
    found = table(scores, "Tokens")
    report = classification_report(gold, predicted, output_dict=True, zero_division=0)
    accuracy = report.pop("accuracy")
    assert scores.metrics["token_accuracy"] == pytest.approx(accuracy)
    assert scores.metrics["token_macro_f1"] == pytest.approx(report["macro avg"]["f1-score"])
    assert found.pop("micro avg") == pytest.approx([accuracy] * 3 + [len(gold)], abs=1e-4)
    assert set(found) == set(report)  # every tag, O too, macro and weighted average
    for name, row in found.items():
        expected = [report[name][key] for key in ("precision", "recall", "f1-score", "support")]
        assert row == pytest.approx(expected, abs=1e-4)


@given(pairs())
def test_the_confusion_matrix_counts_every_word_once(pair: tuple[Tags, Tags]) -> None:
    scores = score_tags(zip(*pair, strict=True))
    labels = scores.confusion_labels
    assert set(labels) == {tag for side in pair for tags in side for tag in tags}
    words = [(g, p) for gold, predicted in zip(*pair, strict=True) for g, p in zip(gold, predicted, strict=True)]
    for i, gold in enumerate(labels):
        for j, predicted in enumerate(labels):
            assert scores.confusion_counts[i][j] == words.count((gold, predicted))


@pytest.mark.parametrize(
    ("gold", "predicted", "precision", "recall", "f1"),
    [
        ("B-PER I-PER O B-LOC", "B-PER I-PER O B-LOC", 1, 1, 1),
        ("B-PER I-PER O B-LOC", "B-PER O O B-LOC", 1 / 2, 1 / 2, 1 / 2),  # too short is wrong twice
        ("B-PER I-PER O B-LOC", "B-PER I-PER O O", 1, 1 / 2, 2 / 3),
        ("B-PER O O O", "B-PER O B-LOC B-LOC", 1 / 3, 1, 1 / 2),
        ("B-PER I-PER", "B-LOC I-LOC", 0, 0, 0),
        ("B-PER B-PER", "B-PER I-PER", 0, 0, 0),
        ("B-PER O", "I-PER O", 1, 1, 1),  # conlleval reads a stray I- as a beginning
        ("B-creative-work I-creative-work", "B-creative-work I-creative-work", 1, 1, 1),
    ],
)
def test_small_cases(gold: str, predicted: str, precision: float, recall: float, f1: float) -> None:
    metrics = score_tags([(gold.split(), predicted.split())]).metrics
    assert [metrics[key] for key in ("precision", "recall", "f1")] == pytest.approx([precision, recall, f1])


def test_the_table_of_entities_has_a_row_for_each_type_and_average() -> None:
    gold = [["B-PER", "I-PER", "O"], ["B-LOC", "B-LOC"]]
    scores = score_tags(zip(gold, [["B-PER", "I-PER", "B-ORG"], ["B-LOC", "O"]], strict=True))
    assert table(scores, "Entities") == {
        "LOC": [1.0, 0.5, 0.6667, 2],
        "ORG": [0.0, 0.0, 0.0, 0],
        "PER": [1.0, 1.0, 1.0, 1],
        "micro avg": [0.6667, 0.6667, 0.6667, 3],
        "macro avg": [0.6667, 0.5, 0.5556, 3],
        "weighted avg": [1.0, 0.6667, 0.7778, 3],
    }
    assert list(table(scores, "Tokens"))[-4:] == ["O", "micro avg", "macro avg", "weighted avg"]


@pytest.mark.parametrize(
    ("gold", "predicted", "accuracy"),
    [
        ([["O", "O"], ["O"]], [["O", "O"], ["O"]], 1.0),
        ([["O", "O"], ["O"]], [["O", "B-PER"], ["O"]], 2 / 3),
        ([["O", "B-PER"], ["O"]], [["O", "O"], ["O"]], 2 / 3),
        ([["O"], []], [["O"], []], 1.0),
    ],
)
@pytest.mark.filterwarnings("error")
def test_without_entities_on_a_side_scores_are_zero_and_nobody_is_warned(
    gold: Tags, predicted: Tags, accuracy: float
) -> None:
    scores = score_tags(zip(gold, predicted, strict=True))
    assert [scores.metrics[key] for key in ("precision", "recall", "f1")] == [0.0, 0.0, 0.0]
    assert scores.metrics["token_accuracy"] == pytest.approx(accuracy)
    everything = {tag for tags in (*gold, *predicted) for tag in tags}
    assert list(table(scores, "Entities"))[:1] == (["PER"] if "B-PER" in everything else [])
    assert all(found.markdown() for found in scores.tables)
