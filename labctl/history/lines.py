"""Events as lines of JSON, and lines as events. Pure.

What a file holds may be a stranger's: every value is held to its type, and figures are finite.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from labctl.asterisk import device_state
from labctl.errors import InvalidFile, Problem, first_mistake
from labctl.history.events import Began, Event, FaultBegan, Said
from labctl.history.phone_events import Unsure
from labctl.history.sharing import Shared
from labctl.lab import MAX_NODES

KIND_NAMES: Mapping[type[Any], str] = {FaultBegan: "fault"}
"""Kinds whose name in the file, which stays, is not that of the class."""


def _name(kind: type[Any]) -> str:
    return KIND_NAMES.get(kind, kind.__name__.lower())


KINDS: Mapping[str, type[Any]] = {_name(kind): kind for kind in get_args(Event)}
_ADAPTERS = {kind: TypeAdapter(model) for kind, model in KINDS.items()}
_FIELDS: Mapping[type[Any], tuple[str, ...]] = {
    model: tuple(field.name for field in fields(model)) for model in KINDS.values()
}
_ENCODER = json.JSONEncoder(separators=(",", ":"), default=asdict)
"""A history has hundreds of thousands of lines: what holds for all of them is made once, and no event is copied."""


def to_line(event: Event) -> str:
    """An event as a line of JSON, its kind first."""
    kind = type(event)
    return _ENCODER.encode({"kind": _name(kind), **{name: getattr(event, name) for name in _FIELDS[kind]}})


def parse(text: str, source: str) -> tuple[Event, ...]:
    """A history, from its lines. A last line that was cut off is left out: a run may have been ended as it wrote.

    Raises InvalidFile with the line of every other that is no event, or if there is no beginning.
    """
    events: list[Event] = []
    shared = Shared()
    problems: list[Problem] = []
    lines = text.split("\n")
    for number, line in ((number, line) for number, line in enumerate(lines, 1) if line.strip()):
        try:
            events.append(shared.event(_event(dict(json.loads(line)))))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if number < len(lines):
                problems.append(Problem(number, f"not an event: {_why(error)}", "labctl run writes such files"))
    if not problems and not (events and isinstance(events[0], Began)):
        problems.append(Problem(1, "the history has no beginning", "its first line is of the kind `began`"))
    if problems:
        raise InvalidFile(source, problems)
    return tuple(events)


def _event(data: Any) -> Event:
    kind = str(data.pop("kind"))
    if kind not in _ADAPTERS:
        raise ValueError(f"no kind `{kind}`")
    event: Event = _ADAPTERS[kind].validate_python(data)
    if isinstance(event, Began) and len(event.nodes) > MAX_NODES:
        raise ValueError(f"a lab of {len(event.nodes)} nodes, and none has more than {MAX_NODES}")
    values = [getattr(event, name) for name in _FIELDS[type(event)]]
    if not all(abs(value) <= 1e12 for value in values if isinstance(value, float)):
        raise ValueError("a time or a figure is not finite")
    said = (event.state,) if isinstance(event, Said) else event.may if isinstance(event, Unsure) else ()
    if strange := next((state for state in said if state not in device_state.ORDER), None):
        raise ValueError(f"no device state `{strange}`")
    return event


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return first_mistake(error)
    return str(error) or type(error).__name__
