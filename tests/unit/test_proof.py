"""What proves that state crosses: changes that are told of after they were made, and nothing else."""

# ruff: noqa: ARG005 - a fake has the arguments of what it stands for

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import cast

import pytest

from labctl.cluster.connections import Cluster
from labctl.cluster.proof import Proof
from labctl.cluster.views import Crossing
from labctl.engine.client import Engine
from labctl.errors import NotReady
from labctl.timing import Deadline
from tests.unit.fake_nodes import FakeLab


def prove(lab: FakeLab, timeout_s: float = 20) -> list[Crossing]:
    with Cluster(cast(Engine, lab), lab.running) as cluster:
        proof = Proof(cluster)
        cluster.open()
        cluster.await_booted(Deadline(5))
        return proof.crossings(Deadline(timeout_s))


def test_every_node_sees_a_change_on_every_other() -> None:
    lab = FakeLab()
    crossings = prove(lab)
    assert {(crossing.origin, crossing.observer) for crossing in crossings} == {
        (origin, observer) for origin in lab.nodes for observer in lab.nodes if origin != observer
    }
    assert {crossing.round for crossing in crossings} == {1}
    assert all(crossing.delay_ms >= 0 for crossing in crossings)


def test_devices_are_at_rest_afterwards_whatever_they_were_before() -> None:
    lab = FakeLab()
    lab.nodes["n1"].devices["proof-n1"] = "INUSE"
    prove(lab)
    assert {device: state for node in lab.nodes.values() for device, state in node.devices.items()} == {
        f"proof-{name}": "NOT_INUSE" for name in lab.nodes
    }


def test_the_first_change_is_one_even_where_a_proof_was_broken_off() -> None:
    lab = FakeLab()
    lab.nodes["n2"].devices["proof-n2"] = "INUSE"
    changes: list[tuple[str, str]] = []

    def spread(origin: str, device: str, state: str) -> None:
        changes.append((origin, state))
        lab.spread(origin, device, state)

    lab.on_change = spread
    assert {crossing.round for crossing in prove(lab)} == {1}
    assert dict(reversed(changes))["n2"] == "BUSY"


def test_what_is_lost_in_the_first_round_is_proven_in_the_second_and_that_is_said() -> None:
    lab = FakeLab()
    lost: list[str] = []

    def lose_once(origin: str, device: str, state: str) -> None:
        if origin == "n3" and not lost:
            lost.append(state)
        else:
            lab.spread(origin, device, state)

    lab.on_change = lose_once
    assert {crossing.round for crossing in prove(lab)} == {2}


@pytest.mark.long
def test_a_late_answer_to_the_first_round_proves_no_second() -> None:
    """In 0.1 it did, with a delay below nothing: the rounds took the same state, and none looked when it was told."""
    lab = FakeLab()
    late: list[tuple[str, str]] = []

    def always_late(origin: str, device: str, state: str) -> None:
        for node in lab.nodes.values():
            if origin == "n3" and node.name == "n1":
                for earlier in late:
                    node.tell(*earlier)
            else:
                node.tell(device, state)
        if origin == "n3":
            late[:] = [(device, state)]

    lab.on_change = always_late
    with pytest.raises(NotReady) as raised:
        prove(lab, timeout_s=3.5)
    assert raised.value.missing == {"n1": ["did not see the change made on n3"]}


@pytest.mark.parametrize(
    ("is_lost", "missing"),
    [
        (lambda origin, observer: origin == "n3", {"n3": ["no other node saw the change made on it"]}),
        (lambda origin, observer: observer == "n2", {"n2": ["did not see the change made on n1, n3"]}),
        (lambda origin, observer: (origin, observer) == ("n1", "n3"), {"n3": ["did not see the change made on n1"]}),
    ],
)
def test_the_node_is_named_that_nobody_hears_or_that_hears_nobody(
    is_lost: Callable[[str, str], bool], missing: dict[str, list[str]]
) -> None:
    """Not every other node, with the end of its log, where one of thirty is the cause."""
    lab = FakeLab()

    def spread(origin: str, device: str, state: str) -> None:
        for node in lab.nodes.values():
            if node.name == origin or not is_lost(origin, node.name):
                node.tell(device, state)

    lab.on_change = spread
    with pytest.raises(NotReady) as raised:
        prove(lab, timeout_s=0.5)
    assert raised.value.missing == missing


MUTE = (
    "WARNING[117]: res/res_corosync.c:566 publish_event_to_corosync: CPG mcast not executed for event DeviceState (5)\n"
)


@pytest.mark.parametrize(("log", "mended"), [(MUTE, ["n3"]), ("", [])])
def test_a_node_that_says_it_is_mute_is_mended_once_and_proven(log: str, mended: list[str]) -> None:
    """Seen of two in some thirty starts of 30 nodes: a member that hears all, and whose module sends nothing more."""
    lab, restarted = FakeLab(), list[str]()
    lab.nodes["n3"].log = log

    def spread(origin: str, device: str, state: str) -> None:
        if origin != "n3" or restarted:
            lab.spread(origin, device, state)

    lab.on_change = spread
    with Cluster(cast(Engine, lab), lab.running) as cluster:
        proof = Proof(cluster, restarted.append)
        cluster.open()
        cluster.await_booted(Deadline(5))
        with nullcontext() if mended else pytest.raises(NotReady, match="no other node saw the change made on it"):
            proof.crossings(Deadline(20 if mended else 4))
    assert restarted == mended


def test_an_event_that_was_there_before_the_change_proves_nothing() -> None:
    lab = FakeLab()
    lab.on_change = lambda origin, device, state: None
    with Cluster(cast(Engine, lab), lab.running) as cluster:
        proof = Proof(cluster)
        cluster.open()
        cluster.await_booted(Deadline(5))
        for state in ("INUSE", "BUSY", "RINGING"):
            for node in lab.nodes.values():
                for origin in lab.nodes:
                    node.tell(f"proof-{origin}", state)
        cluster.connection("n1").ask("Ping")
        with pytest.raises(NotReady):
            proof.crossings(Deadline(0.5))


def test_a_node_without_a_neighbour_has_nothing_to_prove() -> None:
    assert prove(FakeLab("name: lab\nnodes: [n1]\n")) == []


def test_what_is_not_shared_is_not_proven() -> None:
    assert prove(FakeLab("name: lab\nshare: [mwi]\n")) == []
