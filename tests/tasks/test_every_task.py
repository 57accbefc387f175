"""What holds for every task: it trains on its demo data, and what comes out can be scored, told and loaded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

import finesweep
from finesweep.cli import main
from finesweep.config.instantiate import build
from finesweep.config.paths import conf_dir
from finesweep.results.record import RunRecord
from finesweep.sweeps.compare import tally_of

TASKS = sorted(path.stem for path in (conf_dir() / "task").glob("[!_]*.yaml"))
DEMOS = sorted(path.stem for path in (conf_dir() / "data").glob("demo*.yaml"))

#: What a user asks a model of each task, and the key of the answer.
ASKED: dict[str, tuple[Any, str]] = {
    "token_classification": ("Klosen met Feis .", "entities"),
    "text_classification": ("Klosen met Feis .", "label"),
    "multi_label_classification": ("Klosen met Feis .", "label"),
    "text_regression": ("Klosen met Feis .", "label"),
    "relation_extraction": ("<e1>Klosen</e1> met <e2>Feis</e2> .", "label"),
    "question_answering": ({"question": "Who met Feis ?", "context": "Klosen met Feis ."}, "answer"),
    "generative_question_answering": ({"question": "Who met Feis ?", "context": "Klosen met Feis ."}, "prediction"),
    "multiple_choice": ({"question": "Who met Feis ?", "choices": ["Klosen", "Brunburg"]}, "choice"),
    "translation": ("Klosen met Feis .", "prediction"),
    "summarization": ("Klosen met Feis .", "prediction"),
    "dialogue": ("Who met Feis ?", "answer"),
    "masked_lm": ("Klosen met [MASK] .", "fills"),
    "causal_lm": ("Klosen met", "continuation"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RunRecord]:
    """``trained("demo_topics")``: a run of seconds on a demo data set."""
    made: dict[str, RunRecord] = {}

    def train(data: str) -> RunRecord:
        if data not in made:
            folder = tmp_path_factory.mktemp("runs") / data
            quick = [
                f"data={data}", "data.sentences={train: 40, validation: 12, test: 12}", "trainer.max_epochs=1",
                "trainer.progress=false", "trainer.precision=32-true", f"hydra.run.dir={folder}",
            ]  # fmt: skip
            made[data] = finesweep.run(quick)
        return made[data]

    return train


def task_of(record: RunRecord) -> Any:
    import yaml

    values = yaml.safe_load((record.folder / "config.yaml").read_text())
    return build(values["task"], [])


def test_the_tasks_are_found_and_each_has_demo_data() -> None:
    assert len(TASKS) >= 12
    assert set(ASKED) == set(TASKS)
    texts = [(conf_dir() / "data" / f"{name}.yaml").read_text() for name in DEMOS]
    assert {task for task in TASKS if any(f"task: {task}\n" in text for text in texts)} == set(TASKS)


@pytest.mark.parametrize("data", DEMOS)
def test_a_run_leaves_metrics_predictions_and_a_report(trained: Callable[[str], RunRecord], data: str) -> None:
    record = trained(data)
    task = task_of(record)
    assert record.status == "ok"
    for split in ("before", "validation", "test"):
        assert set(record.metrics[split]) == set(task.metric_names)
    assert record.parameters["trainable"] == record.parameters["total"] > 0
    predictions = record.folder / "predictions" / "test.jsonl"
    if predictions.is_file():
        assert len(predictions.read_text().splitlines()) == record.data["test"]["rows"] == 12
    else:
        assert task.name in ("masked_lm", "causal_lm")
    report = (record.folder / "report.md").read_text()
    assert "## Scores on test" in report
    data_of_report = json.loads((record.folder / "report.json").read_text())
    assert all(f"### {table['title']}" in report for table in data_of_report["validation"]["tables"])
    assert bool(data_of_report["test"]["confusion"]["labels"]) == ("figures/confusion_test.png" in report)
    assert (record.folder / "figures" / "learning_curve.png").stat().st_size > 1000


@pytest.mark.parametrize("data", DEMOS)
def test_stored_predictions_add_up_to_the_scores(trained: Callable[[str], RunRecord], data: str) -> None:
    record = trained(data)
    task = task_of(record)
    tallied = []
    for split in ("validation", "test"):
        for metric in task.metric_names:
            tally = tally_of(task, metric, record, split)
            if tally is not None:
                assert float(tally.value(tally.counts.sum(axis=0))) == pytest.approx(record.metrics[split][metric])
                tallied.append(metric)
    writes_nothing = task.name in ("masked_lm", "causal_lm")
    objective = "rougeL" if task.name == "dialogue" else task.objective.metric
    assert (objective in tallied) != writes_nothing


@pytest.mark.parametrize("data", DEMOS)
def test_transformers_loads_the_model_by_its_class(trained: Callable[[str], RunRecord], data: str) -> None:
    record = trained(data)
    card = (record.folder / "model" / "README.md").read_text()
    task = task_of(record)
    kinds = [task.auto_class_for(kind) for kind in task.kinds]
    loaded = []
    for name in dict.fromkeys(kinds):
        try:
            model, info = getattr(transformers, name).from_pretrained(record.folder / "model", output_loading_info=True)
        except ValueError:  # the class for the other kind of model
            continue
        assert not info["missing_keys"]
        assert not info["unexpected_keys"]
        loaded.append(model)
    assert len(loaded) == 1
    assert transformers.AutoTokenizer.from_pretrained(record.folder / "model").pad_token_id is not None
    assert task.pipeline.split(",")[0].strip('"') in card


@pytest.mark.parametrize("data", DEMOS)
def test_new_text_is_predicted(
    trained: Callable[[str], RunRecord], data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = trained(data)
    asked, key = ASKED[task_of(record).name]
    (answer,) = finesweep.load(record.folder).predict([asked])
    assert key in answer
    line = asked if isinstance(asked, str) else json.dumps(asked)
    (tmp_path / "in.txt").write_text(line + "\n" + line + "\n")
    assert main(["predict", str(record.folder), "--input", str(tmp_path / "in.txt")]) == 0
    told = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert [each[key] for each in told] == [answer[key]] * 2
    assert main(["predict", str(record.folder), "--input", str(tmp_path / "in.txt"), "--format", "columns"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 2


@pytest.mark.parametrize("data", DEMOS)
def test_evaluate_gives_the_runs_own_scores(
    trained: Callable[[str], RunRecord], data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = trained(data)
    assert main(["evaluate", str(record.folder), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["metrics"]
    assert again == pytest.approx(record.metrics["test"], rel=1e-4)


@pytest.mark.parametrize("data", DEMOS)
def test_what_a_text_cannot_be_is_one_message(
    trained: Callable[[str], RunRecord], data: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    import io

    record = trained(data)
    monkeypatch.setattr("sys.stdin", io.StringIO('{"nothing": 1}\n'))
    assert main(["predict", str(record.folder)]) == 2
    error = capsys.readouterr().err
    assert "standard input:1: " in error
    assert "Traceback" not in error
