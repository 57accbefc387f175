"""Shared fixtures: the command line, composed configurations, tiny random encoders of every supported shape, a run."""

import csv
import gc
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hydra._internal.hydra import Hydra

from finesweep.config.check import check
from finesweep.config.compose import compose, hydra_session

if TYPE_CHECKING:
    from finesweep.results.record import RunRecord

# Two workers of pytest on two cores, each with two threads, would wait for each other most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ["FINESWEEP_CACHE"] = tempfile.mkdtemp(prefix="finesweep-tests-")

#: A run of seconds: few rows, one epoch, no bar.
QUICK = [
    "data.sentences={train: 64, validation: 24, test: 24}",
    "trainer.max_epochs=1",
    "trainer.progress=false",
    "trainer.precision=32-true",
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests on real weights are there where FINESWEEP_REAL_ENCODER names a model's folder, as in .ci/run."""
    if not os.environ.get("FINESWEEP_REAL_ENCODER"):
        real = [item for item in items if item.get_closest_marker("real_weights")]
        config.hook.pytest_deselected(items=real)
        items[:] = [item for item in items if item not in real]


def pytest_collection_finish() -> None:
    """What was imported until here is no garbage, and half a second a run to look through."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def hydra() -> Hydra:
    """Hydra on ``conf/``, which reads each file of it once; closed already, so that a command can open its own."""
    with hydra_session() as session:
        return session


@pytest.fixture
def composed(hydra: Hydra) -> Callable[..., dict[str, Any]]:
    """``composed("model=tiny", "seed=3")``: a checked, resolved configuration as plain containers."""
    return lambda *overrides: check(compose(hydra, list(overrides)))


@pytest.fixture
def quick() -> list[str]:
    """The overrides of a run of seconds."""
    return list(QUICK)


#: transformers' model type -> configuration of a tiny random encoder of that shape.
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64},
    "roberta": {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64},
    "deberta-v2": {
        "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64,
        "relative_attention": True, "position_buckets": 32, "max_relative_positions": -1,
        "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm", "share_att_key": True,
        "position_biased_input": False,
    },
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64},
    "modernbert": {
        "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64,
        "bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3,
    },
    "electra": {
        "hidden_size": 32, "embedding_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2,
        "intermediate_size": 64,
    },
}  # fmt: skip


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``encoder_folder("roberta")``: a folder with a tiny random encoder of that shape and a tokenizer."""
    made: dict[str, Path] = {}

    def make(model_type: str) -> Path:
        import torch
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        if model_type not in made:
            folder = tmp_path_factory.mktemp("encoders") / model_type
            tokenizer = AutoTokenizer.from_pretrained(tiny_files())
            config = AutoConfig.for_model(
                model_type, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **ENCODERS[model_type]
            )
            torch.manual_seed(0)
            AutoModel.from_config(config).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            made[model_type] = folder
        return made[model_type]

    return make


def fitting() -> list[tuple[str, str]]:
    """Every shape of encoder with every strategy that fits it, but for qlora, whose weights are no floats."""
    from finesweep.config.paths import conf_dir
    from finesweep.strategies.fits import misfit

    names = sorted(path.stem for path in (conf_dir() / "finetune_strategy").glob("[!_]*.yaml"))
    pairs = [(shape, name) for name in names if name != "qlora" for shape in ENCODERS]
    return [(shape, name) for shape, name in pairs if misfit(name, "encoder", shape, "TOKEN_CLS", True) is None]


def tiny_files() -> Path:
    """The folder of the embedded encoder's tokenizer and configuration."""
    import finesweep.models

    return Path(finesweep.models.__file__).parent / "tiny_files"


def curve(record: "RunRecord", key: str) -> list[float]:
    """A column of a run's ``metrics.csv``, where it is not empty."""
    with (record.folder / "metrics.csv").open(encoding="utf-8") as stream:
        return [float(row[key]) for row in csv.DictReader(stream) if row.get(key)]


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a quick run that ended well."""
    import finesweep

    folder = tmp_path_factory.mktemp("finished") / "run"
    return finesweep.run([*QUICK, f"hydra.run.dir={folder}"]).folder
