"""What makes two configurations the same job: the hash of everything that can change a result."""

import hashlib
import json
from collections.abc import Collection
from typing import Any

from omegaconf import DictConfig, OmegaConf

from finesweep.config.secrets import is_secret, redacted

#: Keys that cannot change a result: where it goes, who watches, what it is called. Dots go into a node.
NO_EFFECT = frozenset(
    {
        "cache_dir",
        "cache_gb",  # states that are kept and states computed in each batch differ in rounding alone
        "hydra",
        "keep",
        "logger",
        "name",
        "replicates",
        "task.cache_dir",
        "trainer.checkpoint_minutes",
        "trainer.log_every_n_steps",
        "trainer.progress",
        "trainer.save_model",
    }
)
#: Keys that came later, and what they must be for a run to do what one from before did: with that they are no part of
#: its identity, so what is done stays done. Without them a configuration of old is filled up with it.
LATER: dict[str, Any] = {
    "data.context": "sentence",
    "data.effective_batch_size": 32,
    "data.max_batch_tokens": None,
    "data.mix_lengths": 1,
    "trainer.checkpoint_minutes": 5,
    "trainer.compile": None,
    "trainer.ema_decay": None,
    "trainer.gradient_checkpointing": False,
}
#: Keys that set replicates of one configuration apart: another seed, another fold of the same data.
REPLICATES = ("seed", "data.fold")
#: The seed and the fold of a run.
Replicate = tuple[Any, Any]


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain dicts and lists, interpolations resolved, without Hydra's own part.

    Raises:
        OmegaConfBaseException: an interpolation points nowhere, or a value is still ``???``.
    """
    own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]) if "hydra" in cfg else cfg
    return OmegaConf.to_container(own, resolve=True, throw_on_missing=True)  # type: ignore[return-value]


def config_hash(cfg: DictConfig | dict[str, Any]) -> str:
    """SHA-256 of the resolved configuration minus :data:`NO_EFFECT` and secrets, whatever the order of its keys."""
    kept = effective(plain(cfg) if isinstance(cfg, DictConfig) else cfg)
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()


def configuration(values: dict[str, Any]) -> str:
    """The hash of what replicates share."""
    return config_hash(without_replicate(values))


def without_replicate(values: dict[str, Any]) -> dict[str, Any]:
    """What runs share that differ in nothing but seed and fold."""
    return {**values, "seed": None, "data": {**values["data"], "fold": None}}


def replicate(values: dict[str, Any]) -> Replicate:
    """What sets replicates apart: the seed and the fold."""
    return values["seed"], values["data"].get("fold")


def value_at(values: dict[str, Any], key: str, missing: Any = None) -> Any:
    """What a configuration has at a key with dots in it, ``missing`` where it has no such key."""
    node: Any = values
    for part in key.split("."):
        node = node.get(part, missing) if isinstance(node, dict) else missing
    return node


def has_effect(key: str) -> bool:
    """Whether a key of a command line, with dots or slashes in it, can change a result."""
    return not any(key == each or key.startswith((f"{each}.", f"{each}/")) for each in NO_EFFECT)


def effective(values: dict[str, Any]) -> dict[str, Any]:
    """What of a configuration can change a result. Secrets are no part of it, so that a record has the same hash."""
    unread = {"data.effective_batch_size"} if value_at(values, "data.batch_size") != "auto" else set()
    same = {key for key, value in LATER.items() if value_at(values, key, value) == value}
    return without(redacted(values), NO_EFFECT | unread | same)


def filled_up(values: dict[str, Any]) -> dict[str, Any]:
    """A configuration of old with the keys that came later."""
    filled = dict(values)
    for key, value in LATER.items():
        group, _, name = key.partition(".")
        filled[group] = {name: value, **filled.get(group, {})}
    return filled


def differences(then: Any, now: Any, path: str = "", *, word: str = "now") -> list[str]:
    """What differs between two trees of plain values, by name: ``optimizer.lr: 0.1, now 0.2``."""
    if isinstance(then, dict) and isinstance(now, dict):
        below = [(key, f"{path}.{key}" if path else str(key)) for key in sorted({*then, *now})]
        return [line for key, place in below for line in differences(then.get(key), now.get(key), place, word=word)]
    return [] if then == now else [f"{path}: {then}, {word} {now}"]


def without(node: Any, keys: Collection[str], path: str = "") -> Any:
    """A tree of plain values without some keys, dots going into a node, and without what is secret."""
    if not isinstance(node, dict):
        return node
    below = {key: f"{path}.{key}" if path else str(key) for key in node}
    kept = (key for key in node if below[key] not in keys and not is_secret(str(key), node[key]))
    return {key: without(node[key], keys, below[key]) for key in kept}
