"""A running lab seen from inside: what its nodes say, when each learned it, and connections that end."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from labctl.asterisk.output import Message
from labctl.cluster import connections
from labctl.cluster.connections import Cluster, learned
from labctl.cluster.views import UNKNOWN, Learned
from labctl.engine.client import Engine
from labctl.errors import HostError, LabError, NotReady
from labctl.faults import model
from labctl.timing import Deadline
from tests.unit.fake_nodes import AmiStream, FakeLab, FakeNode

HISTORY = [
    ("n2", 10.000, "Ringing"),
    ("n1", 10.002, "Ringing"),
    ("n2", 10.100, "InUse"),
    ("n3", 10.101, "Ringing"),
    ("n1", 10.103, "InUse"),
    ("n3", 10.104, "InUse"),
]


def test_a_state_is_learned_after_the_first_to_tell_of_it() -> None:
    assert learned(HISTORY) == (
        Learned("Ringing", "n2", 0.0, 1),
        Learned("Ringing", "n1", 2.0, 1),
        Learned("Ringing", "n3", 101.0, 1),
        Learned("InUse", "n2", 0.0, 2),
        Learned("InUse", "n1", 3.0, 2),
        Learned("InUse", "n3", 4.0, 2),
    )


def test_a_state_that_comes_again_is_another() -> None:
    again = [("n1", 1.0, "Idle"), ("n1", 2.0, "InUse"), ("n1", 3.0, "Idle"), ("n2", 3.5, "Idle")]
    assert [state.after_ms for state in learned(again) if state.state == "Idle"] == [0.0, 2500.0, 0.0]


def test_a_node_that_missed_a_state_is_compared_by_those_that_it_has_said() -> None:
    history = [
        ("n2", 1.0, "Ringing"),
        ("n2", 2.0, "InUse"),
        ("n1", 2.004, "InUse"),
        ("n2", 3.0, "Idle"),
        ("n1", 3.1, "Idle"),
    ]
    assert [(change.state, change.node, change.after_ms) for change in learned(history)] == [
        ("Ringing", "n2", 0.0),
        ("InUse", "n2", 0.0),
        ("InUse", "n1", 4.0),
        ("Idle", "n2", 0.0),
        ("Idle", "n1", 100.0),
    ]


def test_a_node_that_learned_of_a_state_before_late_is_compared_by_what_fits() -> None:
    """As where the callee's registration crosses when the call has begun: n1 says Idle twice, n2 once."""
    history = [
        ("n1", 1.0, "Idle"),
        *(("n2", 2.0, "Ringing"), ("n1", 2.002, "Ringing")),
        *(("n1", 3.0, "Idle"), ("n2", 3.001, "Idle")),
    ]
    assert [(change.turn, change.state, change.node, change.after_ms) for change in learned(history)] == [
        (1, "Idle", "n1", 0.0),
        (2, "Ringing", "n2", 0.0),
        (2, "Ringing", "n1", 2.0),
        (3, "Idle", "n1", 0.0),
        (3, "Idle", "n2", 1.0),
    ]


def test_where_nobody_said_anything_nothing_was_learned() -> None:
    assert learned([]) == ()


HINTS = "101@lab : PJSIP/alice State:Idle Presence:not_set Watchers 0\n- 1 hints registered"


def answer_once_all_are_asked(lab: FakeLab, answering: str, mute: tuple[str, ...]) -> list[str]:
    """Have one node tell its hints only once the mute ones were asked too; the names of those that were asked."""
    asked: list[str] = []
    answers: list[Callable[[], None]] = []

    def hold(node: FakeNode) -> None:
        act = node.act

        def act_later(session: AmiStream, headers: dict[str, str]) -> None:
            if headers.get("Command") != "core show hints":
                act(session, headers)
                return
            asked.append(node.name)
            if node.name == answering:
                answers.append(lambda: act(session, headers))
            if {answering, *mute} <= {*asked}:
                answers.pop()()

        node.act = act_later  # type: ignore[method-assign]

    for name in (answering, *mute):
        hold(lab.nodes[name])
    return asked


@pytest.mark.long
def test_a_node_that_does_not_answer_is_unknown_and_holds_up_no_other() -> None:
    """In 0.1 each such node took ten seconds, one after the other."""
    lab = FakeLab("name: lab\nnodes: 8\nphones: [{name: alice, node: n1, extension: 101}]\n")
    for node in lab.nodes.values():
        node.commands["core show hints"] = HINTS
    asked = answer_once_all_are_asked(lab, "n1", mute=("n2", "n3", "n4", "n5", "n6", "n7"))
    lab.nodes["n8"].boots = False
    with Cluster(cast(Engine, lab), lab.running) as cluster:
        cluster.open()
        cluster.await_booted(Deadline(0.5))
        (row,) = (row for row in cluster.states(timeout_s=1.0) if row.extension == "101")
    assert sorted(asked) == ["n1", "n2", "n3", "n4", "n5", "n6", "n7"]
    assert row.states == {"n1": "Idle"} | {f"n{number}": UNKNOWN for number in range(2, 9)}


def test_closing_goes_on_after_an_error_and_raises_it() -> None:
    lab = FakeLab()
    cluster = Cluster(cast(Engine, lab), lab.running)
    cluster.open()
    stream = lab.nodes["n2"].sessions[0]
    close = stream.close

    def fail() -> None:
        close()
        raise HostError("the engine is gone")

    stream.close = fail  # type: ignore[method-assign]
    with pytest.raises(HostError, match="the engine is gone"):
        cluster.close()
    assert all(session.closed for node in lab.nodes.values() for session in node.sessions)


def test_a_reader_that_fails_leaves_its_connection_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """In 0.1 the thread died, and whoever waited for the node waited on."""
    lab = FakeLab()
    failed: list[type[BaseException]] = []
    monkeypatch.setattr("threading.excepthook", lambda args: failed.append(args.exc_type))
    with Cluster(cast(Engine, lab), lab.running) as cluster:
        cluster.open()
        cluster.await_booted(Deadline(5))

        def listen(node: str, at_s: float, message: Message) -> None:
            if message.get("Event") == "ExtensionStatus":
                raise KeyError("a header that is not there")

        cluster.listen(listen)
        lab.nodes["n1"].tell("101", "INUSE")
        cluster.await_gone("n1", Deadline(5))
        assert cluster.connection("n1").ended
        with pytest.raises(LabError, match="the manager connection is gone"):
            cluster.connection("n1").ask("Ping")
    assert failed == [KeyError]


def test_a_state_is_waited_for_by_what_the_hints_say() -> None:
    lab = FakeLab("name: lab\nphones: [{name: alice, node: n1, extension: 101}]\n")
    for node in lab.nodes.values():
        node.commands["core show hints"] = HINTS
    with Cluster(cast(Engine, lab), lab.running) as cluster:
        cluster.open()
        cluster.await_booted(Deadline(5))
        cluster.await_state("101", "Idle", Deadline(5))
        with pytest.raises(NotReady) as raised:
            cluster.await_state("101", "InUse", Deadline(0.2))
    assert raised.value.missing == {node: ["says Idle"] for node in lab.nodes}


@pytest.mark.parametrize("text", ["nodes: [hq, branch, a]", "nodes: 10", "nodes: 16", "nodes: [n9, n10, n1, n2]"])
def test_the_rings_that_faults_leave_hold_whom_the_nodes_see_in_whatever_order(text: str) -> None:
    """In 0.1 the two were ordered by different keys, so that such labs never settled."""
    lab = FakeLab(f"name: lab\n{text}\n")
    expected = model.rings(list(lab.nodes), [])
    assert expected is not None
    names = {node.number: node.name for node in lab.nodes.values()}
    seen_by_nodes = tuple(names[number] for number in sorted(names))
    assert all(set(ring) == set(seen_by_nodes) for ring in expected.values())


def test_a_module_that_answers_with_an_error_is_a_remark_and_no_end_of_the_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As CPG does while it is busy (CS_ERR_TRY_AGAIN): a lab that was proven then failed to come up."""
    lab = FakeLab("name: lab\nnodes: 1\n")
    (node,) = lab.nodes.values()
    node.commands |= {
        "corosync show members": "No such command: Failed to initialize CPG iterator: 6.",
        "core show version": "Asterisk 22.10.1 built by x",
        "core show uptime": "System uptime: 3 seconds",
    }
    monkeypatch.setattr(connections, "BUSY_S", 0.2)
    with Cluster(cast(Engine, lab), lab.running) as cluster:
        cluster.open()
        cluster.await_booted(Deadline(5))
        (view,) = cluster.views()
    assert (view.cluster, view.asterisk, view.uptime_s) == (None, "22.10.1", 3)
    assert "Failed to initialize CPG iterator: 6" in view.remarks[0]
