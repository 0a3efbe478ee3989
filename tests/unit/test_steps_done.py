"""What a soak run did, as a scenario: it can be read again, also where a heal had to come twice."""

from __future__ import annotations

import pytest

from labctl.lab import Overrides
from labctl.scenario import writer
from labctl.scenario.loader import find_scenario
from labctl.scenario.step_registry import Step
from labctl.scenario.steps_done import StepsDone
from tests.unit.test_scenario import read


@pytest.mark.parametrize(
    ("ending", "undoing"),
    [
        (Step("iface_down", {"node": "n1"}), Step("heal", {"fault": "iface-down.1"})),
        (Step("kill", {"node": "n3"}), Step("start", {"node": "n3"})),
    ],
)
def test_what_was_undone_at_the_second_try_is_undone_once(ending: Step, undoing: Step) -> None:
    done = StepsDone(find_scenario("partition-heal", Overrides()))
    done.begun(ending)
    done.in_force("iface-down.1")
    done.begun(undoing)
    done.refused()
    done.begun(Step("set_state", {"node": "n1", "device": "mystate", "state": "BUSY"}))
    done.refused()
    done.begun(undoing)
    scenario = done.as_scenario()
    assert [step.verb for step in scenario.steps[-5:]] == [ending.verb, "set_state", undoing.verb, "heal", "settle"]
    assert len(read(writer.to_yaml(scenario)).steps) == len(scenario.steps)
