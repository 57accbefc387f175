"""Runs on a real pretrained encoder: what random weights cannot show. FINESWEEP_REAL_ENCODER names its folder."""

import json
import os
from pathlib import Path

import pytest

import finesweep
from finesweep.results.record import RunRecord

ENCODER = os.environ.get("FINESWEEP_REAL_ENCODER", "")
pytestmark = pytest.mark.real_weights

SHARED = [
    "model=hf", f"model.name_or_path={ENCODER}", "data.sentences={train: 600, validation: 200, test: 200}",
    "data.batch_size=16", "trainer.max_epochs=2", "trainer.progress=false",
]  # fmt: skip


def train(folder: Path, *overrides: str) -> RunRecord:
    return finesweep.run([*SHARED, *overrides, f"hydra.run.dir={folder}"])


def test_pretrained_full_and_lora_learn_what_frozen_cannot(tmp_path: Path) -> None:
    full = train(tmp_path / "full", "optimizer.lr=3e-4")
    lora = train(tmp_path / "lora", "finetune_strategy=lora")
    frozen = train(tmp_path / "frozen", "finetune_strategy=frozen")
    assert full.metrics["test"]["f1"] > 0.8
    assert lora.metrics["test"]["f1"] > 0.7
    assert frozen.metrics["test"]["f1"] < full.metrics["test"]["f1"]
    assert lora.parameters["trainable"] < 0.05 * full.parameters["trainable"]
    _loads_with_pipeline_and_peft(lora)


def _loads_with_pipeline_and_peft(record: RunRecord) -> None:
    import torch
    from peft import AutoPeftModelForTokenClassification
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

    folder = record.folder / "model"
    merged = AutoModelForTokenClassification.from_pretrained(folder).eval()
    adapter = AutoPeftModelForTokenClassification.from_pretrained(folder / "adapter", num_labels=len(record.labels))
    batch = AutoTokenizer.from_pretrained(folder)("Klosen of Brunburg Bank left .", return_tensors="pt")
    with torch.inference_mode():
        assert torch.allclose(merged(**batch).logits, adapter.eval()(**batch).logits, atol=1e-4)
    lines = (record.folder / "predictions" / "test.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    tagger = pipeline("token-classification", model=str(folder), aggregation_strategy="first")
    found = sum(len(tagger(" ".join(row["tokens"]))) for row in rows[:20])
    assert found == pytest.approx(
        sum(tag.startswith("B-") for row in rows[:20] for tag in row["predicted_tags"]), rel=0.1
    )
