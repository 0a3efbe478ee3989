"""The forms that a step may have: short and long in YAML, values in Python, and the JSON Schema of all that. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labctl.scenario import expansion
from labctl.scenario.entries import MAX_STEPS
from labctl.scenario.step_registry import STEPS, StepKind
from labctl.yamlfile.document import Path


@dataclass(frozen=True)
class Draft:
    """A step as far as it was understood: the verb is empty or the arguments are None where these are in doubt.

    `loops`: what those `for` that it is within go through, such as `node`. `branch`: of what goes side by side
    (step_registry.Step).
    """

    path: Path
    verb: str
    arguments: dict[str, Any] | None
    loops: tuple[str, ...] = ()
    branch: tuple[int, int] | None = None

    @property
    def values(self) -> dict[str, Any]:
        """Its arguments, or none."""
        return self.arguments or {}


def long_form(step: Any) -> Any:
    """A step with its arguments by name: `{answer: {phone: bob}}` of `{answer: bob}`. What is no step stays so."""
    step = {step: None} if isinstance(step, str) else step
    if not isinstance(step, dict) or len(step) != 1:
        return step
    verb, value = next(iter(step.items()))
    kind = STEPS.get(verb)
    if kind is None:
        return step
    if value is None:
        return {verb: {} if kind.complete else None}
    if not isinstance(value, dict) and kind.short:
        value = {kind.short: value}
    return {verb: listed(kind, value) if isinstance(value, dict) else value}


def listed(kind: StepKind, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, each list of which only the one item was given as a list."""
    return {key: [value] if key in kind.lists and isinstance(value, str) else value for key, value in arguments.items()}


def as_in_yaml(value: Any) -> Any:
    """A value of a program as YAML would have it: scalars are text, tuples are lists. What YAML cannot say stays."""
    if isinstance(value, list | tuple):
        return [as_in_yaml(item) for item in value]
    if isinstance(value, Mapping):
        return {key: as_in_yaml(item) for key, item in value.items()}
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(value)
    return value


def schema(reference: str) -> dict[str, Any]:
    """The JSON Schema of a step, or of a block of such; `reference` is where it is itself."""
    alone = [verb for verb, kind in STEPS.items() if kind.complete]
    step = {
        "type": "object",
        "properties": {**{verb: _schema(kind) for verb, kind in STEPS.items()}, **_blocks({"$ref": reference})},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"anyOf": [{"enum": alone}, step]}


def _blocks(step: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of each kind of block, by its name."""
    steps = {"type": "array", "items": step, "minItems": 1}
    names = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    times = {"type": ["integer", "string"], "minimum": 1, "maximum": MAX_STEPS, "pattern": "^[0-9]+$"}
    each: dict[str, Any] = dict.fromkeys(expansion.KINDS, names)
    forms = {
        "repeat": _mapping({"times": times, "steps": steps}, 2, ["times", "steps"]),
        "for": _mapping({**each, "steps": steps}, 2, ["steps"]),
        "parallel": {"type": "array", "items": steps, "minItems": 2},
    }
    return {name: form | {"description": expansion.BLOCKS[name]} for name, form in forms.items()}


def _mapping(properties: dict[str, Any], size: int, required: list[str]) -> dict[str, Any]:
    """The JSON Schema of a mapping of so many keys."""
    exact = {"minProperties": size, "maxProperties": size, "additionalProperties": False}
    return {"type": "object", "properties": properties, "required": required, **exact}


def _schema(kind: StepKind) -> dict[str, Any]:
    whole = kind.arguments.model_json_schema()
    ways = [whole, whole["properties"][kind.short]] if kind.short else [whole]
    return {"description": kind.about, "anyOf": [*ways, {"type": "null"}] if kind.complete else ways}
