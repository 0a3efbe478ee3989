"""Keeps a history small in memory: what its events say again is one object, said once. Pure.

A soak of hours has hundreds of thousands of events, which name the same few nodes, extensions and states.
"""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from typing import Any

from labctl.history.events import Event

_LONGEST = 64
"""Longer texts, as lines of logs, are hardly ever the same twice."""


class Shared:
    """Events of one history, in order, each as small as it can be. Not safe between threads."""

    def __init__(self) -> None:
        self._last: dict[type[Any], Event] = {}
        self._names: dict[type[Any], tuple[str, ...]] = {}

    def event(self, event: Event) -> Event:
        """An equal event, whose values are those of earlier ones where they are equal."""
        kind = type(event)
        names = self._names.get(kind) or self._names.setdefault(kind, tuple(field.name for field in fields(kind)))
        before = self._last.get(kind)
        changed = {}
        for name in names:
            value = getattr(event, name)
            said = _shared(value, getattr(before, name, None))
            if said is not value:
                changed[name] = said
        shared = replace(event, **changed) if changed else event
        self._last[kind] = shared
        return shared


def _shared(value: Any, before: Any) -> Any:
    """An equal value of the same type, made of what is there already; `before` is the one of the event before."""
    kind = type(value)
    if kind is str:
        return sys.intern(value) if len(value) <= _LONGEST else value
    if kind is not tuple and kind is not dict:
        return value
    if kind is type(before) and value == before and repr(value) == repr(before):  # 1 == True, and order counts
        return before
    if kind is dict:
        said: dict[Any, Any] = before if type(before) is dict else {}
        return {_shared(key, None): _shared(part, said.get(key)) for key, part in value.items()}
    parts: tuple[Any, ...] = before if type(before) is tuple else ()
    return tuple(_shared(part, parts[at] if at < len(parts) else None) for at, part in enumerate(value))
