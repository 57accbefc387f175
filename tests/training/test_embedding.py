"""Embeddings of which those sub-words alone train that the training texts have: nobody can tell but by the decay."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

import finesweep
from finesweep.config.errors import ChangedError
from finesweep.training import assemble
from finesweep.training.callbacks import Selection
from finesweep.training.embedding import SplitEmbedding, split_embedding
from finesweep.training.optimizers import SGD, AdamW, clip_in_step
from finesweep.training.resume import Checkpointer
from tests.conftest import ENCODERS

#: In which every step of a parameter is its own alone.
_EXACT = ["trainer.gradient_clip_val=null", "optimizer.weight_decay=0"]


def texts(folder: Path, *overrides: str) -> list[str]:
    """Overrides of a run on files whose training texts have few of the sub-words that those of validation have."""
    rows = [f"{'good' if i % 2 else 'bad'} story\t{'pos' if i % 2 else 'neg'}\n" for i in range(48)]
    (folder / "train.tsv").write_text("text\tlabel\n" + "".join(rows))
    held_out = [row.replace("story", "expensive zebra") for row in rows[:12]]
    (folder / "validation.tsv").write_text("text\tlabel\n" + "".join(held_out))
    files = [f"data.{split}={folder / f'{split}.tsv'}" for split in ("train", "validation")]
    return ["data=files", "task=text_classification", *files, "trainer.max_epochs=2", "trainer.progress=false",
            "trainer.precision=32-true", *overrides]  # fmt: skip


@given(st.data())
def test_it_is_the_embedding(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 20))
    embedding = nn.Embedding(size, 3)
    trained = data.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=size - 1))
    shape = data.draw(st.sampled_from([(5,), (2, 3), (1, 2, 2)]))
    ids = torch.tensor(data.draw(st.lists(st.integers(0, size - 1), min_size=6, max_size=6)))[: np.prod(shape)]
    ids = ids.view(shape)
    split = SplitEmbedding(embedding, torch.tensor(sorted(trained)))
    assert torch.equal(split(ids), embedding(ids))
    assert torch.equal(split.whole(), embedding.weight)
    weights = torch.randn(*shape, 3)
    for each in (split, embedding):
        (each(ids) * weights).sum().backward()
    assert torch.equal(split.weight.grad, embedding.weight.grad[sorted(trained)])


def whole(*_: object) -> tuple[str, Callable[[], None]]:
    """In the place of ``split_embedding``: everything trains."""
    return "", lambda: None


@pytest.mark.parametrize("shape", ENCODERS)
def test_a_run_ends_with_the_same_weights(
    shape: str, tmp_path: Path, encoder_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ["model=hf", f"model.name_or_path={encoder_folder(shape)}", "trainer.ema_decay=0.5"]
    split = finesweep.run(texts(tmp_path, *model, *_EXACT, f"hydra.run.dir={tmp_path / 'split'}"))
    monkeypatch.setattr(assemble, "split_embedding", whole)
    plain = finesweep.run(texts(tmp_path, *model, *_EXACT, f"hydra.run.dir={tmp_path / 'whole'}"))
    assert split.model == plain.model
    assert split.parameters == plain.parameters
    assert split.metrics == plain.metrics


def test_the_others_stay_as_they_are(tmp_path: Path, encoder_folder: Callable[[str], Path]) -> None:
    folder, name = encoder_folder("bert"), "embeddings.word_embeddings.weight"
    model = ["model=hf", f"model.name_or_path={folder}", "optimizer.weight_decay=0.1", "optimizer.lr=1e-2"]
    record = finesweep.run(texts(tmp_path, *model, f"hydra.run.dir={tmp_path / 'run'}"))
    before = load_file(folder / "model.safetensors")[name]
    after = load_file(record.folder / "model" / "model.safetensors")[f"bert.{name}"]
    changed = (before != after).any(1)
    assert 3 <= int(changed.sum()) < len(changed) / 2


def test_a_checkpoint_holds_what_trains(
    tmp_path: Path, encoder_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    save = Checkpointer.save
    monkeypatch.setattr(
        Checkpointer,
        "save",
        lambda self, trainer, module: (
            rows.append(len(module.model.get_input_embeddings().weight)),
            save(self, trainer, module),
        ),
    )
    model = ["model=hf", f"model.name_or_path={encoder_folder('bert')}"]
    finesweep.run(texts(tmp_path, *model, f"hydra.run.dir={tmp_path / 'run'}"))
    assert rows
    assert max(rows) < 20


class Tied(nn.Module):
    """A model that says sub-words with the embeddings it reads them by."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(9, 4), nn.Linear(4, 9, bias=False)
        self.head.weight = self.embedding.weight

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding


def test_a_tied_embedding_stays_whole() -> None:
    model = Tied()
    key, put_back = split_embedding(model, model, ["embedding.weight"], np.array([1, 2]))
    put_back()
    assert not key
    assert type(model.embedding) is nn.Embedding
    assert model.head.weight is model.embedding.weight
    model.head.weight = nn.Parameter(torch.zeros(9, 4))
    key, put_back = split_embedding(model, model, ["embedding.weight"], np.array([1, 2]))
    assert key
    assert type(model.embedding) is SplitEmbedding
    put_back()
    assert type(model.embedding) is nn.Embedding


def test_a_row_of_padding_never_trains() -> None:
    model = Tied()
    model.embedding, model.head.weight = nn.Embedding(9, 4, padding_idx=2), nn.Parameter(torch.zeros(9, 4))
    split_embedding(model, model, ["embedding.weight"], np.array([1, 2, 5]))
    assert isinstance(model.embedding, SplitEmbedding)
    assert model.embedding.trained.nonzero()[:, 0].tolist() == [1, 5]


class Wordless(nn.Module):
    """As CANINE is, which reads characters."""

    def get_input_embeddings(self) -> nn.Module:
        raise NotImplementedError


def test_a_model_without_an_embedding_stays_as_it_is() -> None:
    assert split_embedding(Wordless(), Wordless(), [], np.array([1]))[0] == ""


def test_it_moves_as_a_whole() -> None:
    """From a GPU, say, where Lightning leaves no module when it is done."""
    embedding = nn.Embedding(5, 3)
    split = SplitEmbedding(embedding, torch.tensor([1, 4])).double()
    assert split(torch.arange(5)).dtype == split.whole().dtype == torch.float64
    moved = split.to("meta")
    assert {each.device.type for each in (moved.weight, moved.others, moved.places, moved.trained)} == {"meta"}


def test_a_checkpoint_of_other_sub_words_is_refused(
    tmp_path: Path, encoder_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One from when all of them trained, or when the tokenizer made others: its rows would go to the wrong ones."""
    model = ["model=hf", f"model.name_or_path={encoder_folder('bert')}", f"hydra.run.dir={tmp_path / 'run'}"]
    command = texts(tmp_path, *model, "trainer.checkpoint_minutes=0")
    with monkeypatch.context() as before:
        before.setattr(assemble, "split_embedding", whole)
        before.setattr(Selection, "consider", stopped)
        with pytest.raises(RuntimeError, match="stopped"):
            finesweep.run(command)
    with pytest.raises(ChangedError, match="trained_sub_words"):
        finesweep.run(command)


def stopped(*_: object) -> None:
    raise RuntimeError("stopped")


@pytest.mark.parametrize("limit", [0.1, 100.0])
@pytest.mark.parametrize(
    "settings",
    [
        AdamW(lr=0.1, weight_decay=0.1, betas=[0.9, 0.99], eps=1e-8),
        SGD(lr=0.1, weight_decay=0.1, momentum=0.9, nesterov=True),
    ],
)
def test_clipping_in_the_step_is_clipping_before_it(limit: float, settings: AdamW | SGD) -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(4, 3), nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    optimizers = [settings.build([{"params": list(model.parameters())}]) for model in (ours, theirs)]
    for _ in range(3):
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        assert clip_in_step(optimizers[0], limit)
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), limit)
        for optimizer in optimizers:
            optimizer.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-6)


def test_who_cannot_clip_in_the_step_is_clipped_before_it() -> None:
    model = nn.Linear(2, 2).double()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    groups = [{"params": list(model.parameters())}]
    assert not clip_in_step(AdamW(lr=0.1, weight_decay=0.1, betas=[0.9, 0.99], eps=1e-8).build(groups), 1.0)
    assert not clip_in_step(torch.optim.AdamW(model.float().parameters(), fused=True), 1.0)
