"""The check of a configuration: every problem at once, each with its place and what was meant."""

import re
import sys
from pathlib import Path

import pytest
from hydra._internal.hydra import Hydra

from finesweep.config.check import check
from finesweep.config.compose import compose, hydra_session
from finesweep.config.errors import ConfigError, UserError
from finesweep.config.identity import config_hash

CONF = Path(__file__).resolve().parents[2] / "conf"
NEEDS = {
    "model": {
        "hf": ["model.name_or_path=some/model"],
        "tiny_causal": ["data=demo_causal_text"],
        "tiny_seq2seq": ["data=demo_translation"],
    },
    "finetune_strategy": {"prefix_tuning": ["data=demo_causal_text"]},
}


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml") if not path.stem.startswith("_"))


GROUPS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra")
CHOICES = [(group, option) for group in GROUPS for option in options(group)]


def problems(*overrides: str, config_dir: Path | None = None) -> list[str]:
    with hydra_session(config_dir) as hydra, pytest.raises(ConfigError) as caught:
        check(compose(hydra, list(overrides)))
    return [str(problem) for problem in caught.value.problems]


def test_the_groups_are_those_of_the_design() -> None:
    assert GROUPS == [
        "data", "experiment", "finetune_strategy", "logger", "model", "optimizer", "scheduler", "task", "trainer",
    ]  # fmt: skip
    assert len(CHOICES) >= 53


def task_of(data: str) -> str:
    """The task that a data set's YAML brings; files leave it to the user."""
    found = re.search(r"task@_global_.task: (\w+)", (CONF / "data" / f"{data}.yaml").read_text())
    return found[1] if found else "token_classification"


@pytest.mark.parametrize(("group", "option"), CHOICES)
def test_every_option_composes_and_checks(hydra: Hydra, group: str, option: str, tmp_path: Path) -> None:
    extra = list(NEEDS.get(group, {}).get(option, []))
    if (group, option) == ("data", "files"):
        file = tmp_path / "train.txt"
        file.write_text("a O\n")
        extra = [f"data.train={file}"]
    if group == "task":
        extra = [f"data={next(name for name in options('data') if task_of(name) == option and name != 'files')}"]
    values = check(compose(hydra, [*extra, f"{group}={option}"]))
    if group not in ("experiment", "task"):
        assert values[group]["_target_"].startswith("finesweep.")
    if group == "data":
        assert values["task"]["name"] == values["data"]["task"] == task_of(option)


@pytest.mark.parametrize("option", ["demo_choices", "demo_translation"])  # which bring a model too, or none
def test_the_command_line_wins_over_what_data_bring(hydra: Hydra, option: str) -> None:
    won = compose(hydra, [f"data={option}", "task=text_classification", "model=bert_base"]).cfg
    assert (won.task.name, won.model.name) == ("text_classification", "bert_base")


def test_all_problems_come_at_once_with_place_and_hint() -> None:
    found = problems(
        "optimizer.rl=1", "seed=x", "+trainer.foo=1", "data.limit.trian=2", "trainer.max_epochs=0", "modle=tiny",
        "trainer.early_stopping.min_delta=true",
    )  # fmt: skip
    text = "\n".join(found)
    assert len(found) == 7
    assert "optimizer.rl: unknown key. Did you mean 'lr'?" in text
    assert "data.limit.trian: unknown key. Did you mean 'train'?" in text
    assert "modle: unknown key. Did you mean 'model'?" in text
    assert "seed: should be a valid integer, not 'x'" in text
    assert "trainer.max_epochs: should be greater than or equal to 1, not 0" in text
    assert all("set in the command line: " in problem for problem in found)


def test_a_typo_in_a_group_file_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    file = tmp_path / "optimizer" / "mine.yaml"
    file.write_text("defaults: [adamw]\n\nweigth_decay: 0.1\n")
    found = problems("optimizer=mine", config_dir=tmp_path)
    assert found == [
        f"optimizer.weigth_decay: unknown key. Did you mean 'weight_decay'?\n      set in {file}:3",
    ]


def test_a_typo_in_an_experiment_file_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "mine.yaml"
    file.write_text("# @package _global_\nsede: 3\noptimizer:\n  lr: high\n")
    found = "\n".join(problems("experiment=mine", config_dir=tmp_path))
    assert f"sede: unknown key. Did you mean 'seed'?\n      set in {file}:2" in found
    assert f"optimizer.lr: should be a valid number, not 'high'\n      set in {file}:4" in found


def test_an_experiment_wins_over_the_defaults_and_the_command_line_over_it(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 7\ntrainer:\n  max_epochs: 9\n")
    with hydra_session(tmp_path) as hydra:
        values = check(compose(hydra, ["experiment=mine", "trainer.max_epochs=2"]))
    assert (values["seed"], values["trainer"]["max_epochs"]) == (7, 2)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.accelerator=cpu", "trainer.precision=16-mixed"], "16-mixed needs a GPU"),
        (["model.dtype=bfloat16", "trainer.precision=bf16-mixed"], "needs model.dtype=float32"),
        (["objective.metric=bleu"], "no metric 'bleu'"),
        (["data=files"], "data.train: needs a file"),
        (["data=files", "data.train=/nowhere.txt"], "there is no file '/nowhere.txt'"),
        (["finetune_strategy=lora", "finetune_strategy.target_modules=[]"], "is empty"),
        (["finetune_strategy.lr=-1"], "greater than or equal to 0"),
        (["model.dropout=1.0"], "less than 1"),
        (["task.lable_smoothing=0.1"], "task.lable_smoothing: unknown key. Did you mean 'label_smoothing'?"),
        (["task.label_smoothing=2"], "task.label_smoothing: should be less than"),
        (["data.label_map={0: a, 1: b}", "data.label_names=[0,1]", "task.window_overlap=-1"], "task.window_overlap"),
        (["model=hf"], "model.name_or_path: needs a value"),
        (["name=a/b"], "name:"),
        (["optimizer.lr=${nowhere}"], "optimizer.lr: Interpolation key 'nowhere' not found"),
    ],
)
def test_values_and_groups_that_do_not_fit(overrides: list[str], message: str) -> None:
    assert message in "\n".join(problems(*overrides))


def test_unknown_options_offer_near_ones() -> None:
    found = "\n".join(problems("model=bert_bsae", "data=conl2003"))
    assert "model: there is no 'bert_bsae'. Did you mean 'bert_base'?" in found
    assert "data: there is no 'conl2003'. Did you mean 'conll2003'?" in found


def test_several_values_without_m_are_refused() -> None:
    assert "Add -m to sweep" in "\n".join(problems("seed=1,2"))


def test_zero_is_a_value(composed) -> None:
    values = composed("seed=0", "optimizer.lr=0", "optimizer.weight_decay=0", "model.dropout=0")
    assert values["seed"] == 0
    assert values["optimizer"]["lr"] == 0
    assert values["model"]["dropout"] == 0


def test_only_allowed_packages_are_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "mypackage"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from subprocess import Popen\n"
        "class Half:\n"
        "    def __init__(self, warmup_fraction: float):\n        self.warmup_fraction = warmup_fraction\n"
        "    def factor(self, step, total):\n        return 0.5\n"
    )
    monkeypatch.delitem(sys.modules, "mypackage", raising=False)  # another test's
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "half.yaml").write_text("_target_: mypackage.Half\nwarmup_fraction: 0.1\n")
    refused = problems("scheduler=half", config_dir=tmp_path)
    assert "'mypackage' is not an allowed package" in refused[0]
    assert "extension_packages=[mypackage]" in refused[0]
    with hydra_session(tmp_path) as hydra:
        values = check(compose(hydra, ["scheduler=half", "extension_packages=[mypackage]"]))
        assert values["scheduler"]["_target_"] == "mypackage.Half"
    allowed = ["scheduler=half", "extension_packages=[mypackage]"]
    text = "\n".join(problems(*allowed, "scheduler.warmup_fraction=x", "scheduler.foo=1", config_dir=tmp_path))
    assert "scheduler.warmup_fraction: should be a valid number" in text
    assert "scheduler.foo: unknown key" in text
    # A re-exported class of another package stays out of reach.
    smuggled = problems(*allowed, "scheduler._target_=mypackage.Popen", config_dir=tmp_path)
    assert "has no class 'Popen'" in smuggled[0]


@pytest.mark.parametrize("path", ["subprocess.Popen", "os.system", "finesweep.nowhere.X", "finesweep.config.check.Any"])
def test_nothing_else_can_be_instantiated(path: str) -> None:
    assert problems(f"scheduler._target_={path}")


def test_a_missing_config_dir_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--config-dir"), hydra_session(tmp_path / "nowhere"):
        pass


def test_the_hash_depends_on_what_can_change_a_result(composed) -> None:
    base = config_hash(composed())
    same = ["name=other", "logger=tensorboard", "trainer.progress=false", "trainer.log_every_n_steps=3"]
    other = ["seed=2", "optimizer.lr=0.5", "trainer.devices=2", "data.batch_size=8", "finetune_strategy=lora"]
    assert all(config_hash(composed(override)) == base for override in same)
    assert len({config_hash(composed(override)) for override in other} | {base}) == len(other) + 1


def test_auto_is_settled_before_hashing(composed) -> None:
    values = composed()
    assert values["trainer"]["precision"] in ("32-true", "bf16-mixed")
    assert values["trainer"]["accelerator"] in ("cpu", "gpu")
    explicit = composed(
        f"trainer.precision={values['trainer']['precision']}", f"trainer.accelerator={values['trainer']['accelerator']}"
    )
    assert config_hash(values) == config_hash(explicit)
