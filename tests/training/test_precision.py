"""Weights kept in 16 bits give what autocast makes of weights in 32."""

import copy

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForTokenClassification

from finesweep.training.precision import autocast, halve_products
from tests.conftest import tiny_files

CLASSES = [AutoModelForTokenClassification, AutoModelForMaskedLM]


@pytest.mark.parametrize("kind", CLASSES)
def test_the_output_is_the_same_to_the_bit(kind: type) -> None:
    torch.manual_seed(0)
    model = kind.from_config(AutoConfig.from_pretrained(tiny_files())).eval()  # type: ignore[attr-defined]
    halved = copy.deepcopy(model)
    halve_products(halved, "bf16-mixed", "cpu")
    batch = {
        "input_ids": torch.randint(5, 100, (3, 7)),
        "attention_mask": torch.tensor([[1] * 7, [1] * 5 + [0] * 2, [1] * 7]),
    }
    with torch.inference_mode(), autocast("bf16-mixed", "cpu"):
        assert torch.equal(model(**batch).logits, halved(**batch).logits)
    embeddings = {id(parameter) for parameter in halved.get_input_embeddings().parameters()}
    linear = [module for module in halved.modules() if type(module) is nn.Linear]
    assert {module.weight.dtype for module in linear if id(module.weight) not in embeddings} == {torch.bfloat16}
    assert halved.get_input_embeddings().weight.dtype == torch.float32


def test_other_precisions_keep_their_weights() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    halve_products(model, "32-true", "cpu")
    assert model[0].weight.dtype == torch.float32
