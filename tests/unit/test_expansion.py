"""Blocks of steps: what a file becomes, where its mistakes are, and how it is written again."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from labctl.errors import InvalidFile
from labctl.lab import Overrides
from labctl.scenario import reader, writer
from labctl.scenario.entries import MAX_STEPS
from labctl.scenario.reader import Scenario
from labctl.stack.loader import find_stack
from labctl.yamlfile.document import parse

LAB = "name: two\nnodes: [n1, n2]\ndevices: [mystate, other]\n"


def read(steps: str, lab: str = LAB) -> Scenario:
    text = f"title: T\nlab: two\nsteps:\n{steps}"
    return reader.read(text, "blocks.yaml", lambda _: parse(lab, "two"), find_stack, Overrides())


def test_steps_are_repeated_each_on_its_own_line() -> None:
    steps = read("  - repeat:\n      times: 2\n      steps:\n        - wait: 1\n        - settle\n  - settle\n").steps
    assert [(step.verb, step.line) for step in steps] == [
        *(("wait", 7), ("settle", 8)),
        *(("wait", 7), ("settle", 8)),
        ("settle", 9),
    ]


@pytest.mark.parametrize(
    ("head", "nodes"), [("node: all", ["n1", "n2"]), ("node: n2", ["n2"]), ("node: [n2, n1]", ["n2", "n1"])]
)
def test_steps_are_done_for_each(head: str, nodes: list[str]) -> None:
    steps = read(f'  - for: {{{head}, steps: [{{set_state: {{node: "${{node}}", device: mystate, state: BUSY}}}}]}}\n')
    assert [step.arguments["node"] for step in steps.steps] == nodes


def test_services_are_gone_through() -> None:
    lab = f"{LAB}services: {{db: {{image: my/db}}, front: {{image: my/front}}}}\n"
    steps = read('  - for: {service: all, steps: [{kill: "${service}"}, {start: "${service}"}]}\n', lab).steps
    assert [str(step) for step in steps] == ["kill db", "start db", "kill front", "start front"]


def test_blocks_are_nested() -> None:
    text = """  - for:
      device: all
      steps:
        - repeat:
            times: 2
            steps: [{for: {node: all, steps: [{set_state: {node: "${node}", device: "${device}", state: BUSY}}]}}]
"""
    places = [(step.arguments["device"], step.arguments["node"]) for step in read(text).steps]
    assert places == [(device, node) for device in ("mystate", "other") for _ in range(2) for node in ("n1", "n2")]


def test_what_goes_side_by_side_knows_its_branch() -> None:
    text = "  - parallel: [[{wait: 1}, {wait: 2}], [{repeat: {times: 2, steps: [{wait: 3}]}}]]\n  - settle\n"
    steps = read(text + "  - parallel: [[settle], [settle]]\n").steps
    branches = [(1, 0), (1, 0), (1, 1), (1, 1), None, (2, 0), (2, 1)]
    assert [step.branch for step in steps] == branches


def test_what_was_read_is_written_and_read_again() -> None:
    text = "  - parallel: [[{wait: 1}, {wait: 2}], [{for: {node: all, steps: [{kill: '${node}'}]}}]]\n  - settle\n"
    scenario = read(text + "  - parallel: [[settle], [settle]]\n  - parallel: [[settle], [settle]]\n")
    again = reader.read(writer.to_yaml(scenario), "again.yaml", lambda name: parse("", name), find_stack, Overrides())
    assert [(step.verb, step.arguments, step.branch) for step in again.steps] == [
        (step.verb, step.arguments, step.branch) for step in scenario.steps
    ]


@pytest.mark.parametrize(
    ("step", "line", "what"),
    [
        ("repeat: {times: 0, steps: [settle]}", 4, "`steps[0].repeat.times`"),
        ("repeat: {times: 2}", 4, "`steps[0].repeat.steps` is missing"),
        ("repeat: {times: 2, steps: []}", 4, "at least one is wanted"),
        ("repeat: 3", 4, "a mapping is wanted"),
        ("repeat: {times: 2, steps: [{call: {caller: alice, callee: zoe}}]}", 4, "no phone `zoe`"),
        ("repeat: {times: 2, step: [settle]}", 4, "unknown key"),
        ("for: {node: n9, steps: [settle]}", 4, "no node `n9`"),
        ("for: {node: [n1, n9], steps: [settle]}", 4, "no node `n9`"),
        ("for: {node: all, phone: all, steps: [settle]}", 4, "one kind of thing is wanted"),
        ("for: {steps: [settle]}", 4, "one kind of thing is wanted"),
        ('for: {node: all, steps: [{kill: "${nod}"}]}', 4, "no node `${nod}`"),
        ("parallel: [settle, settle]", 4, "lists of steps"),
        ("parallel: [[settle]]", 4, "lists of steps"),
        ("parallel: [[settle], [{parallel: [[settle], [settle]]}]]", 4, "`parallel` within `parallel`"),
        (f"repeat: {{times: {MAX_STEPS}, steps: [settle, settle]}}", 3, f"more than {MAX_STEPS} steps"),
        ("repeat: {times: 1000, steps: [{repeat: {times: 1000, steps: [settle]}}]}", 3, f"more than {MAX_STEPS} steps"),
    ],
)
def test_a_mistake_in_a_block_is_told_once_with_its_line(step: str, line: int, what: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        read(f"  - {step}\n")
    problems = refused.value.problems
    assert [problem.line for problem in problems] == [line], problems
    assert what in problems[0].what


@pytest.mark.long
@pytest.mark.parametrize("rounds", ["", "repeat: {times: 5000, steps: [{repeat: {times: 5000, steps: [{"])
def test_for_each_of_what_a_lab_has_none_of_is_a_mistake_and_has_an_end(rounds: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        read(
            f"  - {rounds}for: {{device: all, steps: [settle]}}{'}]}}]}' if rounds else ''}\n",
            "name: two\ndevices: []\n",
        )
    assert "this lab has no device" in [problem.what for problem in refused.value.problems]


def test_a_heal_of_what_no_round_began_is_told() -> None:
    with pytest.raises(InvalidFile, match=re.escape("the fault `split` is in force already")):
        read("  - repeat: {times: 2, steps: [{partition: {groups: [[n1], [n2]], name: split}}]}\n")


@pytest.mark.long
@pytest.mark.parametrize(
    ("step", "valid"),
    [
        ({"repeat": {"times": 2, "steps": [{"repeat": {"times": 2, "steps": ["settle"]}}]}}, True),
        ({"for": {"node": "all", "steps": ["settle"]}}, True),
        ({"parallel": [["settle"], [{"wait": "1s"}]]}, True),
        ({"parallel": ["settle"]}, False),
        ({"repeat": {"times": 2, "steps": ["setle"]}}, False),
        ({"repeat": {"times": 0, "steps": ["settle"]}}, False),
    ],
)
def test_editors_are_told_the_same(step: Any, valid: bool) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(reader.schema()))
    assert validator.is_valid({"title": "T", "steps": [step]}) == valid
