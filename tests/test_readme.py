"""What the README says is so: its commands compose, its list of groups is complete, its extensions work."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from hydra._internal.hydra import Hydra

import finesweep
from finesweep.config.check import check
from finesweep.config.compose import compose, hydra_session
from finesweep.sweeps.sketch import sketch

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [
    line.partition("  #")[0].strip()
    for language, block in BLOCKS
    if not language
    for line in block.splitlines()
    if re.match(r"finesweep (train|check|data) ", line) and "--" not in line
]
#: Data files that the commands name, and what has to be in them for the check: anything.
FILES = [
    "train.txt",
    "dev.txt",
    "test.txt",
    "germeval.tsv",
    "train.jsonl",
    "other.txt",
    "all.tsv",
    "train.tsv",
    "dev.tsv",
]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FILES:
        (tmp_path / name).write_text("a O\n")
    monkeypatch.chdir(tmp_path)


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 10


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_composes_and_checks(hydra: Hydra, command: str) -> None:
    words = shlex.split(command)[2:]
    overrides = [word for word in words if word != "-m"]
    if "-m" in words or "hparams_search" in command:
        assert sketch(hydra, overrides).jobs
    else:
        check(compose(hydra, overrides))


def test_the_table_of_groups_is_complete() -> None:
    folders = [*(ROOT / "conf").iterdir(), *(ROOT / "conf" / "hydra").iterdir()]
    groups = [folder for folder in folders if list(folder.glob("*.yaml"))]
    assert len(groups) == 11
    for folder in groups:
        row = re.search(rf"^\| `{folder.relative_to(ROOT / 'conf')}` \| (.*?) \|", README, flags=re.MULTILINE)
        assert row, folder.name
        listed = set(row[1].split(", "))
        assert listed == {path.stem for path in folder.glob("*.yaml") if not path.stem.startswith("_")}


EXTENSIONS = {"model": "scibert", "data": "mine", "finetune_strategy": "biases", "task": "spelling"}


@pytest.fixture
def extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of configuration files with the README's examples in it, their package in sight."""
    yamls = [block for language, block in BLOCKS if language == "yaml"]
    for (group, name), text in zip(EXTENSIONS.items(), yamls, strict=True):
        (tmp_path / "conf" / group).mkdir(parents=True)
        (tmp_path / "conf" / group / f"{name}.yaml").write_text(text.replace("/data/mine", str(tmp_path)))
    (tmp_path / "mypackage").mkdir()
    for name in ("Biases", "Spelling"):
        code = next(block for language, block in BLOCKS if language == "python" and f"class {name}" in block)
        (tmp_path / "mypackage" / f"{name.lower()}.py").write_text(code)
    for name in ("train.txt", "test.txt"):
        (tmp_path / name).write_text("a O\n")
    monkeypatch.delitem(sys.modules, "mypackage", raising=False)  # another test's
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "conf"


def test_the_examples_of_extensions_compose(extended: Path) -> None:
    with hydra_session(extended) as hydra:
        overrides = ["model=scibert", "data=mine", "finetune_strategy=biases", "extension_packages=[mypackage]"]
        values = check(compose(hydra, overrides))
    assert values["optimizer"]["lr"] == 1e-3
    assert values["name"] == "mine-scibert"


def test_the_example_of_a_task_trains_and_scores(extended: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("".join(f"a b{i}\tb a\n" for i in range(20)))
    files = ["task=spelling", "model=tiny_seq2seq", "data=files", f"data.train={tmp_path / 'pairs.tsv'}"]
    more = ["extension_packages=[mypackage]", "trainer.max_epochs=1", "trainer.progress=false"]
    record = finesweep.run([*files, *more, f"hydra.run.dir={tmp_path / 'run'}"], config_dir=extended)
    assert 0 <= record.metrics["validation"]["right"] <= 1
    assert finesweep.load(record.folder).predict(["a b1"])[0].keys() == {"source", "prediction"}
