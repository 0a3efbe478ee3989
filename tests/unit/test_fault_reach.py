"""What a fault keeps apart, by what a history holds of it, or by its words in one of labctl 0.1."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from labctl.checks.fault_reach import reach
from labctl.errors import HostError, UsageError
from labctl.faults import registry
from labctl.faults.model import Target
from labctl.history.events import FaultBegan

NODES = ("n1", "n2", "n3")
APART = {("n1", "n3"), ("n3", "n1"), ("n2", "n3"), ("n3", "n2")}


@pytest.mark.parametrize(
    ("name", "what", "unheard", "absent", "uncalled"),
    [
        ("split", "partition n1,n2 | n3", APART, (), None),
        ("split", "partition n1,n2 | n3, totem only", APART, (), ()),
        ("split", "partition n1,n2 | n3, sip only", (), (), None),
        ("cut.1", "cut n1 -> n2", {("n1", "n2")}, (), None),
        ("cut.1", "cut n1 -> n2, dundi only", (), (), None),
        ("iface-down.1", "eth0 of n3 down", APART, (), None),
        ("kill-n3", "kill n3", (), ("n3",), None),
        ("pause-n3", "pause n3", (), ("n3",), None),
        ("stop-corosync-n3", "stop corosync on n3", (), ("n3",), ()),
        ("kill-asterisk-n3", "kill asterisk on n3", (), (), None),
        ("impair.1", "n3: loss 30 % (netem, of what it sends)", None, (), None),
        ("impair.1", "n3: loss 30 %, totem only (loss by iptables, of what it receives)", None, (), ()),
        ("mine", "something that nobody knows", None, (), None),
    ],
)
def test_a_fault_of_an_old_history_is_known_by_its_words(
    name: str,
    what: str,
    unheard: set[tuple[str, str]] | None,
    absent: tuple[str, ...],
    uncalled: tuple[tuple[str, str], ...] | None,
) -> None:
    nodes = ("n3",) if name not in ("split", "cut.1") else NODES
    known = reach(FaultBegan(1.0, name, what, nodes), NODES)
    assert known.unheard == (None if unheard is None else frozenset(unheard))
    assert (known.absent, known.uncalled) == (frozenset(absent), None if uncalled is None else frozenset(uncalled))


@pytest.mark.parametrize(
    ("what", "pauses"), [("pause n3", True), ("host-pause two (n2, n3)", True), ("kill n3", False)]
)
def test_what_freezes_is_known_by_its_words(what: str, pauses: bool) -> None:
    assert reach(FaultBegan(1.0, "f", what, ("n3",)), NODES).pauses is pauses


def test_what_the_history_holds_goes_before_the_words() -> None:
    fault = FaultBegan(1.0, "f", "partition n1,n2 | n3", NODES, (), (("n1", "n2"),), (("n2", "n1"),), ("n2",))
    known = reach(fault, NODES)
    assert known.uncalled == frozenset({("n1", "n2")})
    assert known.unheard == frozenset({("n2", "n1")})
    assert known.absent == frozenset({"n2"})


ABLE = frozenset({"iptables", "statistic", "tbf", "netem"})
LAB = Target({node: f"198.18.0.1{node[-1]}" for node in NODES}, ask_abilities=lambda: ABLE, hosts={"n3": "two"})
WITHOUT_NETEM = replace(LAB, ask_abilities=lambda: ABLE - {"netem"})
EXAMPLES: list[dict[str, Any]] = [
    *({"node": "n3"}, {"node": "n3", "service": "corosync"}, {"node": "n3", "service": "asterisk"}, {"host": "two"}),
    *({"groups": [["n1", "n2"], ["n3"]]}, {"groups": [["n1"], ["n2", "n3"]], "traffic": "sip"}),
    *({"sender": "n1", "receiver": "n2"}, {"sender": "n1", "receiver": "n2", "traffic": "totem"}),
    *({"node": "n3", "loss": 20}, {"node": "n3", "loss": 20, "traffic": "dundi"}, {"node": "n3", "rate": 64}),
    *({"node": "n3", "delay": "20ms", "jitter": "5ms"}, {"node": "n3", "duplicate": 5, "rate": 64}),
]


@pytest.mark.parametrize("kind", registry.FAULTS)
def test_a_fault_is_known_to_be_of_the_network_alone_where_it_does_nothing_to_a_daemon(kind: str) -> None:
    prepared = []
    for arguments, target in product(EXAMPLES, (LAB, WITHOUT_NETEM)):
        with suppress(UsageError, HostError):
            prepared.append(registry.FAULTS[kind].of(arguments).prepare("mine", target))
    assert prepared
    for one in prepared:
        of_network = reach(FaultBegan(1.0, one.name, one.what, one.nodes), NODES).of_network
        assert of_network is (not one.daemon and not one.action and not one.leaving), one.what


@pytest.mark.parametrize(
    ("kind", "arguments", "unheard"),
    [
        ("partition", {"groups": [["n1", "n2"], ["n3"]], "traffic": "sip"}, APART),
        ("partition", {"groups": [["n1", "n2"], ["n3"]]}, APART),
        ("partition", {"groups": [["n1", "n2"], ["n3"]], "traffic": "dundi"}, set()),
        ("impair", {"node": "n1", "loss": 5, "traffic": "sip"}, None),
        ("impair", {"node": "n1", "loss": 5, "traffic": "dundi"}, set()),
    ],
    ids=str,
)
def test_where_state_goes_by_sip_those_are_unheard_whose_sip_does_not_cross(
    kind: str, arguments: dict[str, Any], unheard: set[tuple[str, str]] | None
) -> None:
    prepared = registry.FAULTS[kind].of(arguments).prepare("mine", replace(LAB, rings=False))
    assert prepared.unheard == (None if unheard is None else tuple(sorted(unheard)))


def test_a_fault_that_nobody_knows_may_end_a_daemon() -> None:
    assert not reach(FaultBegan(1.0, "mine", "something that nobody knows", NODES), NODES).of_network
