"""Encoded rows on disk: what comes back is what was encoded, for every task, and only for the same rows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finesweep.config.paths import conf_dir
from finesweep.training.components import Components, encoded, read_data
from finesweep.training.features import Stored, stored

DEMOS = sorted(path.stem for path in (conf_dir() / "data").glob("demo*.yaml"))
#: Text without end, which looks after itself.
ENDLESS = {"demo_causal_text", "demo_masked_text"}
Composed = Callable[..., dict[str, Any]]


def test_all_demos_are_found() -> None:
    assert len(DEMOS) >= 15


@pytest.mark.parametrize("data", DEMOS)
def test_what_is_read_is_what_was_encoded(composed: Composed, tmp_path: Path, data: str) -> None:
    parts = Components.of(composed(f"data={data}", f"cache_dir={tmp_path}", "data.limit={train: 40, validation: 9}"))
    examples = read_data(parts)
    loaded = parts.model.skeleton(parts.task, examples.labels, parts.longest)
    fresh = encoded(replace(parts, cache_dir=None), examples, loaded)
    for read in (encoded(parts, examples, loaded), encoded(parts, examples, loaded)):
        assert {split: list(features) for split, features in read.items()} == {
            split: list(features) for split, features in fresh.items()
        }
    assert isinstance(read["train"], Stored) == (data not in ENDLESS)
    assert len(list(tmp_path.glob("features/*.arrow"))) == (0 if data in ENDLESS else len(fresh))


def test_nothing_is_encoded_twice_and_something_else_is(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encodings: list[int] = []

    def features(*overrides: str) -> int:
        """How many splits were encoded."""
        sentences = "data.sentences={train: 40, validation: 8, test: 8}"
        parts = Components.of(composed(f"cache_dir={tmp_path}", sentences, *overrides))
        encode = type(parts.task).encode
        with monkeypatch.context() as patched:
            patched.setattr(type(parts.task), "encode", lambda *given: (encodings.append(1), encode(*given))[1])
            examples = read_data(parts)
            encoded(parts, examples, parts.model.skeleton(parts.task, examples.labels, parts.longest))
        begun, encodings[:] = len(encodings), []
        return begun

    assert features() == 3
    assert features("seed=5", "optimizer.lr=1", "finetune_strategy=lora", "data.batch_size=4") == 0
    assert features("data.limit.train=30") == 1
    for other in ("data.max_length=20", "task.window_overlap=3", "data.world_seed=9"):
        assert features(other) == 3
    for file in tmp_path.glob("features/*.arrow"):
        file.write_bytes(file.read_bytes()[:-100])  # by a full disk, say
    assert features() == 3
    assert features() == 0


def test_nothing_is_nothing(tmp_path: Path) -> None:
    assert list(stored(tmp_path, {}, list)) == []
