"""Adding a step is writing one function; adding a fault is writing one class."""

from __future__ import annotations

from typing import Annotated, Any

import jsonschema
import pytest
from pydantic import Field

from labctl.errors import InvalidFile, UsageError
from labctl.lab import Overrides
from labctl.scenario import reader
from labctl.scenario.argument_types import PhoneNames
from labctl.scenario.step_form import schema
from labctl.scenario.step_registry import STEPS, Registry, Step, step
from labctl.stack.loader import find_stack
from labctl.yamlfile.document import Document, parse
from labctl.yamlfile.duration import Duration
from tests.unit.live_labs import Rig


@pytest.fixture
def knock(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A step of a test's own; what it was done with."""
    monkeypatch.setattr(STEPS, "_added", dict(STEPS._added))
    knocks: list[Any] = []

    @step(short="phones")
    def knock(
        live: Any,
        phones: PhoneNames,
        times: Annotated[int, Field(ge=1, le=9)] = 1,
        pause: Duration = 0.5,
    ) -> int:
        """Knock at phones

        More about it.
        """
        knocks.append((live.lab.name, phones, times, pause))
        return times

    return knocks


def scenario(line: str) -> reader.Scenario:
    def find_lab(_name: str) -> Document:
        return parse("nodes: 2\n", "lab.yaml")

    return reader.read(f"title: T\nlab: two\nsteps:\n  - {line}\n", "knock.yaml", find_lab, find_stack, Overrides())


def test_yaml_has_it(knock: list[Any]) -> None:
    assert scenario("knock: bob").steps[0].arguments == {"phones": ("bob",), "times": 1, "pause": 0.5}
    with pytest.raises(InvalidFile, match="no phone `zoe`"):
        scenario("knock: [bob, zoe]")
    with pytest.raises(InvalidFile, match=r"`steps\[0\].knock.times`"):
        scenario("knock: {phones: bob, times: 10}")


def test_the_schema_has_it(knock: list[Any]) -> None:
    validator = jsonschema.Draft202012Validator({"$defs": {"step": schema("#/$defs/step")}, "$ref": "#/$defs/step"})
    assert validator.is_valid({"knock": "bob"})
    assert validator.is_valid({"knock": {"phones": ["bob"], "pause": "2s"}})
    assert not validator.is_valid({"knock": {"phones": "bob", "times": 10}})


def test_it_is_a_method_and_in_the_story(knock: list[Any]) -> None:
    rig = Rig()
    assert rig.live.knock("bob", 2) == 2
    assert rig.live.knock(phones=("alice", "bob"), pause=1) == 1
    with pytest.raises(UsageError, match="knock: no phone `zoe`"):
        rig.live.knock("zoe")
    assert knock == [("lab", ("bob",), 2, 0.5), ("lab", ("alice", "bob"), 1, 1.0)]
    assert rig.did == [("knock bob 2", ""), ("knock alice,bob pause=1s", "")]


def test_it_says_what_it_takes_and_does(knock: list[Any]) -> None:
    assert (STEPS["knock"].takes, STEPS["knock"].about) == ("phones [times=1] [pause=0.5s]", "Knock at phones")


def test_people_read_it_as_they_write_it(knock: list[Any]) -> None:
    assert str(Step("knock", {"phones": ("bob",), "times": 3, "pause": 0.5})) == "knock bob times=3"


def test_no_two_steps_have_one_verb() -> None:
    registry = Registry()

    def wink(live: Any) -> None:
        """Wink"""

    step(registry=registry)(wink)
    with pytest.raises(ValueError, match="there is a step `wink` already"):
        step(registry=registry)(wink)
    assert ([*registry], len(registry)) == (["wink"], 1)
