"""What holds for every strategy on every shape of encoder. A new file in conf/finetune_strategy is tested too."""

from pathlib import Path

import pytest

from tests.conftest import fitting

CONF = Path(__file__).resolve().parents[2] / "conf" / "finetune_strategy"
STRATEGIES = sorted(path.stem for path in CONF.glob("*.yaml") if not path.stem.startswith("_"))
SHAPES = ["bert", "roberta", "deberta-v2", "distilbert", "modernbert", "electra"]

PAIRS = fitting()
every_pair = pytest.mark.parametrize(("shape", "strategy"), [pytest.param(*pair, id="-".join(pair)) for pair in PAIRS])


def test_the_strategies_are_found():
    assert len(STRATEGIES) >= 12
    assert len(PAIRS) >= 59
    assert {"full", "frozen", "top_layers", "lora"} <= set(STRATEGIES)


@every_pair
def test_trainable_and_frozen_make_up_the_model(set_up, shape, strategy):
    run = set_up(shape, strategy)
    trainable = run.prepare()
    names = {name for name, _ in run.model.named_parameters()}
    training = {name for name, parameter in run.model.named_parameters() if parameter.requires_grad}
    frozen = {name for name, parameter in run.model.named_parameters() if not parameter.requires_grad}
    assert training == set(trainable)
    assert frozen == names - set(trainable)
    assert training
    assert all(factor > 0 for factor in trainable.values())


@every_pair
def test_the_head_always_trains(set_up, shape, strategy):
    from finesweep.strategies.anatomy import head_parameters

    bare, run = set_up(shape, strategy, apply=False), set_up(shape, strategy)
    parameters = dict(run.model.named_parameters())
    training = [tuple(parameters[name].shape) for name in run.strategy.trainable(run.model, 0)]
    heads = head_parameters(bare.model)
    assert heads
    for name in heads:
        shape_of_head = tuple(bare.model.get_parameter(name).shape)
        assert shape_of_head in training
        training.remove(shape_of_head)


@every_pair
def test_the_optimizer_holds_exactly_the_trainable(set_up, shape, strategy):
    from finesweep.training.optimizers import parameter_groups

    run = set_up(shape, strategy, "optimizer.weight_decay=0.25")
    trainable = run.prepare()
    optimizer = run.optimizer.build(parameter_groups(run.model, trainable, run.optimizer))
    parameters = dict(run.model.named_parameters())
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert len({id(parameter) for parameter in held}) == len(held) == len(trainable)
    assert {id(parameter) for parameter in held} == {id(parameters[name]) for name in trainable}
    for group in optimizer.param_groups:
        assert [id(parameter) for parameter in group["params"]] == [id(parameters[name]) for name in group["names"]]
        for name in group["names"]:
            vector = name.endswith(".bias") or any(part in name.lower() for part in ("norm", "magnitude", "ia3_l"))
            assert group["weight_decay"] == (0.0 if vector else 0.25), name
            assert group["lr"] == run.optimizer.lr * trainable[name]


@every_pair
def test_three_steps_move_all_that_trains_and_nothing_else(set_up, batch, shape, strategy):
    import torch

    run = set_up(shape, strategy)  # three, because LoRA's B = 0 gives A no gradient at the first
    before = {name: parameter.detach().clone() for name, parameter in run.model.named_parameters()}
    run.train(batch, steps=3)
    trainable = run.strategy.trainable(run.model, 0)
    for name, parameter in run.model.named_parameters():
        assert torch.equal(parameter, before[name]) == (name not in trainable), name
        assert torch.isfinite(parameter).all(), name


@every_pair
def test_parts_that_are_frozen_as_a_whole_are_in_evaluation_mode(set_up, shape, strategy):
    run = set_up(shape, strategy)
    assert not set_up(shape, strategy, apply=False).model.training  # so from_pretrained leaves it
    run.prepare()
    for name, module in run.model.named_modules():
        parameters = list(module.parameters())
        if any(parameter.requires_grad for parameter in parameters):
            assert module.training, name
        elif parameters:
            assert not any(part.training for part in module.modules()), name


@every_pair
def test_the_modes_come_back_after_scoring(set_up, shape, strategy):
    from finesweep.strategies.base import set_modes

    run = set_up(shape, strategy)
    run.prepare()
    before = {name: module.training for name, module in run.model.named_modules()}
    run.model.eval()
    set_modes(run.model)
    assert before == {name: module.training for name, module in run.model.named_modules()}
    run.model.train()  # and a model that is in training mode throughout ends the same
    set_modes(run.model)
    assert before == {name: module.training for name, module in run.model.named_modules()}


@every_pair
def test_the_trainable_weights_alone_bring_a_trained_model_back(set_up, batch, tmp_path, shape, strategy):
    import torch

    from finesweep.training.checkpoint import load_weights, read, weights, write

    run, fresh = set_up(shape, strategy), set_up(shape, strategy)
    run.train(batch)
    write(tmp_path / "best.safetensors", weights(run.model, run.strategy.trainable(run.model, 0)), {})
    assert not torch.allclose(fresh.logits(batch), run.logits(batch), atol=1e-3)
    load_weights(fresh.model, read(tmp_path / "best.safetensors")[0])
    assert torch.equal(fresh.logits(batch), run.logits(batch))


@every_pair
def test_plain_transformers_loads_the_finished_model(set_up, batch, tmp_path, shape, strategy):
    import torch
    from transformers import AutoModelForTokenClassification

    run = set_up(shape, strategy)
    run.train(batch)
    trained, fresh = run.logits(batch), set_up(shape, strategy).logits(batch)
    assert not torch.allclose(trained, fresh, atol=1e-3)
    finished = run.strategy.finished(run.model, tmp_path, True)
    assert torch.allclose(run.logits(batch, finished), trained, atol=1e-5)
    finished.save_pretrained(tmp_path)
    if not run.strategy.merges:
        from peft import AutoPeftModelForTokenClassification

        loaded = AutoPeftModelForTokenClassification.from_pretrained(tmp_path, num_labels=trained.size(-1))
        assert torch.allclose(run.logits(batch, loaded), trained, atol=1e-5)
        return
    loaded, info = AutoModelForTokenClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert torch.allclose(run.logits(batch, loaded), trained, atol=1e-5)
    assert loaded.config.id2label[1] == "B-PER"
    assert loaded.config.label2id["I-LOC"] == 4


def test_freeze_refuses_what_is_no_parameter(set_up):
    from finesweep.strategies.base import freeze

    run = set_up("bert", "full")
    with pytest.raises(ValueError, match=r"classifier\.wieght"):
        freeze(run.model, ["classifier.bias", "classifier.wieght"])
