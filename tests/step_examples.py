"""The examples of `labctl scenarios --steps` as one scenario: the lab that they are for, and what puts it right after
each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from labctl.scenario.expansion import EXAMPLES
from labctl.scenario.steps import STEPS
from tests import quick_yaml

LAB: Mapping[str, Any] = {
    "": {"nodes": 3, "phones": 3, "devices": ["door"]},
    "sites": "two-sites",
}
"""The lab for the examples of steps, by what they need."""

EXPECT: Mapping[str, list[str]] = {"": ["course", "expectations"], "sites": ["course", "routes"]}
"""The checks that judge them."""

FAULTS = {kind for kind in STEPS if STEPS[kind].do.__name__ == "inflict"}


def examples(needs: str) -> Mapping[str, str]:
    """The example of each step and block that needs that of a lab."""
    steps = {verb: kind.example for verb, kind in STEPS.items() if kind.needs == needs}
    return steps if needs else {**steps, **EXAMPLES}


def scenario(needs: str) -> str:
    """Every example after the other, each on a lab in which nothing is left of the one before."""
    steps: list[Any] = []
    for text in examples(needs).values():
        example = quick_yaml.load(text)
        steps += [*example, *_undoing(example)]
    return quick_yaml.dump({"title": "examples", "lab": LAB[needs], "steps": steps, "expect": EXPECT[needs]})


def _undoing(example: list[Any]) -> Iterator[Any]:
    """What puts the lab right after an example: calls hung up, faults healed, phones switched off."""
    verbs = [next(iter(step)) if isinstance(step, dict) else step for step in example]
    if "call" in verbs and not {"hang_up", "reject"} & {*verbs}:
        yield {"hang_up": "alice"}
    if "watch" in verbs and "unwatch" not in verbs:
        yield {"unwatch": "alice"}
    if FAULTS & {*verbs} and not {"heal", "start"} & {*verbs}:
        yield {"heal": "all"}
        yield "settle"
    if "register" in verbs and "unregister" not in verbs:
        phones = example[verbs.index("register")]["register"]
        yield {"unregister": phones}
