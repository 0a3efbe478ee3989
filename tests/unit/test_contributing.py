"""CONTRIBUTING's examples are what they are said to be: a fault, a step and a check in so many lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.rule import Check, check
from labctl.faults import fault as faults
from labctl.faults import packet_filter
from labctl.faults.fault import Fault, FaultName, NodeName
from labctl.faults.model import TOTEM, Pairs, Target
from labctl.history.events import Began, Event, Looked
from labctl.lab import Overrides
from labctl.scenario import reader
from labctl.scenario.step_registry import STEPS, step
from labctl.stack.loader import find_stack
from labctl.yamlfile.document import Text, parse

TEXT = (Path(__file__).parent.parent.parent / "CONTRIBUTING.md").read_text("utf-8")
NAMES: dict[str, Any] = {
    **{kind.__name__: kind for kind in (Fault, Finding, Limits, Looked, Mapping, Sequence, Target, Verdict)},
    **{"FaultName": FaultName, "NodeName": NodeName, "Pairs": Pairs, "TOTEM": TOTEM, "Event": Event, "Text": Text},
    **{"fault": faults.fault, "packet_filter": packet_filter, "check": check, "verdict": verdict, "step": step},
    "LiveLab": Any,
}
"""What an example takes from labctl, beside what it defines."""


def example(word: str) -> dict[str, Any]:
    """The names that the example defines in which a word stands."""
    (text,) = [block for block in re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S) if word in block]
    namespace = dict(NAMES)
    exec(compile(text, "CONTRIBUTING.md", "exec", dont_inherit=True), namespace)  # noqa: S102 - the project's own
    return namespace


def read(line: str) -> reader.Scenario:
    text = f"title: T\nsteps:\n- {line}\n"
    return reader.read(text, "my.yaml", lambda name: parse("nodes: 3\n", name), find_stack, Overrides())


def test_the_fault_is_a_step() -> None:
    try:
        example("MuteTotem")
        assert str(read("mute_totem: n2").steps[0]) == "mute_totem n2"
    finally:
        faults.FAULTS.pop("mute_totem", None)


def test_the_step_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(STEPS, "_sources", list(STEPS._sources))
    example("def reload")
    assert str(read("reload: {node: n1, module: pbx_config}").steps[0]) == "reload n1 module=pbx_config"
    assert STEPS["reload"].about == "Have a node read its configuration again"


def test_the_check_finds_what_it_is_for_and_compares() -> None:
    rule: Check = example("def rings_told")["rings_told"]
    began = Began(0.0, "s", "lab", "22", ("n1", "n2"), {})
    whole = Looked(1.0, {"n1": {}, "n2": {}}, {"n1": ("n1", "n2"), "n2": ("n1", "n2")})
    partial = Looked(2.0, {"n1": {}, "n2": {}}, {"n1": ("n1", "n2")})
    histories: dict[str, list[Event]] = {
        "nothing": [began],
        "passed": [began, whole],
        "failed": [began, whole, partial],
    }
    assert {outcome: rule.judge(events, Limits()).outcome for outcome, events in histories.items()} == {
        outcome: outcome for outcome in histories
    }
