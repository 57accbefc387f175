"""Batches and memory: what does not fit is told before training, and ``auto`` finds what does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import finesweep
from finesweep.config.errors import UserError
from finesweep.results.record import RunRecord
from finesweep.training import batch_size
from finesweep.training.reproduce import reproduce, surroundings

Run = Callable[..., RunRecord]
AUTO = ["data.batch_size=auto", "data.effective_batch_size=16"]


@pytest.fixture
def run(tmp_path: Path, quick: list[str]) -> Run:
    return lambda name, *overrides: finesweep.run([*quick, f"hydra.run.dir={tmp_path / name}", *overrides])


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """``free(8)``: as if there were memory for a batch of eight rows, and no more."""
    real = batch_size.need_of

    def only_for(rows: int) -> None:
        def need(*given: Any) -> Callable[[int], float]:
            bytes_of = real(*given)
            room = int(bytes_of(rows)) + 1 if rows else 0
            monkeypatch.setattr(batch_size, "free_memory", lambda *_: room)
            return bytes_of

        monkeypatch.setattr(batch_size, "need_of", need)

    return only_for


def close(one: RunRecord, other: RunRecord) -> None:
    for split, scores in one.metrics.items():
        assert other.metrics[split] == pytest.approx(scores, abs=0.02)
    assert one.metrics["validation"]["loss"] == pytest.approx(other.metrics["validation"]["loss"], rel=1e-3)


def test_auto_takes_the_whole_step_where_it_fits(run: Run) -> None:
    record = run("auto", *AUTO)
    assert record.batch == {"rows": 16, "accumulate": 1, "mix": 8}
    assert record.metrics == run("number", "data.batch_size=16").metrics


def test_auto_takes_what_fits_and_adds_gradients_up(run: Run, free: Callable[[int], None]) -> None:
    """Dropout off: it draws other zeros for other batches."""
    whole = run("whole", "data.batch_size=16", "model.dropout=0")
    free(5)
    parts = run("parts", *AUTO, "model.dropout=0")
    assert parts.batch == {"rows": 4, "accumulate": 4, "mix": 8}
    close(parts, whole)


def test_a_run_done_again_has_the_same_batches(run: Run, free: Callable[[int], None], tmp_path: Path) -> None:
    free(2)
    first = run("first", *AUTO)
    assert first.batch["rows"] == 2
    free(16)
    again = reproduce(first, surroundings(first), tmp_path / "again", command="", tolerance=0.0).now
    assert again.batch == first.batch
    assert again.metrics == first.metrics


@pytest.mark.parametrize("size", ["data.batch_size=16", "data.max_batch_tokens=2000"])
def test_a_batch_that_does_not_fit_is_told_before_training(
    run: Run, free: Callable[[int], None], size: str, tmp_path: Path
) -> None:
    free(3)
    with pytest.raises(UserError, match=r"of the longest rows needs about .* are free") as told:
        run("large", size)
    assert told.value.where == size.partition("=")[0]
    assert not (tmp_path / "large" / "metrics.csv").exists()


def test_not_even_a_row_fits(run: Run, free: Callable[[int], None]) -> None:
    free(0)
    with pytest.raises(UserError, match="one of the longest rows") as told:
        run("none", *AUTO)
    assert told.value.where == "data.max_length"


def test_checkpointed_layers_give_the_same_and_keep_less(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    needs: list[float] = []
    real = batch_size.need_of

    def need(*given: Any) -> Callable[[int], float]:
        needs.append(real(*given)(16))
        return real(*given)

    monkeypatch.setattr(batch_size, "need_of", need)
    plain = run("plain")
    less = run("less", "trainer.gradient_checkpointing=true")
    assert less.metrics["validation"] == pytest.approx(plain.metrics["validation"], rel=1e-4)
    assert needs[1] < 0.7 * needs[0]
