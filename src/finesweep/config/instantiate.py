"""The one place where a configuration turns into objects, and the one list of what may be turned.

A node with ``_target_: package.module.Class`` becomes ``Class(**the other keys)``. Only classes of finesweep and of
the packages in ``extension_packages`` can be named: a configuration file from a stranger cannot call anything else.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from finesweep.config.errors import did_you_mean

OWN_PACKAGE = "finesweep"


class TargetError(ValueError):
    """``_target_`` is missing, is not allowed, or cannot be imported."""


def target(node: Mapping[str, Any], extension_packages: list[str]) -> type:
    """The class that ``node["_target_"]`` names.

    Raises:
        TargetError: with the reason and the remedy.
    """
    path = node.get("_target_")
    if not isinstance(path, str) or "." not in path:
        raise TargetError(f"needs a _target_ of the form package.module.Class, not {path!r}")
    module_name, _, class_name = path.rpartition(".")
    module, package = _module(module_name, path, extension_packages)
    found = getattr(module, class_name, None)
    # A re-exported name would let an allowed module hand out a class of any other package.
    if not isinstance(found, type) or found.__module__.partition(".")[0] != package:
        classes = [name for name, value in vars(module).items() if isinstance(value, type)]
        raise TargetError(f"'{module_name}' has no class '{class_name}'.{did_you_mean(class_name, classes)}")
    return found


def build(node: Mapping[str, Any], extension_packages: list[str]) -> Any:
    """The object that a resolved group of the configuration describes. The check has validated it before."""
    values = {str(key): value for key, value in node.items() if key != "_target_"}
    return target(node, extension_packages)(**values)


def function(path: str, extension_packages: list[str]) -> Callable[..., Any]:
    """The function that ``package.module:function`` names, under the same rule.

    Raises:
        TargetError: with the reason and the remedy.
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise TargetError(f"needs the form package.module:function, not '{path}'")
    module, package = _module(module_name, path, extension_packages)
    found = getattr(module, name, None)
    if not inspect.isfunction(found) or found.__module__.partition(".")[0] != package:
        functions = [each for each, value in vars(module).items() if inspect.isfunction(value)]
        raise TargetError(f"'{module_name}' has no function '{name}'.{did_you_mean(name, functions)}")
    return found


def _module(name: str, path: str, extension_packages: list[str]) -> tuple[ModuleType, str]:
    package = name.partition(".")[0]
    if package not in (OWN_PACKAGE, *extension_packages):
        raise TargetError(
            f"'{path}' may not be built: '{package}' is not an allowed package. If you trust it, add it with "
            f"extension_packages=[{package}]"
        )
    try:
        return importlib.import_module(name), package
    except ImportError as error:
        raise TargetError(f"'{path}' cannot be imported: {error}") from error
