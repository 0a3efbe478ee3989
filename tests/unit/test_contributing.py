"""What CONTRIBUTING.md shows is right as it stands; its fault has tests of its own, in test_new_fault.py."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from labctl.checks.finding import Limits
from labctl.checks.rule import Check
from labctl.faults.fault import NodeName
from labctl.history.events import Began, Event, Ring
from labctl.scenario.live_lab import LiveLab
from labctl.scenario.step_registry import Registry, step
from labctl.yamlfile.document import Text
from tests import contributing
from tests.unit.old_runs import OUTCOMES, old_run
from tests.unit.test_checks import HISTORIES, WRONG, read

REPOSITORY = Path(contributing.__file__).parent.parent


def test_every_place_that_it_names_is_there() -> None:
    named = set(re.findall(r"`((?:labctl|tests)/[\w/.-]+)`", contributing.TEXT.replace("/NNN-what-is-wrong.jsonl", "")))
    assert len(named) > 10
    assert [place for place in sorted(named) if not (REPOSITORY / place).exists()] == []


@pytest.fixture(scope="module")
def rule() -> Check:
    """The check that it shows."""
    check = contributing.example("check")["own_ring"]
    assert isinstance(check, Check)
    return check


@pytest.mark.long
def test_the_check_holds_wherever_all_is_right(rule: Check) -> None:
    files = [*(HISTORIES / "right").iterdir(), *(HISTORIES / "wrong").iterdir()]
    right = [path for path in files if rule.name not in WRONG.get(path.stem, ())]
    histories = [*(read(path) for path in right), *(old_run(name) for name in OUTCOMES)]
    outcomes = [rule.judge(events, Limits()).outcome for events in histories]
    assert set(outcomes) == {"passed", "nothing"}


@pytest.mark.parametrize(("members", "outcome"), [(("n1", "n2"), "passed"), (("n2",), "failed"), ((), "nothing")])
def test_the_check_finds_what_it_is_for(rule: Check, members: tuple[str, ...], outcome: str) -> None:
    events: list[Event] = [Began(0.0, "s", "lab", "22", ("n1", "n2"), {}), Ring(1.0, "n1", members, quorate=True)]
    verdict = rule.judge(events, Limits())
    assert (verdict.check, verdict.outcome, rule.place) == (rule.name, outcome, 105)


def test_the_step_is_a_step() -> None:
    steps = Registry()
    contributing.example("step", step=partial(step, registry=steps), LiveLab=LiveLab, NodeName=NodeName, Text=Text)
    kind = steps["reload"]
    assert (kind.takes, kind.about, kind.short) == ("node [module]", "Have a node read its configuration again", "node")
