"""The figures of the page of a sweep: they show what was measured."""

from pathlib import Path

import plotly.graph_objects as go
import pytest

from finesweep.results.leaderboard import entries
from finesweep.results.page.importance import importances
from finesweep.results.record import records_in
from tests.results.pages import page
from tests.results.sweeps import run


def test_every_figure_is_one_that_plotly_knows(sweep: Path) -> None:
    figures = page(sweep).figures
    assert list(figures) == [
        "Configurations", "Importance of the keys", "Score against cost", "Learning curves", "Spread over seeds",
    ]  # fmt: skip
    for each in figures.values():
        go.Figure(each["data"], each["layout"])  # raises ValueError where a property is none
        for choice in each["choices"]:
            assert len(choice["visible"]) == len(each["data"])


def test_lines_run_through_the_values_of_their_configuration(sweep: Path) -> None:
    lines = page(sweep).figures["Configurations"]["data"]
    assert len(lines) == 6
    best = lines[-1]  # on top
    assert "optimizer.lr = 0.001" in best["text"]
    assert "finetune_strategy = full" in best["text"]
    assert best["y"][1:] == [1.0, 1.0]  # the largest rate and score
    assert lines[0]["y"][1:] == [0.0, 0.0]


def test_rates_stand_on_a_logarithmic_axis(tmp_path: Path) -> None:
    for i, lr in enumerate(("1e-5", "1e-4", "1e-3")):
        run(tmp_path, 0.1 * i, f"optimizer.lr={lr}")
    assert [line["y"][0] for line in page(tmp_path).figures["Configurations"]["data"]] == [0.0, 0.5, 1.0]


def test_the_importance_of_a_key_is_what_it_explains_alone(tmp_path: Path) -> None:
    for i in range(32):
        a, b, noise = i % 2, i // 2 % 2, (i // 4) % 8
        run(tmp_path, 0.3 * a + 0.1 * b, f"k.a={a}", f"k.b={b}", f"k.nothing={noise}")
    found = entries(records_in(tmp_path))
    told = {each.key: each.share for each in importances(found, [entry.mean or 0.0 for entry in found])}
    assert list(told) == ["k.a", "k.b", "k.nothing"]
    assert told["k.a"] == pytest.approx(0.9, abs=0.01)  # 0.3² of 0.3² + 0.1²
    assert told["k.b"] == pytest.approx(0.1, abs=0.04)
    assert told["k.nothing"] == 0.0


def test_what_a_key_does_only_with_another_is_not_its_own(tmp_path: Path) -> None:
    for a in (0, 1):
        for b in (0, 1):
            run(tmp_path, float(a ^ b), f"k.a={a}", f"k.b={b}")
    bars = page(tmp_path).figures["Importance of the keys"]["data"][0]
    assert dict(zip(bars["y"], bars["x"], strict=True)) == {"k.a": 0.0, "k.b": 0.0, "what is left": 100.0}
    assert "4 configurations are few" in page(tmp_path).words


def test_too_few_configurations_are_said_to_be_so(tmp_path: Path) -> None:
    for i in range(3):
        run(tmp_path, 0.1 * i, f"k.a={i}", f"k.b={i + 5}")
    assert "3 configurations are too few to tell" in page(tmp_path).words


@pytest.mark.parametrize(("metric", "front"), [("f1", [(1, 0.5), (2, 0.7), (4, 0.9)]), ("loss", [(1, 0.5), (3, 0.2)])])
def test_the_front_holds_what_no_other_beats_in_both(
    tmp_path: Path, metric: str, front: list[tuple[int, float]]
) -> None:
    for seconds, value in ((1, 0.5), (2, 0.7), (3, 0.2), (4, 0.9), (5, 0.9)):
        run(tmp_path, value, f"k.a={seconds}", metric=metric, seconds=float(seconds))
    figure = page(tmp_path).figures["Score against cost"]
    line = figure["data"][1]
    assert list(zip(line["x"], line["y"], strict=True)) == front
    assert [choice["layout"]["xaxis.title.text"] for choice in figure["choices"]] == [
        "training, seconds", "trainable parameters", "peak memory, MB",
    ]  # fmt: skip
    points = figure["data"][0]
    assert [figure["names"][i] for i in points["customdata"]][2].endswith("k.a = 3")


def test_who_lost_a_race_is_not_on_the_front(tmp_path: Path) -> None:
    for seed, value in ((1, 0.95), (2, 0.8), (3, 0.8)):
        run(tmp_path, value, "k.a=1", f"seed={seed}", seconds=5.0)
    run(tmp_path, 0.9, "k.a=2", "seed=1")
    run(tmp_path, 0.0, "k.a=2", "seed=2", status="pruned")
    run(tmp_path, 0.849, "k.a=3", "seed=1", seconds=4.0)
    points, line = page(tmp_path).figures["Score against cost"]["data"][:2]
    assert (len(points["x"]), line["x"]) == (3, [4.0, 5.0])
    assert line["text"] == ["", "a=1"]  # which is nearly as high


def test_very_many_curves_are_thinned_out_and_it_is_said(tmp_path: Path) -> None:
    for i in range(300):
        run(tmp_path, 0.001 * i, f"k.a={i}", steps=150)
    found = page(tmp_path)
    figure = found.figures["Learning curves"]
    drawn = [trace for trace in figure["data"] if trace["visible"]]
    assert len(figure["data"]) <= 9
    assert sum(y is not None for trace in drawn for y in trace["y"]) <= 20_000
    assert {i for trace in drawn for i in trace["customdata"]} == set(range(300))  # a part of each
    best = drawn[-1]
    assert best["x"][0] == 0
    assert best["x"][-2] == 1490  # from its first to its last point
    assert "Of each of the 300 curves 66 points are drawn at most" in found.words
    assert "Of 300 configurations 240 are drawn" in found.words


def test_a_damaged_curve_is_no_reason_to_stop(sweep: Path) -> None:
    for content, file in zip(("step,val/f1\nx,y\n", "", "\0"), sweep.glob("*/metrics.csv"), strict=False):
        file.write_text(content)
    assert "Learning curves" in page(sweep).figures


def test_seeds_have_a_dot_each(sweep: Path) -> None:
    means, dots = page(sweep).figures["Spread over seeds"]["data"]
    assert len(dots["x"]) == 12
    assert dots["x"][:2] == pytest.approx([0.91, 0.92])
    assert means["x"][0] == pytest.approx(0.915)
    assert dots["y"][0] == means["y"][0] == "1. full, lr=0.001"
