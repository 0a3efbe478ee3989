"""A Scenario becomes a scenario file again: whole in itself, its lab written out in it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from labctl.checks.finding import Limits
from labctl.checks.known import Known
from labctl.labfile import writer as labs
from labctl.scenario.expansion import nested
from labctl.scenario.reader import Scenario
from labctl.scenario.step_form import as_in_yaml
from labctl.scenario.step_registry import STEPS, Step
from labctl.yamlfile.blocks import BlockDumper, written

LONGEST_TITLE = 200
"""As the scenario file has it (entries.py)."""


def to_yaml(scenario: Scenario, seed: int | None = None) -> str:
    """The scenario as a file that needs no other, with the seed of its run in a remark."""
    remark = f"# {scenario.name}, as labctl ran it"
    remark += f" with --seed {seed}" if seed is not None else ""
    return f"{remark}\n{dump(to_data(scenario))}"


def dump(data: Mapping[str, Any]) -> str:
    """The data of a scenario file as its text."""
    return written(data, flow=True, dumper=BlockDumper)


def to_data(scenario: Scenario) -> dict[str, Any]:
    """The scenario as the data of a scenario file. What it does not say itself, such as what it expects, stays so."""
    lab = {key: value for key, value in labs.to_data(scenario.lab).items() if key != "name"}
    data: dict[str, Any] = {"title": scenario.title, "about": scenario.about, "lab": lab}
    if scenario.limits.delay_ms != Limits().delay_ms:
        data["limits"] = {"delay": f"{scenario.limits.delay_ms:g}ms"}
    if not scenario.proof:
        data["proof"] = False
    if scenario.keep_going:
        data["keep_going"] = True
    if not scenario.healthy:
        data["healthy"] = False
    data["requires"] = list(scenario.requires)
    data["steps"] = nested([_step(step) for step in scenario.steps], [step.branch for step in scenario.steps])
    if scenario.explicit:
        data["expect"] = list(scenario.expect)
    data["known"] = [_known(entry) for entry in scenario.known]
    return {key: value for key, value in data.items() if value not in ("", [])}


def _step(step: Step) -> str | dict[str, Any]:
    """A step in its shortest form: its verb alone, with a bare value, or with its arguments by name."""
    kind = STEPS[step.verb]
    defaults = {name: field.default for name, field in kind.arguments.model_fields.items()}
    arguments: Mapping[str, Any] = {
        name: f"{value:g}s" if name in kind.durations else as_in_yaml(value)
        for name, value in step.arguments.items()
        if value is not None and value != defaults[name]
    }
    if not arguments and kind.complete:
        return step.verb
    bare = arguments.get(kind.short)
    if len(arguments) == 1 and bare is not None and not isinstance(bare, dict):
        return {step.verb: bare}
    return {step.verb: dict(arguments)}


def _known(entry: Known) -> dict[str, Any]:
    """What is known to fail, without what is so by default."""
    values = {field.name: getattr(entry, field.name) for field in fields(entry)}
    defaults = {field.name: field.default for field in fields(entry) if field.default is not MISSING} | {"always": True}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if name not in defaults or value != defaults[name]
    }
