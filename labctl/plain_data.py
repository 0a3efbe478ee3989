"""Plain data, such as JSON has, made into our frozen dataclasses."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

Kind = TypeVar("Kind")


def adapter(kind: type[Kind]) -> TypeAdapter[Kind]:
    """What checks plain data and makes a value of that class of it; made once, for it takes milliseconds to make.

    What a later labctl added is left out.
    """
    return _made(cast("Any", kind))


@cache
def _made(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
