"""Scenarios that say less than one does, other than by fewer steps: fewer nodes, phones and settings. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from labctl.errors import UsageError
from labctl.lab import Lab, Overrides
from labctl.labfile.loader import DEFAULT_LAB, find_lab, shipped_labs
from labctl.labfile.reader import resolve
from labctl.labfile.writer import to_data
from labctl.scenario.reader import Scenario
from labctl.scenario.step_registry import STEPS, Step
from labctl.stack.model import Stack
from labctl.yamlfile.blocks import written
from labctl.yamlfile.document import parse

Simpler = tuple[str, Scenario]
"""What is left out, in words, and the scenario without it."""


def simpler(scenario: Scenario) -> Iterator[Simpler]:
    """Every scenario that says one thing less, the largest things first."""
    if scenario.keep_going:
        yield "ending at a step that fails", replace(scenario, keep_going=False)
    if scenario.lab.hints:
        yield "without `hints`", replace(scenario, lab=replace(scenario.lab, hints=()))
    if scenario.lab.config:
        yield "without `config`", replace(scenario, lab=replace(scenario.lab, config=()))
    for node in reversed(scenario.lab.nodes[1:] if len(scenario.lab.nodes) > 1 else ()):
        without = _without_node(scenario, node.name)
        if without:
            yield f"without node {node.name}", without
    lab = _as_shipped(scenario)
    if lab and lab != scenario.lab:
        yield "with every setting of its lab as it is by default", replace(scenario, lab=lab)
    for index, step in enumerate(scenario.steps):
        for argument, plain in _plainer(step):
            steps = [*scenario.steps[:index], plain, *scenario.steps[index + 1 :]]
            yield f"with `{step.verb}` as it is by default ({argument})", replace(scenario, steps=tuple(steps))


def _plainer(step: Step) -> Iterator[tuple[str, Step]]:
    """The step with one argument as it is by default; a name is no setting."""
    for name, field in STEPS[step.verb].arguments.model_fields.items():
        given = step.arguments.get(name)
        if name != "name" and not field.is_required() and given is not None and given != field.default:
            rest = {key: value for key, value in step.arguments.items() if key != name}
            yield name, replace(step, arguments=rest)


# Nodes


def _without_node(scenario: Scenario, node: str) -> Scenario | None:
    """The scenario on the other nodes; their phones stay where they are. None where it would say nothing."""
    lab = scenario.lab
    gone = {phone.name for phone in lab.phones if phone.node == node}
    boxes = tuple(box for box in lab.mailboxes if box.node != node)
    numbers = {box.number for box in boxes}
    phones = tuple(
        replace(
            phone,
            watches=tuple(watched for watched in phone.watches if watched not in gone),
            mailbox=phone.mailbox if phone.mailbox in numbers else None,
        )
        for phone in lab.phones
        if phone.name not in gone
    )
    left = [other for other in lab.nodes if other.name != node]
    nodes = tuple(replace(other, nodeid=number) for number, other in enumerate(left, 1))
    config = tuple(extra for extra in lab.config if extra.scope != node)
    waiting = tuple(other for other in lab.without if other != node)
    smaller = replace(lab, nodes=nodes, phones=phones, mailboxes=boxes, config=config, without=waiting)
    steps = [kept for step in scenario.steps if (kept := _step_without(step, {"node": {node}, "phone": gone}))]
    return replace(scenario, lab=smaller, steps=tuple(steps)) if steps else None


def _step_without(step: Step, gone: Mapping[str, set[str]]) -> Step | None:
    """A step without nodes and phones that are gone: lists get shorter; None where it is of nothing any more."""
    arguments = dict(step.arguments)
    for argument, (_, mark) in STEPS[step.verb].names.items():
        names = gone.get(mark.word)
        if not names or argument not in arguments:
            continue
        left = _left(arguments[argument], names)
        if not left:
            return None
        arguments[argument] = left
    if step.verb == "partition" and len(arguments["groups"]) < 2:
        return None
    return replace(step, arguments=arguments)


def _left(value: Any, gone: set[str]) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(item for item in (_left(item, gone) for item in value) if item)
    return None if value in gone else value


# Labs


def _as_shipped(scenario: Scenario) -> Lab | None:
    """A lab of the same nodes, carrier and stack in which all else is as it is by default."""
    if scenario.lab.sites:
        return None
    plain = {"nodes": [node.name for node in scenario.lab.nodes], "share": {"via": scenario.lab.via}}
    return _resolved(plain, scenario)


def lab_in_short(scenario: Scenario) -> str | dict[str, Any]:
    """The scenario's lab as people write it: the name of a shipped one, or what is not so by default."""
    lab = scenario.lab
    overrides = Overrides(name=lab.name)
    same = [name for name in (DEFAULT_LAB, *shipped_labs()) if find_lab(name, overrides)[0] == lab]
    if same:
        return same[0]
    data = {key: value for key, value in to_data(lab).items() if key != "name"}
    numbered = {**data, "nodes": str(len(lab.nodes))} if "nodes" in data else data
    data = numbered if _resolved(numbered, scenario) == lab else data
    for key in [key for key in data if key not in ("nodes", "sites")]:
        rest = {other: value for other, value in data.items() if other != key}
        data = rest if _resolved(rest, scenario) == lab else data
    return data


def _resolved(data: Mapping[str, Any], scenario: Scenario) -> Lab | None:
    """The lab that such data means on the scenario's stack; None where it is none."""

    def find_stack(_name: str) -> Stack:
        return scenario.stack

    try:
        document = parse(written({"stack": scenario.lab.stack, **data}), "lab")
        return resolve(document, find_stack, Overrides(name=scenario.lab.name))[0]
    except UsageError:
        return None
