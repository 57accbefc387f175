"""Strategies that tell layers apart: which train when, and how fast."""

import itertools

import pytest

import finesweep

SHORT = ["data.sentences={train: 40, validation: 12, test: 12}", "trainer.max_steps=2", "trainer.progress=false"]


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


def classifier(encoder_folder, strategy):
    """BERT with a head for texts, whose pooler no language model's checkpoint has, and the strategy applied."""
    from finesweep.models.pretrained import PretrainedModel
    from finesweep.strategies.base import Purpose
    from tests.strategies.conftest import _components
    from tests.tasks.making import task_of

    values, _, chosen, _ = _components(f"finetune_strategy={strategy}")
    task = task_of("text_classification")
    values = values | {"name_or_path": str(encoder_folder("bert")), "pretrained": True}
    model = PretrainedModel(**values).load(task, ["x", "y"], 32).model
    return chosen, chosen.apply(model, Purpose(task.peft_type, task.new_head))


@pytest.mark.parametrize("strategy", ["frozen", "top_layers", "gradual_unfreeze", "llrd", "bitfit", "lora", "ia3"])
def test_the_pooler_is_a_part_of_the_head(encoder_folder, strategy):
    chosen, model = classifier(encoder_folder, strategy)
    trainable = chosen.trainable(model, 0)
    assert {factor for name, factor in trainable.items() if "pooler" in name} == {1.0}
    assert len([name for name in trainable if "pooler" in name]) == 2


def test_a_checkpoint_of_a_language_model_takes_a_new_pooler(tmp_path):
    """The embedded encoder is one: it was pretrained to fill in words."""
    record = finesweep.run(
        ["data=demo_topics", "finetune_strategy=frozen", *SHORT, f"hydra.run.dir={tmp_path / 'run'}"]
    )
    assert record.status == "ok"
    assert record.parameters["trainable"] == 128 * 128 + 128 + 128 * len(record.labels) + len(record.labels)


def test_without_a_new_head_unfreezing_begins_with_the_last_layer(tmp_path):
    shared = ["data=demo_causal_text", *SHORT]
    there = f"hydra.run.dir={tmp_path / 'gradual'}"
    assert finesweep.run([*shared, there, "finetune_strategy=gradual_unfreeze"]).status == "ok"
    shared.append(f"hydra.run.dir={tmp_path / 'top'}")
    with pytest.raises(finesweep.UserError, match="top_layers trains nothing"):
        finesweep.run([*shared, "finetune_strategy=top_layers", "finetune_strategy.layers=0"])


def test_virtual_tokens_count_to_what_the_model_takes(tmp_path):
    shared = ["data=demo_topics", "finetune_strategy=prompt_tuning", "data.max_length=512", *SHORT]
    with pytest.raises(finesweep.UserError, match=r"takes at most 512 sub-words, virtual ones among them, and not 532"):
        finesweep.run([*shared, f"hydra.run.dir={tmp_path / 'run'}"])
