"""The wheel carries what an installed finesweep needs."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_a_wheel_carries_conf_and_the_embedded_models_and_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(ROOT)], check=True)
    wheel = next(tmp_path.glob("finesweep-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    groups = [path.relative_to(ROOT) for path in (ROOT / "conf").rglob("*.yaml")]
    assert len(groups) > 28
    assert {f"finesweep/{path}" for path in groups} <= names
    models = [path.relative_to(ROOT / "src") for path in (ROOT / "src").glob("finesweep/models/*_files/*")]
    assert len([path for path in models if path.name == "model.safetensors"]) == 3
    assert {str(path) for path in models} <= names
    assert {f"finesweep/results/page/page.{ending}" for ending in ("html", "css", "js")} <= names
    # Run from there and not from the checkout: isolated mode knows no current folder, and the path comes first.
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); import finesweep; "
        f"assert 'installed' in finesweep.__file__; from finesweep.cli import main; "
        f"sys.exit(main(['train', '--cfg', 'job', 'model=bert_base']))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "google-bert/bert-base-cased" in done.stdout
