"""A step as people read it, and as it is written down."""

from __future__ import annotations

from typing import Any, cast

import pytest
from labctl.scenario.recorded_step import Ground, a_step, describe

from labctl.blueprint.running_lab import Running
from labctl.engine.client import Engine
from labctl.engine.observation import Network, Observation
from labctl.errors import UsageError
from labctl.history.events import Did
from labctl.history.journal import Journal
from labctl.progress import Silent
from tests.unit.labs import SUBNET, lab, stack


class Stand(Ground):
    """A ground that needs no engine, with a step of its own."""

    def __init__(self) -> None:
        seen = Observation((Network("id", "labctl-lab", "lab", SUBNET, "seed"),))
        super().__init__(cast("Engine", None), Running(lab("name: lab\n"), stack(), seen), Journal(), Silent())

    @a_step
    def knock(self, node: str, times: int | None = None) -> str:
        """Knock at a node."""
        return self.known_node(node) * (times or 1)

    def did(self) -> list[tuple[int, str, str]]:
        return [(event.step, event.what, event.error) for event in self.journal.events if isinstance(event, Did)]


@pytest.mark.parametrize(
    ("verb", "given", "named", "text"),
    [
        ("settle", (), {}, "settle"),
        ("set_state", ("n1", "mystate", "BUSY"), {}, "set_state n1 mystate BUSY"),
        ("set_state", (), {"node": "n1", "state": "BUSY"}, "set_state node=n1 state=BUSY"),
        ("kill", ("n1",), {"service": "asterisk"}, "kill n1 service=asterisk"),
        ("cut", ("n1", "n2"), {"name": None, "traffic": "sip"}, "cut n1 n2 traffic=sip"),
        ("register", (["alice", "bob"],), {}, "register alice,bob"),
        ("talk", (), {"phones": ("alice", "bob"), "duration": 0.30}, "talk phones=alice,bob duration=0.3"),
        ("partition", ([["n1", "n2"], ["n3"]],), {}, "partition n1,n2 | n3"),
        ("partition", (), {"groups": (("n1",), ("n2", "n3"))}, "partition groups=n1 | n2,n3"),
        ("impair", ("n1",), {"loss": 20.0, "rate": 1000}, "impair n1 loss=20 rate=1000"),
        ("wait_for", (), {"phone": "alice", "lamp": 0, "dialog": ""}, "wait_for phone=alice lamp=0 dialog="),
    ],
)
def test_a_step_is_described_as_it_was_called(
    verb: str, given: tuple[Any, ...], named: dict[str, Any], text: str
) -> None:
    assert describe(verb, given, named) == text


def test_a_step_is_written_down_when_it_has_ended() -> None:
    stand = Stand()
    assert stand.knock("n1") == "n1"
    assert stand.knock("n2", times=2) == "n2n2"
    assert stand.did() == [(1, "knock n1", ""), (2, "knock n2 times=2", "")]


def test_a_step_that_went_wrong_is_written_down_with_what_and_raised() -> None:
    stand = Stand()
    with pytest.raises(UsageError):
        stand.knock("n9")
    assert stand.did() == [(1, "knock n9", "no node `n9` in this lab")]


def test_a_step_keeps_its_name_and_what_it_says_of_itself() -> None:
    assert (Stand.knock.__name__, Stand.knock.__doc__) == ("knock", "Knock at a node.")


def test_nodes_that_are_gone_are_not_live() -> None:
    stand = Stand()
    stand.gone.add("n2")
    assert stand.live == ("n1", "n3")


def test_every_node_has_its_address_on_the_network_that_is_there() -> None:
    assert Stand().addresses == {"n1": "198.18.16.11", "n2": "198.18.16.12", "n3": "198.18.16.13"}


def test_what_the_lab_has_not_is_refused_with_what_it_has() -> None:
    stand = Stand()
    assert (stand.known_node("n3"), stand.known_phone("bob")) == ("n3", "bob")
    with pytest.raises(UsageError, match="no phone `n3` in this lab") as refused:
        stand.known_phone("n3")
    assert refused.value.hint == "known here: alice, bob, carol"
