"""The rows and the model that both sides of a benchmark are given.

``DATA`` in the environment is a folder with column files ``train.txt`` and ``valid.txt``, ``MODEL`` one that
``save_pretrained`` wrote; without them the rows are the demo's, and the model has MiniLM's shape and random weights.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from finesweep.config.check import check
from finesweep.config.compose import compose, hydra_session
from finesweep.results.files import write_atomically
from finesweep.training.components import Components, read_data

MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
BERT_BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}


def prepared(folder: Path, rows: int, held_out: int, shape: Mapping[str, int] = MINILM) -> str:
    """Write ``train.jsonl`` and ``validation.jsonl`` for both sides; the model to be used, else one of this shape."""
    limits = [f"data.limit.train={rows}", f"data.limit.validation={held_out}"]
    data = ["data=demo", f"data.sentences={{train: {rows}, validation: {held_out}, test: 1}}"]
    if source := os.environ.get("DATA"):
        data = ["data=files", f"data.train={source}/train.txt", f"data.validation={source}/valid.txt", *limits]
    with hydra_session() as hydra:
        parts = Components.of(check(compose(hydra, data)))
    for split, found in read_data(parts).splits.items():
        lines = "".join(json.dumps({"tokens": row["tokens"], "tags": row["tags"]}) + "\n" for row in found)
        write_atomically(folder / f"{split}.jsonl", lines)
    return os.environ.get("MODEL") or _random_model(folder / "model", shape)


def overrides(folder: Path, model: str, batch_size: int, cache: Path) -> list[str]:
    """What makes finesweep train on them.

    Args:
        cache: where encoded rows are kept; a timed run has one of its own, or it would find the work done.
    """
    return [
        "model=hf", f"model.name_or_path={model}", "data=files", f"data.train={folder / 'train.jsonl'}",
        f"data.validation={folder / 'validation.jsonl'}", f"data.batch_size={batch_size}", "data.max_length=128",
        f"cache_dir={cache}",
    ]  # fmt: skip


def _random_model(folder: Path, shape: Mapping[str, int]) -> str:
    from transformers import AutoTokenizer, BertConfig, BertModel

    import finesweep.models

    tokenizer = AutoTokenizer.from_pretrained(Path(finesweep.models.__file__).parent / "tiny_files")
    BertModel(BertConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
