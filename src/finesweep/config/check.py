"""The check of a composed configuration: every problem at once, with its place, before anything heavy loads."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, get_args

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import is_pydantic_dataclass

from finesweep.config.compose import Composition
from finesweep.config.errors import ConfigError, Problem, did_you_mean
from finesweep.config.identity import plain
from finesweep.config.instantiate import TargetError, target
from finesweep.config.machine import settle
from finesweep.config.schema import GROUPS, RunConfig

T = TypeVar("T")


def check(composition: Composition, *, optional: Sequence[str] = ()) -> dict[str, Any]:
    """The resolved configuration as plain containers, ``auto`` settled, if nothing is wrong with it.

    Args:
        optional: keys whose problems do not count here (``data.train`` where nothing is trained).

    Raises:
        ConfigError: unknown keys, wrong types, values out of range, groups that do not fit each other, all in one.
    """
    values, found = _resolved(composition.cfg)
    problems = [
        Problem(p.key, p.message, p.place or composition.sources.place(p.key)) for p in found if p.key not in optional
    ]
    if problems:
        raise ConfigError(sorted(set(problems)))
    return values


def checked_component(node: Any, path: str, kind: type[T]) -> T:
    """A component outside of the groups, ``hydra.launcher`` for example.

    Raises:
        ConfigError: it is none of ours, or something is wrong with its values.
    """
    values = OmegaConf.to_container(node, resolve=True)
    try:
        cls = target(values, [])  # type: ignore[arg-type]
    except TargetError:
        cls = object
    if not issubclass(cls, kind):
        message = f"finesweep runs sweeps itself; of Hydra's plugins it takes none: leave out {path.replace('.', '/')}="
        raise ConfigError([Problem(path, message)])
    given = {str(key): value for key, value in values.items() if key != "_target_"}  # type: ignore[union-attr]
    if problems := list(_validate(cls, given, path)):
        raise ConfigError(problems)
    return cls(**given)


def _resolved(cfg: DictConfig) -> tuple[dict[str, Any], list[Problem]]:
    """The resolved and settled configuration, and what is wrong with it. Resolving takes its time: it is done once."""
    try:
        values = plain(cfg)
    except OmegaConfBaseException:
        return {}, _unresolvable(cfg)
    problems = list(_schema_problems(values))
    unsound = {problem.key.partition(".")[0] for problem in problems}
    settled = values if "trainer" in unsound else settle(values)
    fit = [p for group in GROUPS if group not in unsound for p in _fit(settled, group, unsound)]
    return settled, problems + fit


def _unresolvable(cfg: DictConfig) -> list[Problem]:
    """What is wrong with a configuration that cannot be resolved as a whole."""
    unresolved = list(_unresolved(cfg, cfg, ""))
    broken = {p.key for p in unresolved}
    values = _partial(cfg, broken)
    known = [p for p in _schema_problems(values) if p.key not in broken and "is missing" not in p.message]
    return unresolved + known


def _unresolved(root: DictConfig, node: Any, path: str) -> Iterator[Problem]:
    """Interpolations that point nowhere and values that are still ``???``."""
    keys = range(len(node)) if OmegaConf.is_list(node) else list(node)
    for key in keys:
        below = f"{path}.{key}" if path else str(key)
        if OmegaConf.is_missing(node, key):
            yield Problem(below, "needs a value")
            continue
        try:
            value = node[key]
        except OmegaConfBaseException as error:
            yield Problem(below, " ".join(str(error).split("\n")[0].split()))
            continue
        if OmegaConf.is_config(value):
            yield from _unresolved(root, value, below)


def _partial(cfg: DictConfig, broken: set[str]) -> dict[str, Any]:
    """The resolved configuration without its broken keys, so that the rest can still be checked."""
    copy = OmegaConf.create(OmegaConf.to_container(cfg, resolve=False))
    OmegaConf.set_struct(copy, False)
    for key in broken:
        parent, _, name = key.rpartition(".")
        node = OmegaConf.select(copy, parent) if parent else copy
        if isinstance(node, DictConfig):
            del node[name]
    try:
        return plain(copy)  # type: ignore[arg-type]
    except OmegaConfBaseException:  # something resolves through a broken key: the broken key is reported
        return {}


def _schema_problems(values: dict[str, Any]) -> Iterator[Problem]:
    if not values:
        return
    yield from _validate(RunConfig, values, "")
    packages = values.get("extension_packages") or []
    for group in GROUPS:
        node = values.get(group)
        if not isinstance(node, dict):
            continue
        try:
            cls = target(node, packages)
        except TargetError as error:
            yield Problem(f"{group}._target_", str(error))
            continue
        fields = {key: value for key, value in node.items() if key != "_target_"}
        yield from _validate(cls, fields, group)


def _validate(cls: type, values: dict[str, Any], path: str) -> Iterator[Problem]:
    """Values against the fields of a class: our dataclasses in full, a user's plain class by its signature."""
    try:
        if is_pydantic_dataclass(cls):
            TypeAdapter(cls).validate_python(values)
        else:
            yield from _validate_signature(cls, values, path)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            location = [str(part) for part in detail["loc"]]
            key = ".".join([path, *location] if path else location)
            yield Problem(key, _say(cls, detail, location))


def _validate_signature(cls: type, values: dict[str, Any], path: str) -> Iterator[Problem]:
    parameters = inspect.signature(cls).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in values:
        if name not in parameters and not open_ended:
            yield Problem(f"{path}.{name}", f"unknown key.{_known(name, list(parameters))}")
    for name, parameter in parameters.items():
        if name in values and parameter.annotation is not parameter.empty:
            try:
                config = ConfigDict(arbitrary_types_allowed=True)
                TypeAdapter(parameter.annotation, config=config).validate_python(values[name], strict=True)
            except ValidationError as error:
                yield Problem(f"{path}.{name}", _say(cls, error.errors()[0], [name]))
        elif parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        ):
            yield Problem(f"{path}.{name}", "is missing")


def _say(cls: type, detail: Any, location: list[str]) -> str:
    kind, given = detail["type"], detail.get("input")
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"unknown key.{_known(location[-1], _fields_at(cls, location[:-1]))}"
    if kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return "is missing"
    message = detail["msg"].replace("Input should be", "should be")
    return f"{message}, not {given!r}"


def _known(name: str, fields: list[str]) -> str:
    return did_you_mean(name, fields, otherwise=f" Known: {', '.join(sorted(fields))}." if fields else "")


def _fields_at(cls: type, path: list[str]) -> list[str]:
    """The field names of the dataclass that sits at ``path`` below ``cls``."""
    for name in path:
        annotation = getattr(cls, "__pydantic_fields__", {})[name].annotation
        candidates = [annotation, *get_args(annotation)]
        cls = next((c for c in candidates if is_pydantic_dataclass(c)), type(None))
    return list(getattr(cls, "__pydantic_fields__", {}))


def _fit(values: dict[str, Any], group: str, unsound: set[str]) -> Iterator[Problem]:
    """What a component says of the rest of the configuration, where it has something to say.

    ``unsound`` groups are reported already; what needs a look at one of them is left for the next check.
    """
    node = values[group]
    cls = target(node, values["extension_packages"])
    if not hasattr(cls, "problems"):
        return
    component = cls(**{key: value for key, value in node.items() if key != "_target_"})
    try:
        for key, message in component.problems(values):
            yield Problem(key, message)
    except (KeyError, TypeError, AttributeError, ValueError):
        if not unsound:
            raise
