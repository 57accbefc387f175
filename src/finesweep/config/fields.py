"""Types with a range, for the dataclasses that describe a strategy, a task, an optimizer or a data source.

A component is a dataclass made with :func:`component`: its fields give type and range but no default, because
defaults live in YAML. The check of a configuration and the construction of the object read the same fields.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Protocol, TypeVar, cast, dataclass_transform

from pydantic import BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import CoreSchema

T = TypeVar("T")

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
#: A fraction of which one is too much: a dropout of 1 leaves nothing.
Probability = Annotated[float, Field(ge=0, lt=1)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
#: The name of a label, which a command line or YAML may give as a number.
Name = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]


@dataclass_transform(kw_only_default=True, frozen_default=True)
def component(cls: type[T]) -> type[T]:
    """A frozen keyword-only dataclass that refuses unknown fields and wrong types: ``lr: "high"``, ``seed: true``."""
    config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)
    cls.__get_pydantic_core_schema__ = classmethod(_from_mapping)  # type: ignore[attr-defined]
    return cast("type[T]", pydantic_dataclass(cls, config=config, frozen=True, kw_only=True))


def _from_mapping(cls: type, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Strict fields, but the dataclass as a whole may come as the mapping that YAML gives."""
    del cls
    schema = handler(source)
    inner: dict[str, Any] = cast("dict[str, Any]", handler.resolve_ref_schema(schema))
    inner["strict"] = False
    return schema


class Checked(Protocol):
    """A component that can say what does not fit the rest of the run, before anything is loaded."""

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Pairs of (key, message) for the resolved configuration ``cfg``."""
        ...
