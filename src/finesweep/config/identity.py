"""What makes two configurations the same job: the hash of everything that can change a result."""

import hashlib
import json
from typing import Any

from omegaconf import DictConfig, OmegaConf

#: Keys that cannot change a result: where it goes, who watches, what it is called. Dots go into a node.
NO_EFFECT = frozenset(
    {"hydra", "name", "logger", "trainer.progress", "trainer.log_every_n_steps", "trainer.save_model", "task.cache_dir"}
)


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain dicts and lists, interpolations resolved, without Hydra's own part.

    Raises:
        OmegaConfBaseException: an interpolation points nowhere, or a value is still ``???``.
    """
    own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    return OmegaConf.to_container(own, resolve=True, throw_on_missing=True)  # type: ignore[return-value]


def config_hash(cfg: DictConfig | dict[str, Any]) -> str:
    """SHA-256 of the resolved configuration minus :data:`NO_EFFECT`, independent of the order of its keys."""
    values = plain(cfg) if isinstance(cfg, DictConfig) else {k: v for k, v in cfg.items() if k != "hydra"}
    kept = _without(values, "")
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()


def _without(node: Any, path: str) -> Any:
    if not isinstance(node, dict):
        return node
    below = {key: f"{path}.{key}" if path else str(key) for key in node}
    return {key: _without(value, below[key]) for key, value in node.items() if below[key] not in NO_EFFECT}
