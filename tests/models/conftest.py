"""What the tests of models share: a model group by folder, and copies of folders to break."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from finesweep.config.check import check
from finesweep.config.compose import compose, hydra_session
from finesweep.config.instantiate import build

LABELS = ["O", "B-PER", "I-PER"]


@pytest.fixture(scope="session")
def values() -> dict[str, Any]:
    """A checked configuration with a model of a folder."""
    with hydra_session() as hydra:
        return check(compose(hydra, ["model=hf", "model.name_or_path=some/model"]))


@pytest.fixture(scope="session")
def task(values: dict[str, Any]) -> Any:
    """Token classification as configured."""
    return build(values["task"], [])


@pytest.fixture(scope="session")
def load(values: dict[str, Any], task: Any) -> Callable[..., Any]:
    """``load(folder, dropout=0.3)``: what ``PretrainedModel.load`` gives, or ``skeleton`` with ``weights=False``."""

    def make(
        name_or_path: Any, *, max_length: int = 32, labels: list[str] = LABELS, weights: bool = True, **changes: Any
    ) -> Any:
        model = build(values["model"] | {"name_or_path": str(name_or_path)} | changes, [])
        return (model.load if weights else model.skeleton)(task, labels, max_length)

    return make


@pytest.fixture(scope="session")
def strategy_of() -> Callable[[str], Any]:
    """``strategy_of("lora")``: the strategy as configured."""

    @cache
    def make(name: str) -> Any:
        with hydra_session() as hydra:
            return build(check(compose(hydra, [f"finetune_strategy={name}"]))["finetune_strategy"], [])

    return make


@pytest.fixture
def copy(encoder_folder: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """``copy("bert", num_hidden_layers=4)``: a folder of its own, with changes to its ``config.json``."""

    def make(shape: str, **changes: Any) -> Path:
        folder = tmp_path / f"{shape}-copy"
        shutil.copytree(encoder_folder(shape), folder)
        config = folder / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | changes))
        return folder

    return make
