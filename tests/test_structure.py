"""The house: imports flow one way, files stay small."""

import ast
from pathlib import Path

SRC = Path(__file__).resolve().parents[1] / "src" / "finesweep"

#: Each room may import from those in lower storeys and from itself.
STOREY = {
    "config": 0, "results": 1, "data": 2, "strategies": 2, "tasks": 3, "models": 4, "training": 5,
    "deploy": 6, "sweeps": 6, "commands": 7, "flags": 7, "api": 8, "cli": 9, "__init__": 9,
}  # fmt: skip
#: The command line and the package's front door import lazily what they hand over to.
LIMIT = 300


def imports(file: Path) -> set[str]:
    """The rooms of finesweep that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "finesweep":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("finesweep.")}
    return found


def room(file: Path) -> str:
    return file.relative_to(SRC).parts[0].removesuffix(".py")


def test_imports_flow_one_way() -> None:
    files = sorted(SRC.rglob("*.py"))
    assert len(files) > 50
    wrong = [
        f"{file.relative_to(SRC)} imports {other}"
        for file in files
        for other in imports(file) & STOREY.keys()
        if other != room(file) and STOREY[other] >= STOREY[room(file)]
    ]
    assert wrong == []


def test_every_room_has_a_storey() -> None:
    assert {room(file) for file in SRC.rglob("*.py")} == STOREY.keys()


def test_files_stay_small() -> None:
    lengths = {str(f.relative_to(SRC)): len(f.read_text(encoding="utf-8").splitlines()) for f in SRC.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > LIMIT} == {}
