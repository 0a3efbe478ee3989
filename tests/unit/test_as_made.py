"""A lab read back from its own containers, and what flags change of it."""

from __future__ import annotations

from typing import cast

from labctl.cluster import lifecycle as verbs
from labctl.engine.client import Engine
from labctl.engine.observation import Container, Observation
from labctl.lab import Overrides
from labctl.names import LABEL_SPEC, ROLE_PHONES
from tests.unit.labs import draw, lab, stack

TEXT = "name: office\nnodes: [hq, branch]\nphones: 1\n"
OLD = stack().model_copy(update={"name": "old", "transports": ["udpu"], "encrypted_transports": []})


class Holding:
    """An engine that holds one lab."""

    def __init__(self, text: str) -> None:
        labels = [dict(each.labels) for each in draw(text).containers]
        spec = next(each[LABEL_SPEC] for each in labels if LABEL_SPEC in each)
        self._phones = Container("1", "labctl-office-phones", "office", ROLE_PHONES, "phones", "created", "", spec=spec)

    def observe(self, name: str) -> Observation:
        """What is there of a lab."""
        return Observation(containers=(self._phones,) if name == "office" else ())


def holding(text: str) -> Engine:
    return cast(Engine, Holding(text))


def test_it_is_as_its_file_said() -> None:
    assert verbs.as_made(holding(TEXT), "office", Overrides()) == (lab(TEXT), stack())


def test_a_lab_that_is_not_there_is_none() -> None:
    assert verbs.as_made(holding(TEXT), "other", Overrides()) is None


def test_another_stack_takes_its_own_transport_along_and_leaves_the_rest() -> None:
    made = verbs.as_made(holding(TEXT + "totem: {token: 3000}\n"), "office", Overrides(stack="./old.yaml"), OLD)
    assert made
    changed, on = made
    assert (on, changed.stack, [node.name for node in changed.nodes]) == (OLD, "./old.yaml", ["hq", "branch"])
    assert (changed.totem.token_ms, changed.totem.transport, changed.totem.encryption) == (3000, "udpu", False)


def test_a_transport_that_was_asked_for_is_kept() -> None:
    able = OLD.model_copy(update={"transports": ["knet", "udpu"]})
    made = verbs.as_made(holding(TEXT + "totem: {transport: udpu}\n"), "office", Overrides(stack="able"), able)
    assert made
    assert made[0].totem.transport == "udpu"
