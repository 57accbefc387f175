"""Strategies that tell layers apart: which train when, and how fast."""

import itertools

import pytest


def layers_of(names: list[str]) -> set[int]:
    """The numbers of the layers that parameters of BERT belong to."""
    return {int(name.split(".layer.")[1].split(".")[0]) for name in names if ".layer." in name}


def test_unfreezing_goes_from_the_head_down_and_ends_with_the_embeddings(set_up):
    run = set_up("bert", "gradual_unfreeze", "finetune_strategy.every=2")
    trained = [list(run.strategy.trainable(run.model, epoch)) for epoch in range(10)]
    assert [layers_of(names) for names in trained] == [
        set(), set(), {2}, {2}, {1, 2}, {1, 2}, {0, 1, 2}, {0, 1, 2}, {0, 1, 2}, {0, 1, 2},
    ]  # fmt: skip
    assert set(trained[0]) == {"classifier.weight", "classifier.bias"}
    assert not any("embeddings" in name for name in trained[7])
    assert set(trained[9]) == {name for name, _ in run.model.named_parameters()}
    for earlier, later in itertools.pairwise(trained):
        assert set(earlier) <= set(later)


def test_the_optimizer_holds_what_the_last_epoch_trains_from_the_start(set_up, batch):
    import torch

    from finesweep.strategies.base import freeze
    from finesweep.training.optimizers import parameter_groups

    run = set_up("bert", "gradual_unfreeze")
    final = run.strategy.trainable(run.model, 5)
    optimizer = run.optimizer.build(parameter_groups(run.model, final, run.optimizer))
    before = {name: parameter.detach().clone() for name, parameter in run.model.named_parameters()}
    for epoch in (0, 1):
        names = run.strategy.trainable(run.model, epoch)
        freeze(run.model, names)
        run.model(**batch).logits.square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        moved = {name for name, p in run.model.named_parameters() if not torch.equal(p, before[name])}
        assert moved <= set(names)
        assert {"classifier.weight"} <= moved


@pytest.mark.parametrize("decay", [0.5, 1.0])
def test_the_learning_rate_decays_from_the_head_down(set_up, decay):
    run = set_up("bert", "llrd", f"finetune_strategy.decay={decay}")
    factors = run.strategy.trainable(run.model, 0)
    assert set(factors) == {name for name, _ in run.model.named_parameters()}
    assert factors["classifier.weight"] == 1.0
    for layer, power in ((2, 1), (1, 2), (0, 3)):
        assert factors[f"bert.encoder.layer.{layer}.output.dense.weight"] == decay**power
    assert factors["bert.embeddings.word_embeddings.weight"] == decay**4


def test_biases_are_a_small_share(set_up):
    run = set_up("bert", "bitfit")
    trainable = run.strategy.trainable(run.model, 0)
    assert all(name.endswith("bias") or name == "classifier.weight" for name in trainable)
    assert "bert.encoder.layer.0.attention.self.query.bias" in trainable
