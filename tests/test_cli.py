"""The command line as a user meets it: answers, messages, exit status."""

import subprocess
import sys
from pathlib import Path

import pytest

from finesweep import __version__, commands
from finesweep.cli import main
from finesweep.config.paths import conf_dir


def test_help_imports_neither_torch_nor_hydra() -> None:
    code = (
        "import sys; from finesweep.cli import main; status = main(['--help']); "
        "heavy = {'torch', 'hydra', 'omegaconf', 'transformers', 'pydantic', 'numpy'} & set(sys.modules); "
        "sys.exit(status or (1 if heavy else 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("train", "check", "evaluate", "predict"):
        assert f"finesweep {command}" in done.stdout


def test_a_typo_is_reported_without_importing_torch() -> None:
    code = (
        "import sys; from finesweep.cli import main; status = main(['train', 'optimizer.rl=1']); "
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules; sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "optimizer.rl: unknown key. Did you mean 'lr'?" in done.stderr


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"finesweep {__version__}\n"


def test_an_unknown_command_offers_the_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "Did you mean 'train'?" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "check", "evaluate", "predict"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main([command, "--help"])
    except SystemExit as stop:
        status = int(stop.code or 0)
    assert status == 0
    assert command in capsys.readouterr().out


def test_train_help_lists_groups_and_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    groups = {file.parent for file in conf_dir().glob("*/**/*.yaml")}
    assert len(groups) >= 10
    for group in groups:
        options = sorted(file.stem for file in group.glob("[!_]*.yaml"))
        assert f"{group.relative_to(conf_dir())}: {', '.join(options)}\n" in shown
    assert "max_epochs" in shown


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--cfg", "job", "optimizer.lr=0.5"], "lr: 0.5"),
        (["--cfg", "job", "-p", "optimizer", "--resolve"], "weight_decay: 0.01"),
        (["--cfg", "hydra"], "sweep:"),
        (["--info", "defaults"], "finetune_strategy/full"),
    ],
)
def test_hydras_flags_work(flags: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *flags]) == 0
    assert expected in capsys.readouterr().out


def test_hydras_own_help() -> None:
    """In a process of its own: Hydra shuts all log handlers, and one of absl's would shut pytest's standard error."""
    code = "from finesweep.cli import main; main(['train', '--hydra-help'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Hydra" in done.stdout


def test_completion_offers_commands_groups_and_keys(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["train", "-sc", "install=bash"]) == 0
    assert "complete -o nospace" in capsys.readouterr().out
    for line, expected in (
        ("finesweep tr", "train"),
        ("finesweep train finetune_strategy=", "finetune_strategy=lora"),
        ("finesweep train optimizer.wei", "optimizer.weight_decay="),
        ("finesweep train model=", "model=tiny"),
    ):
        monkeypatch.setenv("COMP_LINE", line)
        assert main(["train", "-sc", "query=bash"]) == 0
        assert expected in capsys.readouterr().out.split()


def test_completion_in_a_real_bash() -> None:
    script = (
        f'finesweep() {{ "{sys.executable}" -c "from finesweep.cli import main; main()" "$@"; }}\n'
        'eval "$(finesweep train -sc install=bash)"\n'
        'COMP_LINE="finesweep train -m finetune_strategy=lo" COMP_POINT=${#COMP_LINE}\n'
        'COMP_WORDS=(finesweep train -m "finetune_strategy=lo") COMP_CWORD=3\n'
        'COMP_POINT=${#COMP_LINE}; _finesweep_complete; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "finetune_strategy=lora"


def test_a_missing_run_is_one_message(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["predict", str(tmp_path / "nowhere"), "--text", "x"]) == 2
    message = capsys.readouterr().err
    assert "there is no run" in message
    assert "Traceback" not in message


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "optimizer.rl=1", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


EXPERIMENTS = sorted((conf_dir() / "experiment").glob("*.yaml"))
SWEEPS = [file for file in EXPERIMENTS if "mode: MULTIRUN" in file.read_text()]


def test_an_experiment_says_itself_whether_it_is_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[str] = []
    monkeypatch.setattr(commands, "run_sweep", lambda *_: began.append("sweep"))
    monkeypatch.setattr(commands, "run_single", lambda *_: began.append("run"))
    monkeypatch.setattr(commands, "_print_result", lambda *_: None)
    assert (len(EXPERIMENTS), len(SWEEPS)) == (4, 3)
    for file in EXPERIMENTS:
        main(["train", f"experiment={file.stem}"])
        assert began.pop() == ("sweep" if file in SWEEPS else "run"), file.stem
    for arguments, expected in [
        (["experiment=hparams_search_demo", "--run"], "run"),
        (["-m", "seed=1"], "sweep"),
        (["hydra.mode=MULTIRUN", "seed=1,2"], "sweep"),
        (["seed=1"], "run"),
    ]:
        main(["train", *arguments])
        assert began.pop() == expected, arguments
