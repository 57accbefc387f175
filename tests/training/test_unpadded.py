"""Layers that get batches without padding say and learn what they say and learn with it."""

import gc
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForTokenClassification

import finesweep
from finesweep.data.layout import Layout, layout
from finesweep.tasks.base import Feature
from finesweep.training import assemble
from finesweep.training.attention import GroupedAttention, rows_of
from finesweep.training.unpadded import Unpadded, without_padding
from tests.conftest import curve

SHAPE = {
    "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 130, "pad_token_id": 1, "num_labels": 5,
}  # fmt: skip
#: What an architecture calls otherwise, or needs in this vocabulary.
OWN: dict[str, dict[str, Any]] = {
    "biogpt": {"layerdrop": 0.1},
    # Other attention than that of finesweep, also on a CPU.
    "eurobert": {"num_key_value_heads": 2},
    "mistral": {"sliding_window": 16, "num_key_value_heads": 4},
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 64},
    # Every third layer sees everything, the others what is at most 4 away.
    "modernbert": {
        "local_attention": 8, "cls_token_id": 0, "sep_token_id": 2, "bos_token_id": 0, "eos_token_id": 2,
    },
}  # fmt: skip
LENGTHS = [3, 50, 9, 17, 48, 120]


def model_of(kind: str) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{**SHAPE, **OWN.get(kind, {})})
    return AutoModelForTokenClassification.from_config(config).double()


def features(lengths: Sequence[int]) -> list[Feature]:
    rng = np.random.default_rng(0)
    return [Feature(row, rng.integers(3, 100, length).tolist(), {}) for row, length in enumerate(lengths)]


def collate(rows: Sequence[Feature]) -> dict[str, torch.Tensor]:
    ids = torch.ones(len(rows), max(map(len, rows)), dtype=torch.long)
    for out, row in zip(ids, rows, strict=True):
        out[: len(row)] = torch.tensor(row.input_ids)
    return {"input_ids": ids, "attention_mask": (ids != 1).long()}


def found(model: Any, lengths: Sequence[int] = LENGTHS) -> Unpadded | None:
    def forward(batch: Any) -> Any:
        return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits

    return without_padding(model, forward, features(lengths), collate)


@pytest.mark.parametrize(
    "kind", ["bert", "roberta", "xlm-roberta", "distilbert", "electra", "modernbert", "llama", "eurobert"]
)
@pytest.mark.parametrize("lengths", [LENGTHS, [17] * 4, [40, 44, 9, 41]], ids=["all", "one", "two"])
def test_states_and_gradients_are_those_with_padding(kind: str, lengths: list[int]) -> None:
    """In 64 bits; the model is told to drop nothing."""
    model = model_of(kind)
    unpadded = found(model)
    assert unpadded is not None
    batch = collate(features(lengths))
    there = batch["attention_mask"].bool()
    said, learned = [], []
    for told in ({}, {"layout": layout(lengths, max(lengths))}):
        unpadded.expect(told)
        logits = model(**batch).logits[there]
        model.zero_grad()
        (logits**2).sum().backward()
        said.append(logits)
        learned.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    torch.testing.assert_close(said[1], said[0])
    torch.testing.assert_close(learned[1], learned[0])


@pytest.mark.parametrize("kind", ["deberta-v2", "albert", "gpt2", "biogpt"])
@pytest.mark.parametrize("lengths", [LENGTHS, [17] * 4, [10, 10, 20, 40]], ids=["all", "one", "three"])
def test_a_model_that_cannot_is_left_as_it_was(kind: str, lengths: list[int]) -> None:
    model = model_of(kind)
    way = model.config._attn_implementation
    assert found(model, lengths) is None
    assert model.config._attn_implementation == way
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_the_longest_row_decides_whether_a_window_is_kept() -> None:
    """One that looks back through a window is not known to the attention by group."""
    assert found(model_of("mistral")) is None
    assert found(model_of("mistral"), [3, 9, 14, 15]) is not None


CASES: dict[str, list[str]] = {
    "tags": [],
    "classes": ["data=demo_topics"],
    "relations": ["data=demo_relations"],
    "hidden sub-words": ["data=demo_masked_text", "data.max_length=64", "data.batch_size=8"],
    "answers": ["data=demo_questions"],
    "adapters": ["finetune_strategy=lora"],
    "known states below": ["finetune_strategy=top_layers", "finetune_strategy.layers=1"],
    "layers run again": ["trainer.gradient_checkpointing=true"],
    "gradients added up": ["trainer.accumulate_grad_batches=2", "data.batch_size=8"],
}


@pytest.mark.parametrize("case", CASES)
def test_a_training_goes_as_with_padding(
    case: str, tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    same = [
        *quick, *CASES[case], "data.mix_lengths=4", "model.dropout=0", "trainer.precision=32-true",
        "trainer.log_every_n_steps=1",
    ]  # fmt: skip
    made = []
    with monkeypatch.context() as patch:
        patch.setattr(assemble, "without_padding", lambda *given: made.append(without_padding(*given)) or made[-1])
        record = finesweep.run([*same, f"hydra.run.dir={tmp_path / 'unpadded'}"])
    assert made[0] is not None
    assert all("unpadded" not in file.read_text() for file in (record.folder / "model").glob("*.json"))
    monkeypatch.setattr(assemble, "without_padding", lambda *_: None)
    if case == "hidden sub-words":  # which are drawn for each part anew
        monkeypatch.setattr("finesweep.data.module.parts", lambda lengths, _: [np.arange(len(lengths))])
    padded = finesweep.run([*same, f"hydra.run.dir={tmp_path / 'padded'}"])
    assert curve(record, "train/loss") == pytest.approx(curve(padded, "train/loss"), rel=1e-3)
    assert record.metrics["validation"]["loss"] == pytest.approx(padded.metrics["validation"]["loss"], rel=1e-3)
    most = padded.timing["padding_fraction"]
    if case == "hidden sub-words":  # whose padding is a few positions, fewer than may stay
        assert record.timing["padding_fraction"] <= most
    else:
        assert record.timing["padding_fraction"] < most


def test_layers_run_again_in_16_bits_drop_the_same(tmp_path: Path, quick: list[str]) -> None:
    same = [*quick, "trainer.precision=bf16-mixed", "trainer.log_every_n_steps=1"]
    plain = finesweep.run([*same, f"hydra.run.dir={tmp_path / 'plain'}"])
    again = finesweep.run([*same, "trainer.gradient_checkpointing=true", f"hydra.run.dir={tmp_path / 'again'}"])
    assert curve(again, "train/loss") == curve(plain, "train/loss")


@pytest.mark.parametrize(
    ("overrides", "mix"),
    [([], 8), (["finetune_strategy=top_layers"], 8), (["data.max_batch_tokens=300"], 1)],
    ids=["all layers", "some layers", "by positions"],
)
def test_steps_are_of_all_lengths_with_little_padding(
    overrides: list[str], mix: int, tmp_path: Path, quick: list[str]
) -> None:
    record = finesweep.run([*quick, *overrides, f"hydra.run.dir={tmp_path / 'run'}"])
    assert record.batch["mix"] == mix
    assert record.timing["padding_fraction"] < 0.05


def masks_of(placed: Layout) -> list[torch.Tensor | None]:
    parts = rows_of(placed["there"], placed)
    return [part[:, None, None] if group[2] else None for part, group in zip(parts, placed["groups"], strict=True)]


def attention(*parts: torch.Tensor, placed: Layout, dropout: float | Sequence[float] = 0.0, scale: float = 0.7) -> Any:
    """With one dropout, or one for each slice of the batch."""
    if isinstance(dropout, float):
        dropouts: list[Any] = [dropout] * len(placed["groups"])
    else:
        dropouts = list(torch.tensor(dropout)[placed["of"]].split([rows for rows, _, _ in placed["groups"]]))
    return GroupedAttention.apply(*parts, placed, masks_of(placed), dropouts, scale)  # type: ignore[no-untyped-call]


def test_what_attention_drops_is_made_up_for() -> None:
    """Of equal values each share counts alike: their mean over many draws is the value, and a tenth is dropped."""
    torch.manual_seed(0)
    lengths = [7, 30, 30, 12]
    placed = layout(lengths, 30)
    query, key = (torch.randn(len(placed["kept"]), 2, 4) for _ in range(2))
    value = torch.ones(len(placed["kept"]), 2, 4)
    said = torch.stack([attention(query, key, value, placed=placed, dropout=0.1, scale=0.5) for _ in range(400)])
    assert said.mean(0) == pytest.approx(torch.ones(len(placed["kept"]), 2, 4), abs=0.05)
    assert said.std() > 0.05


def test_attention_that_drops_nothing_is_pytorchs() -> None:
    lengths = [3, 50, 9, 17, 48]
    placed = layout(lengths, 50)
    parts = [torch.randn(len(placed["kept"]), 2, 3, dtype=torch.float64) for _ in range(3)]
    line, there = placed["kept"] // 50, placed["kept"] % 50 < torch.tensor(lengths)[placed["kept"] // 50]
    expected = torch.zeros_like(parts[0])
    for row in range(len(lengths)):
        mine = (line == row) & there
        own = [part[mine].transpose(0, 1) for part in parts]
        expected[mine] = torch.nn.functional.scaled_dot_product_attention(*own, scale=0.7).transpose(0, 1)
    said = attention(*parts, placed=placed)
    torch.testing.assert_close(said[there], expected[there])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_attention_in_fewer_bits_is_the_same_but_for_rounding(dtype: torch.dtype) -> None:
    """Short rows and long ones, which it treats in different precision, and dropout in none of them."""
    lengths = [20, 20, 60, 64, 200]
    placed = layout(lengths, 200)
    assert [length for _, length, _ in placed["groups"]] == [20, 64, 200]
    torch.manual_seed(0)
    parts = [torch.randn(len(placed["kept"]), 2, 8) for _ in range(3)]
    said, learned = [], []
    for kind in (torch.float64, dtype):
        given = [part.to(kind).requires_grad_() for part in parts]
        out = attention(*given, placed=placed, scale=0.35)
        assert out.dtype == kind
        out.pow(2).sum().backward()
        said.append(out.double())
        learned.append([part.grad.double() for part in given if part.grad is not None])
    near = 1e-5 if dtype == torch.float32 else 0.03
    torch.testing.assert_close(said[1], said[0], atol=near, rtol=near)
    torch.testing.assert_close(learned[1], learned[0], atol=3 * near, rtol=3 * near)


def test_each_slice_drops_as_much_as_it_is_to() -> None:
    torch.manual_seed(0)
    placed = layout([7, 30, 12, 30, 7, 30], 30, slices=3)
    query, key = (torch.randn(len(placed["kept"]), 2, 4) for _ in range(2))
    value = torch.ones(len(placed["kept"]), 2, 4)
    each = [attention(query, key, value, placed=placed, dropout=[0.0, 0.1, 0.5]) for _ in range(400)]
    said = torch.stack(each).unflatten(1, (3, -1))
    assert said.mean(0) == pytest.approx(torch.ones(said.shape[1:]), abs=0.3)
    spread = said.std(0).mean((1, 2, 3))
    assert spread[0] == pytest.approx(0, abs=1e-6)
    assert spread[2] > 2 * spread[1] > 0.1


@pytest.mark.parametrize("dropout", [0.3, [0.0, 0.5, 0.2]])
def test_gradients_of_attention_are_those_that_differences_give(dropout: float | list[float]) -> None:
    lengths = [3, 5, 4]
    placed = layout(lengths, 5, slices=3)
    parts = [torch.randn(len(placed["kept"]), 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)]

    def drawn_alike(*given: torch.Tensor) -> Any:
        torch.manual_seed(0)
        return attention(*given, placed=placed, dropout=dropout)

    assert torch.autograd.gradcheck(drawn_alike, parts)


def test_a_model_is_not_kept_by_what_takes_its_padding_out() -> None:
    """transformers knows an attention as long as the process lives."""
    model = model_of("bert")
    assert found(model) is not None
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
