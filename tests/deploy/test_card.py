"""The card of a model: what it says of loading it does as it stands, but for the folder."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import finesweep

RUNS = {
    "tags": ["data=demo"],
    "choices": ["data=demo_choices"],
    "merged adapter": ["data=demo_relations", "finetune_strategy=lora", "model=hf"],
    "adapter": ["data=demo_causal_text", "finetune_strategy=prompt_tuning"],
    "adapter of a writer": [
        "data=demo_translation",
        "finetune_strategy=prefix_tuning",
        "task.generation.max_new_tokens=8",
    ],
}


@pytest.mark.parametrize("name", RUNS)
def test_the_code_on_the_card_runs(
    name: str, quick: list[str], encoder_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    overrides = RUNS[name]
    base = encoder_folder("bert")
    if "model=hf" in overrides:
        overrides = [*overrides, f"model.name_or_path={base}", "data.max_length=64"]
    folder = finesweep.run([*quick, *overrides, f"hydra.run.dir={tmp_path}/run"]).folder / "model"
    card = (folder / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    assert len(blocks) == (2 if name == "merged adapter" else 1)
    assert (folder / "adapter").is_dir() == (name == "merged adapter")
    for block in blocks:
        names: dict[str, object] = {}
        exec(block.replace("path/to/this/folder", str(folder)).replace(f"path/to/{base.name}", str(base)), names)
        assert "pipeline" in names or not names["model"].training  # type: ignore[attr-defined]
    if name in ("adapter", "adapter of a writer"):
        assert (folder / "base" / "tokenizer.json").is_file()
        assert finesweep.load(folder.parent).predict(["The government of"])
    assert ("Labels: " in card) == (name in ("tags", "merged adapter"))
    assert "base_model: embedded" not in card
