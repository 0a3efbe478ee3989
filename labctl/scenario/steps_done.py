"""What a soak run did, as a scenario that does the same again. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from labctl.faults.fault import EVERY_FAULT
from labctl.faults.registry import FAULTS
from labctl.scenario.reader import Scenario
from labctl.scenario.step_registry import Step

UNDOING = ("heal", "start")
"""Steps that undo what another did."""

LAST = (Step("heal", {"fault": EVERY_FAULT}), Step("settle", {}))
"""How every soak run ends."""


class StepsDone:
    """Notes the steps of a run as they begin, after those of the scenario that it began with.

    Each fault gets a name that no other of the run has, where its kind takes one, so that `heal` means the same one
    also in a scenario of fewer steps.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._steps: list[Step] = []
        self._names: dict[str, str] = {}
        self._made: Counter[str] = Counter()

    @property
    def random_steps(self) -> int:
        """How many there were after those of the scenario."""
        return len(self._steps)

    def begun(self, step: Step) -> None:
        """A step is about to be done; a fault that it heals is called by its name in the scenario."""
        healed = step.arguments.get("fault")
        if step.verb == "heal" and healed in self._names:
            step = replace(step, arguments={"fault": self._names[healed]})
        self._steps.append(step)

    def refused(self) -> None:
        """The step that began last failed. What was to undo something has not, and comes once more: the scenario has it
        where it did."""
        if self._steps[-1].verb in UNDOING:
            self._steps.pop()

    def in_force(self, name: str) -> None:
        """The step that began last put a fault in force, which has this name in the lab."""
        step = self._steps[-1]
        if "name" in FAULTS[step.verb].model_fields:
            self._made[step.verb] += 1
            self._names[name] = f"{step.verb.replace('_', '-')}-{self._made[step.verb]}"
            self._steps[-1] = replace(step, arguments=step.arguments | {"name": self._names[name]})

    def as_scenario(self) -> Scenario:
        """All of it: what fails in it ends nothing, as in the run itself."""
        steps = (*self._scenario.steps, *self._steps, *LAST)
        return replace(self._scenario, steps=steps, explicit=True, keep_going=True)
