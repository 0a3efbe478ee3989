"""A fault of every kind that labctl knows, as a soak run would make it: a new kind is in the tests by itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from random import Random
from typing import Any

from labctl.faults.fault import Choices
from labctl.faults.registry import FAULTS

NODES = ("n1", "n2", "n3")


def examples(but: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """Kind -> arguments, but for some kinds, and those that want a lab over several Docker hosts."""
    return {kind: _arguments(kind) for kind, cls in FAULTS.items() if kind not in but and not cls.needs}


def lasting(but: Collection[str]) -> dict[str, dict[str, Any]]:
    """Of those that stay in force until somebody heals them."""
    return {kind: given for kind, given in examples(but).items() if not FAULTS[kind].of(given).passes}


def _arguments(kind: str) -> dict[str, Any]:
    steps = FAULTS[kind].random_steps(Choices(Random(kind), NODES, NODES, rings=True))  # noqa: S311 - chance, no secret
    given = next((arguments for verb, arguments in steps if verb == kind), None)
    assert given is not None, f"no soak run tries `{kind}`, so nothing tells how it is said: see Fault.random_steps"
    return given


def nodes_of(kind: str, given: Mapping[str, Any]) -> set[str]:
    """The nodes that its arguments name."""
    fault = FAULTS[kind]
    single = {given[name] for name in fault.model_fields if fault.argument(name).node and name in given}
    groups = [given[name] for name in fault.model_fields if fault.argument(name).words and name in given]
    return single | {node for lists in groups for group in lists for node in group}


def command_of(kind: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    """What follows `labctl fault`."""
    fault = FAULTS[kind]
    words, options = [kind.replace("_", "-")], []
    for name, field in fault.model_fields.items():
        argument = fault.argument(name)
        if name not in given:
            continue
        if argument.words:
            words += [",".join(group) for group in given[name]]
        elif argument.node and field.is_required():
            words.append(given[name])
        else:
            options += [f"--{argument.option or name.replace('_', '-')}", str(given[name])]
    return (*words, *options)
