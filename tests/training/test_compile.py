"""``trainer.compile``: the same training, in one program made for it."""

from pathlib import Path

import pytest

import finesweep
from tests.conftest import curve


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["data=demo_masked_text"]], ids=["tags", "masked text"])
def test_a_compiled_model_learns_the_same(more: list[str], tmp_path: Path, quick: list[str]) -> None:
    """But for rounding: what is fused is rounded less often."""
    same = [*quick, *more, "data.mix_lengths=1", "model.dropout=0", "trainer.precision=32-true"]
    plain = finesweep.run([*same, f"hydra.run.dir={tmp_path / 'plain'}"])
    compiled = finesweep.run([*same, f"hydra.run.dir={tmp_path / 'compiled'}", "trainer.compile=default"])
    assert curve(compiled, "train/loss") == pytest.approx(curve(plain, "train/loss"), rel=1e-3)
    assert compiled.metrics["validation"]["loss"] == pytest.approx(plain.metrics["validation"]["loss"], rel=1e-3)
    assert compiled.config_hash != plain.config_hash


def test_of_a_frozen_model_nothing_is_left_to_compile(tmp_path: Path, quick: list[str]) -> None:
    record = finesweep.run(
        [*quick, f"hydra.run.dir={tmp_path / 'run'}", "finetune_strategy=frozen", "trainer.compile=default"]
    )
    assert any("trainer.compile is not used" in note for note in record.notes)


def test_what_cannot_be_compiled_is_said(tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (str(tmp_path / "no-compiler"),))
    monkeypatch.setattr("torch._inductor.config.fx_graph_cache", False)
    with pytest.raises(finesweep.config.errors.TrainingError, match="cannot be compiled") as caught:
        finesweep.run([*quick, f"hydra.run.dir={tmp_path / 'run'}", "trainer.compile=default"])
    assert caught.value.where == "trainer.compile"
