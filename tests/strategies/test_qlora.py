"""LoRA on a base of 4 bits, where bitsandbytes trains one: on a CPU those without biases."""

from collections.abc import Callable
from pathlib import Path

import pytest

import finesweep
from finesweep.config.errors import UserError
from finesweep.results.record import RunRecord


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RunRecord]:
    """``trained("lora")``: a short run of the embedded decoder on plain text."""

    def train(strategy: str) -> RunRecord:
        folder = tmp_path_factory.mktemp("runs") / strategy
        sizes = "data.sentences={train: 160, validation: 24, test: 24}"
        return finesweep.run([
            "data=demo_causal_text", f"finetune_strategy={strategy}", sizes, "trainer.max_epochs=1",
            "trainer.progress=false", "trainer.precision=32-true", f"hydra.run.dir={folder}",
        ])  # fmt: skip

    return train


def test_a_run_trains_an_adapter_and_evaluates_the_same_again(trained: Callable[[str], RunRecord]) -> None:
    record, plain = trained("qlora"), trained("lora")
    assert record.status == "ok"
    assert record.parameters == plain.parameters  # two of four bits lie in one byte, and count as two
    assert record.metrics["validation"]["loss"] < record.metrics["before"]["loss"]
    assert record.metrics["before"]["loss"] == pytest.approx(plain.metrics["before"]["loss"], rel=0.1)
    assert record.metrics["before"]["loss"] != plain.metrics["before"]["loss"]
    assert (record.folder / "model" / "adapter_config.json").is_file()
    (answer,) = finesweep.load(record.folder).predict(["The government of"])
    assert answer["continuation"]


def test_a_base_with_biases_is_refused_on_a_cpu(encoder_folder: Callable[[str], Path], quick: list[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("bitsandbytes trains biases on a GPU")
    with pytest.raises(UserError, match="cannot train BertForTokenClassification on a CPU"):
        finesweep.run([*quick, f"model.name_or_path={encoder_folder('bert')}", "model=hf", "finetune_strategy=qlora"])


def test_gradients_go_through_the_packed_base_also_after_scoring() -> None:
    """In evaluation mode bitsandbytes would pack the weights anew, for a kernel that has no gradient."""
    import torch
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    from finesweep.config.check import check
    from finesweep.config.compose import compose, hydra_session
    from finesweep.strategies.base import freeze, set_modes
    from finesweep.training.components import Components

    with hydra_session() as hydra:
        values = check(compose(hydra, ["data=demo_causal_text", "finetune_strategy=qlora"]))
    parts = Components.of(values)
    loaded = parts.model.load(parts.task, [], 64, parts.strategy.loading())
    model = parts.apply(loaded)
    freeze(model, parts.strategy.trainable(model, 0))
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    ids = torch.randint(5, 500, (2, 9))

    def gradients() -> list[torch.Tensor]:
        set_modes(model)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.eval()
        model.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]

    model.eval()
    with torch.inference_mode():
        model(input_ids=ids)
    packed = gradients()
    for layer in list(model.modules()):
        for name, child in list(layer.named_children()):
            if isinstance(child, Linear4bit):
                plain = torch.nn.Linear(child.in_features, child.out_features, bias=False)
                plain.weight.data = dequantize_4bit(child.weight.data, child.weight.quant_state).float()
                setattr(layer, name, plain.requires_grad_(False))
    whole = gradients()
    assert len(packed) == len(whole) > 8
    for one, other in zip(packed, whole, strict=True):
        assert torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.99
