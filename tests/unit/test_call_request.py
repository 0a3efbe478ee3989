"""Whom `labctl call` is to call, which nodes it needs, and what a refusal tells. Its calls are made in tests/e2e."""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import cast

import pytest

from labctl.blueprint.running_lab import Running
from labctl.cluster.connections import Cluster
from labctl.engine.client import Engine
from labctl.errors import LabError, NotReady, UsageError
from labctl.scenario import test_call as requests
from labctl.scenario.test_call import (
    CallRequest,
    Told,
    _answering_nodes,
    _await_learned,
    _parties,
    _with_warnings,
)
from labctl.sip.user_agent import Refused
from labctl.timing import Deadline
from tests.unit.labs import lab

LAB = lab("name: lab\nnodes: 3\nphones: 3\ndevices: [mystate]\n")


@pytest.mark.parametrize(
    ("callee", "name", "number", "followed", "home"),
    [
        ("bob", "bob", "102", "102", "n2"),
        ("102", "bob", "102", "102", "n2"),
        ("*600", None, "*600", "101", "n1"),
        ("*101", None, "*101", "101", "n1"),
        ("999", None, "999", "101", "n1"),
        ("+49301234", None, "+49301234", "101", "n1"),
        ("mystate", None, "mystate", "101", "n1"),
    ],
)
def test_a_callee_is_a_phone_or_any_number(
    callee: str, name: str | None, number: str, followed: str, home: str
) -> None:
    parties = _parties(CallRequest("alice", callee, 1.0), LAB)
    called = parties.callee.name if parties.callee else None
    assert (called, parties.number, parties.followed, parties.home) == (name, number, followed, home)


@pytest.mark.parametrize(
    ("caller", "callee", "message", "hint"),
    [
        ("alize", "bob", "no phone `alize`", "alice"),
        ("*600", "bob", "no phone `*600`", "known here"),
        ("alice", "bobb", "no phone `bobb`", "bob"),
        ("alice", "bobb", "no phone `bobb`", "any number, such as *600"),
        ("alice", "101", "alice cannot call 101: it is one phone", "name two"),
        ("alice", "", "no phone ``", "any number"),
        ("alice", "sip:102@n2", "no phone `sip:102@n2`", "any number"),
    ],
)
def test_a_name_that_is_none_is_refused_with_what_would_do(caller: str, callee: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        _parties(CallRequest(caller, callee, 1.0), LAB)
    assert message in refused.value.message
    assert hint in refused.value.hint


class Nodes:
    """Connections to nodes: which are there, which are booted, and how often that was waited for."""

    def __init__(self, connected: Collection[str], booted: Collection[str], after: Collection[str] = ()) -> None:
        self.lab = LAB
        self.connected = tuple(connected)
        self.waits: list[float] = []
        self.asked: list[tuple[str, str, list[str]]] = []
        self._booted = [set(booted), {*booted, *after}]

    def await_booted(self, deadline: Deadline) -> None:
        """Wait; those that boot late have by the second time."""
        self.waits.append(deadline.timeout_s)

    def connection(self, node: str) -> SimpleNamespace:
        """The connection to a node."""
        assert node in self.connected
        return SimpleNamespace(booted=node in self._booted[min(len(self.waits), 2) - 1])

    def await_state(self, extension: str, state: str, deadline: Deadline, nodes: list[str]) -> None:
        """Nodes that never say it."""
        self.asked.append((extension, state, nodes))
        raise NotReady("never", {})


def answering(nodes: Nodes, callee: str) -> list[str]:
    """The nodes that answer, for a call of alice's."""
    return _answering_nodes(cast("Cluster", nodes), _parties(CallRequest("alice", callee, 1.0), LAB))


def test_a_call_goes_on_beside_a_node_that_is_gone_or_does_not_answer() -> None:
    assert answering(Nodes(["n1", "n2"], ["n1", "n2"]), "bob") == ["n1", "n2"]
    silent = Nodes(["n1", "n2", "n3"], ["n1", "n2"])
    assert answering(silent, "bob") == ["n1", "n2"]
    assert len(silent.waits) == 1


@pytest.mark.parametrize(
    ("nodes", "callee", "missing"),
    [
        (Nodes(["n1", "n2"], ["n1", "n2"]), "carol", "n3"),
        (Nodes(["n2", "n3"], ["n2", "n3"]), "bob", "n1"),
        (Nodes(["n1", "n2", "n3"], ["n3"]), "bob", "n1 and n2"),
        (Nodes(["n2"], ["n2"]), "*600", "n1"),
    ],
)
def test_a_call_whose_own_nodes_do_not_answer_is_refused(nodes: Nodes, callee: str, missing: str) -> None:
    with pytest.raises(LabError, match=f"^{missing}, which the call needs, does not answer"):
        answering(nodes, callee)
    if missing in nodes.connected:
        assert len(nodes.waits) == 2


def test_a_node_of_the_call_that_boots_is_waited_for() -> None:
    assert answering(Nodes(["n1", "n2"], ["n1"], after=["n2"]), "bob") == ["n1", "n2"]


def test_a_node_that_does_not_learn_of_a_state_stops_no_call() -> None:
    nodes = Nodes(["n1", "n2"], ["n1", "n2"])
    _await_learned(cast("Cluster", nodes), "102", "Idle", "n2", ["n1", "n2"])
    assert nodes.asked == [("102", "Idle", ["n1", "n2"])]


class Telling(Nodes):
    """Nodes that tell what they are said to, when an event is waited for."""

    def __init__(self, *to_come: tuple[str, str]) -> None:
        super().__init__(["n1", "n2", "n3"], ["n1", "n2", "n3"])
        self.to_come = list(to_come)
        self.changes: list[tuple[str, float, str]] = []
        self.timeouts = 0

    def follow(self, extension: str) -> list[tuple[str, float, str]]:
        """The changes of bob's extension."""
        assert extension == "102"
        return self.changes

    def await_event(self, ready: Callable[[], bool], deadline: Deadline) -> bool:
        """Tell one change after the other until it is ready, or nothing more comes."""
        while not ready():
            if not self.to_come:
                self.timeouts += 1
                return False
            node, state = self.to_come.pop(0)
            self.changes.append((node, 0.0, state))
        return True


def told(nodes: Telling) -> Told:
    """What is told of bob, who is idle."""
    return Told(cast("Cluster", nodes), "102", "n2", ["n1", "n2", "n3"], "Idle")


def test_a_call_goes_on_when_every_node_has_told_where_it_is() -> None:
    ringing = [("n2", "Ringing"), ("n1", "Ringing"), ("n3", "Ringing")]
    talking = [("n1", "InUse"), ("n2", "InUse"), ("n3", "InUse")]
    idle = [("n2", "Idle"), ("n3", "Idle"), ("n1", "Idle")]
    nodes = Telling(*ringing, *talking, *idle)
    phases = told(nodes)
    for wait, left in ((phases.await_ringing, 6), (phases.await_answered, 3), (phases.await_as_before, 0)):
        wait()
        assert len(nodes.to_come) == left
    assert nodes.timeouts == 0


def test_a_node_that_still_says_what_was_before_is_waited_for_at_the_end() -> None:
    nodes = Telling(
        ("n2", "Ringing"), ("n2", "InUse"), ("n2", "Idle"), ("n1", "Idle"), ("n3", "Ringing"), ("n3", "Idle")
    )
    told(nodes).await_as_before()
    assert not nodes.to_come


def test_a_node_that_is_cut_off_is_waited_for_once() -> None:
    nodes = Telling(("n2", "Ringing"), ("n1", "Ringing"))
    phases = told(nodes)
    phases.await_ringing()
    nodes.to_come = [("n2", "InUse"), ("n1", "InUse")]
    phases.await_answered()
    nodes.to_come = [("n2", "Idle"), ("n1", "Idle")]
    phases.await_as_before()
    assert (nodes.timeouts, nodes.to_come) == (1, [])


def test_a_home_that_tells_nothing_is_waited_for_once() -> None:
    nodes = Telling()
    phases = told(nodes)
    phases.await_ringing()
    phases.await_answered()
    assert nodes.timeouts == 1


def test_a_refusal_tells_what_the_node_warned_of_meanwhile() -> None:
    class Logs:
        """What a node has logged."""

        def logs(self, container: str, ago_s: float) -> str:
            """Its lines."""
            assert (container, 0 < ago_s < 60) == ("n1-id", True)
            lines = ["VERBOSE[7]: Executing", "WARNING[7]: app_dial.c: Unable to create channel", "NOTICE[7]: rejected"]
            return "\n".join(lines)

    running = SimpleNamespace(container=lambda _node: SimpleNamespace(id="n1-id"))
    refusal = Refused("alice calls 103: 503 Service Unavailable")
    told = _with_warnings(refusal, cast("Engine", Logs()), running, "n1", Deadline(60))  # type: ignore[arg-type]
    assert told.message.splitlines() == [
        "alice calls 103: 503 Service Unavailable",
        "  n1 | WARNING[7]: app_dial.c: Unable to create channel",
        "  n1 | NOTICE[7]: rejected",
    ]


def test_what_the_node_logs_after_it_refused_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = iter(["", "", "[date] NOTICE[9]: Call (UDP) rejected because extension not found in context 'lab'.\n"])
    engine = SimpleNamespace(logs=lambda *_container, **_since: next(logs))
    running = SimpleNamespace(container=lambda _node: SimpleNamespace(id="n1"))
    monkeypatch.setattr(requests, "LOOK_AGAIN_S", 0.001)
    told = _with_warnings(
        Refused("alice calls 999: 404 Not Found"), cast("Engine", engine), cast("Running", running), "n1", Deadline(5)
    )
    assert "extension not found in context 'lab'" in told.message
