"""The page of a sweep: what it says, figures that show what was measured, and nothing that breaks out of it."""

import math
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest

from finesweep.cli import main
from finesweep.results.record import RunRecord
from tests.results.pages import Page, all_figures, page
from tests.results.sweeps import EVIL, report, run


def heads(text: str) -> list[str]:
    """The headings of the leaderboard."""
    found = re.search(r'id="board">\s*<thead>(.*?)</thead>', text, flags=re.DOTALL)
    assert found
    return [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<button[^>]*>(.*?)</button>", found[1])]


def test_the_head_says_what_was_done_where_and_how_it_ended(sweep: Path) -> None:
    said = page(sweep).words
    for text in (
        "demo-tiny", "sweep-1", "finesweep train -m …", "12 done, 1 failed, 1 pruned, 1 interrupted",
        "2026-01-02 03:04 to 2026-01-02 03:05", "16 min 15 s", "2 min 00 s", "train 1,000, validation 100",
        "a processor, 2 cores", "Python 3.12.1", "torch 2.13.0",
    ):  # fmt: skip
        assert text in said


def test_the_leaderboard_has_the_columns_that_tell_something_and_links_to_the_runs(sweep: Path) -> None:
    found = page(sweep)
    names = heads(found.source)
    assert names[:4] == ["rank", "runs", "finetune strategy", "optimizer.lr"]
    assert {"val f1 mean", "p holm", "test f1 mean"} <= set(names)
    runs = [link for link in found.links if "seed=" in link and not link.endswith(("report.md", "txt", "json"))]
    assert len(runs) == 12 + 1  # and the best once more
    assert all(link.startswith("./") and (sweep / unquote(link)).is_dir() for link in runs)
    assert all(
        (sweep / unquote(link)).exists() for link in found.links if "leaderboard" not in link and "report" not in link
    )


def test_one_file_with_plotly_in_it_once_and_nothing_from_elsewhere(sweep: Path) -> None:
    found = page(sweep)
    assert sum("plotly.js v" in text for text in found.inside("script")) == 1
    assert [attrs for tag, attrs in found.elements if tag in ("script", "img", "iframe") and "src" in attrs] == []
    assert [attrs["href"] for tag, attrs in found.elements if tag == "link"] == ["data:,"]
    assert not any("//" in link for link in found.links)


def test_of_the_best_configuration_the_run_in_the_middle_is_shown(sweep: Path) -> None:
    found = page(sweep)
    assert "finetune_strategy=full,optimizer.lr=0.001,seed=1" in found.inside("a")
    for text in ("Classes", "0.2500", "Confusion", "4,321", "Hardest errors", "0.7500"):
        assert text in found.words


def test_without_a_readable_report_the_page_does_without(sweep: Path) -> None:
    for content in ("", "[]", "{}", '{"validation": {"confusion": {"labels": []}, "tables": [], "hardest": null}}'):
        next(sweep.glob("*/report.json")).write_text(content)
        assert "The best configuration on validation" not in page(sweep).words


def test_of_very_many_labels_the_most_confused_are_shown(sweep: Path) -> None:
    size = 40
    counts = [[10 * (i == j) + (j == i + 1 and i % 2) for j in range(size)] for i in range(size)]
    record = RunRecord.read(next(sweep.glob("*/report.json")).parent)
    report(record, confusion={"labels": [f"label {i}" for i in range(size)], "counts": counts})
    found = page(sweep)
    assert "24 of 40 labels" in " ".join(found.words.split())
    assert found.source.count('<th scope="row">') == 24


def test_runs_that_did_not_end_well_are_listed_with_a_reason_and_a_log(sweep: Path) -> None:
    found = page(sweep)
    cells = found.inside("td")
    for text in ("TrainingError: boom <b>", "the search has stopped it", "SIGTERM"):
        assert text in cells
    logs = [unquote(link) for link in found.links if link.endswith(("log.txt", "record.json"))]
    assert [Path(link).name for link in logs] == ["log.txt", "record.json", "record.json"]
    assert all((sweep / link).is_file() for link in logs)
    assert found.inside("summary")[-3:] == ["1 failed", "1 interrupted", "1 pruned"]
    assert ["open" in attrs for tag, attrs in found.elements if tag == "details"][-3:] == [True, True, False]


def test_runs_of_several_sweeps_that_have_one_name_are_told_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(tmp_path / name, 0.0, "seed=1", status="failed", error="no")
    assert main(["report", str(tmp_path)]) == 0
    cells = Page(tmp_path / "report.html").inside("a")
    assert {"a/seed=1", "b/seed=1"} <= set(cells)


def test_html_in_data_and_names_stays_text(tmp_path: Path) -> None:
    for i, value in enumerate((EVIL, "</script><img src=x onerror=alert(1)>", "&lt;")):
        record = run(tmp_path, 0.1 * i, f"model.name_or_path={value}", name=EVIL, command=f"finesweep train '{EVIL}'")
        report(record)
    found = page(tmp_path)
    assert len([tag for tag, _ in found.elements if tag == "script"]) == len(found.figures) + 2 == 5
    drawn = [text for text in found.inside("script") if text.startswith('{"data"')]
    assert not any("<" in text for text in drawn)
    assert not {"img", "b"} & {tag for tag, _ in found.elements}
    assert found.inside("title")[0].startswith(EVIL)
    assert EVIL in found.inside("td")
    assert EVIL in found.inside("code")[0]
    lines = found.figures["Configurations"]["data"]
    assert any("model.name_or_path = &lt;script&gt;" in line["text"] for line in lines)


def test_secrets_do_not_come_in(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "hush-hush")
    run(sweep, 0.5, "logger.api_token=shh", command="finesweep train --token=hf_abcdefghijklmnopqrstuvwxyz")
    text = page(sweep).source
    assert "hush-hush" not in text
    assert "hf_abcdefghij" not in text


def test_data_sets_have_figures_of_their_own(tmp_path: Path) -> None:
    for data in ("news", "wiki"):
        for lr in (1, 2):
            run(tmp_path, 0.1 * lr, f"data={data}", f"optimizer.lr={lr}")
        run(tmp_path, 0.0, f"data={data}", "optimizer.lr=3", status="failed", error="no")
    found = page(tmp_path)
    assert [text for text in found.inside("h2") if text in ("news f1", "wiki f1")] == ["news f1", "wiki f1"]
    assert found.inside("h2").count("Learning curves") == 2
    (names,) = [each["names"] for title, each in found.figures.items() if title == "Learning curves"]
    assert len(names) == 3
    assert all("data=wiki" in name for name in names)


def test_a_stopped_run_has_its_curve_among_those_of_its_data_set_named_or_not(tmp_path: Path) -> None:
    """The data set of the configuration is named by those runs alone that have another one."""
    for lr, status in ((1, "ok"), (2, "ok"), (3, "pruned")):
        for data, overrides in (("news", []), ("wiki", ["data=wiki"])):
            config = {"seed": 1, "data": {"name": data, "fold": None}, "optimizer": {"lr": lr}}
            run(tmp_path, 0.1, *overrides, f"optimizer.lr={lr}", status=status, config=config)
    curves = [each for each in all_figures(page(tmp_path)) if any("dash" in t.get("line", {}) for t in each["data"])]
    assert [set(each["data"][0]["customdata"]) for each in curves] == [{0}, {0}]
    assert {each["names"][0] for each in curves} == {"optimizer.lr=3", "data=wiki,optimizer.lr=3"}


def test_one_run_alone_all_failed_and_no_number_still_make_a_page(tmp_path: Path) -> None:
    run(tmp_path / "alone", 0.5)
    assert "Nothing varies but the seed" in page(tmp_path / "alone").words
    run(tmp_path / "failed", 0.5, "k.a=1", status="failed", error="no")
    assert page(tmp_path / "failed").figures == {}
    run(tmp_path / "nan", math.nan, "k.a=1")
    run(tmp_path / "nan", 0.5, "k.a=2")
    assert len(page(tmp_path / "nan").figures["Score against cost"]["data"][0]["x"]) == 1


# --- finesweep report -------------------------------------------------------------------------------------------------


def test_report_makes_all_of_it_again(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(sweep)]) == 0
    assert f"{sweep}/leaderboard.csv" in capsys.readouterr().out
    for name in ("leaderboard.csv", "leaderboard.md", "report.html"):
        assert "finetune" in (sweep / name).read_text()


@pytest.mark.usefixtures("sweep")
def test_report_on_a_folder_of_sweeps_and_single_runs(
    tmp_path: Path, finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished_run, tmp_path / "single", ignore=shutil.ignore_patterns("model"))
    run(tmp_path / "sweep-2", 0.95, "finetune_strategy=bitfit", "seed=1")
    (tmp_path / "sweep-2" / "broken").mkdir()
    (tmp_path / "sweep-2" / "broken" / "record.json").write_text("{")
    assert main(["report", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "left out" in told.err
    assert "broken" in told.err
    found = Page(tmp_path / "report.html")
    assert "14 done, 1 failed" in found.words
    assert "./sweep-2/finetune_strategy=bitfit,seed=1/" in found.links
    assert "./single/" in found.links


def test_a_real_run_shows_its_labels_and_its_errors(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "run", ignore=shutil.ignore_patterns("model"))
    assert main(["report", str(tmp_path)]) == 0
    found = Page(tmp_path / "report.html")
    for text in ("Entities", "Tokens", "Confusion", "B-PER", "Hardest errors"):
        assert text in found.words
    assert found.figures["Learning curves"]["data"][-1]["y"]


def test_report_says_clearly_when_there_is_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = run(tmp_path / "runs", 0.5, status="running")
    for folder, text in (
        (tmp_path / "nowhere", "there is no such folder"),
        (record.folder, "this is a single run, which has a report of its own"),
        (tmp_path / "runs", "the runs here have not ended yet"),
    ):
        assert main(["report", str(folder)]) == 2
        assert text in capsys.readouterr().err
    shutil.rmtree(tmp_path / "runs")
    assert main(["report", str(tmp_path)]) == 2
    assert "there are no runs below this folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
