"""Phones that people switch on, and that stay on between two commands; calls beside nodes that do not answer."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from labctl.timing import Deadline
from tests.e2e.conftest import TOKEN_MS
from tests.integration.conftest import Result, labctl

pytestmark = pytest.mark.docker

NAME = f"e2e-by-hand-{os.getpid()}"

PATIENT = f"nodes: 3\ntotem: {{token: {TOKEN_MS}}}\n"
"""The shipped lab with a ring that a busy machine does not cost its token."""


@pytest.fixture(scope="module")
def lab() -> Iterator[str]:
    """A lab of three nodes and a phone on each, for the tests of this file."""
    assert labctl("up", "-n", NAME, "-q", "-f", "-", text=PATIENT).code == 0
    yield NAME
    labctl("down", "-n", NAME)


@pytest.fixture(autouse=True)
def all_off(lab: str) -> Iterator[None]:
    """Every phone is off after a test."""
    yield
    labctl("phone", "off", "--all", "-n", lab)


def phone(*arguments: str) -> Result:
    """A verb of `labctl phone` that does what it should."""
    result = labctl("phone", *arguments, "-n", NAME)
    assert result.code == 0, result.err
    return result


def ring_and_answer(caller: str, callee: str, *, rings: bool = False) -> str:
    """Have one phone call another, which answers; what is said of that. A node gives a call up that nobody has answered
    for 30 s: where a busy machine takes so long from one command to the next, it is dialled again. `rings`: it was
    dialled already."""
    deadline = Deadline(180)
    while True:
        if not rings:
            phone("dial", caller, callee)
        rings = False
        answer = labctl("phone", "answer", callee, "-n", NAME)
        if answer.code == 0:
            return answer.err
        assert not deadline.passed, answer.err
        assert "got  CANCEL" in answer.err, answer.err


def shown(watches: bool = False) -> set[tuple[str, str, str]]:
    """What `labctl phone ls` shows: phone, what it does, how far that is; or what each watches."""
    rows = {(row["phone"], row["activity"], row["state"]) for row in phone("ls", "-o", "json").data}
    return {row for row in rows if row[1].startswith("watches") == watches}


def await_shown(*rows: tuple[str, str, str]) -> None:
    """Return when `labctl phone ls` shows these: what a phone was sent may come a moment after the command."""
    deadline = Deadline(120)
    seen: set[tuple[str, str, str]] = set()
    while not seen >= {*rows}:
        assert not deadline.passed, seen
        seen = {(name, does, state.partition(" (")[0]) for name, does, state in shown() | shown(watches=True)}


def rings(lab: str) -> list[list[int]]:
    """The members of each node's ring, as `labctl ps` shows them."""
    return [row["ring"]["members"] for row in labctl("ps", "-n", lab, "-o", "json").data]


def call(*arguments: str) -> Result:
    return labctl("call", *arguments, "-n", NAME, "-q", "-o", "json", "--duration", "300ms")


def test_phones_stay_on_and_in_their_call_until_they_are_told_otherwise() -> None:
    phone("on", "alice", "bob")
    phone("watch", "carol", "bob")
    phone("dial", "alice", "bob")
    ringing = {("alice", "calls 102", "ringing"), ("bob", "phone", "ringing, 101")}
    assert shown() == ringing | {("alice", "phone", "on")}
    early = {("alice", "watches 102", "early"), ("carol", "watches 102", "early")}
    await_shown(*early)
    assert ring_and_answer("alice", "bob", rings=True) == "bob talks with 101\n"
    assert labctl("wait", "-n", NAME, "--for", "state=102:InUse", "--timeout", "60s").code == 0
    await_shown(("alice", "calls 102", "talking"), ("bob", "phone", "talking, 101"))
    phone("hangup", "bob")
    assert labctl("wait", "-n", NAME, "--for", "state=102:Idle", "--timeout", "60s").code == 0
    await_shown(("alice", "calls 102", "over: its node hung up"))
    phone("off", "--all")
    assert shown() | shown(watches=True) == set()
    assert labctl("wait", "-n", NAME, "--for", "state=102:Unavailable", "--timeout", "60s").code == 0


def test_a_phone_connects_two_others_and_leaves() -> None:
    phone("on", "alice", "bob", "carol")
    ring_and_answer("alice", "bob")
    assert phone("dtmf", "alice", "12").err == "alice presses 12 for 102\n"
    ring_and_answer("alice", "carol")
    assert phone("transfer", "alice", "carol", "--attended").err == "alice has connected 102 with carol\n"
    assert labctl("wait", "-n", NAME, "--for", "state=101:Idle", "--timeout", "60s").code == 0
    assert {("bob", "phone", "talking, 101"), ("carol", "phone", "talking, 101")} <= shown()
    assert phone("transfer", "bob", "*600").err == "bob has connected 101 with *600\n"
    assert labctl("wait", "-n", NAME, "--for", "state=102:Idle", "--timeout", "60s").code == 0
    assert {("bob", "phone", "on"), ("carol", "phone", "talking, 101")} <= shown()
    refused = labctl("phone", "transfer", "alice", "bob", "-n", NAME)
    assert (refused.code, "alice talks with nobody" in refused.err) == (1, True)
    assert labctl("phone", "dtmf", "carol", "12x", "-n", NAME).code == 2


def test_a_phone_that_rings_refuses_and_a_caller_gives_up() -> None:
    phone("on", "bob")
    phone("dial", "alice", "bob")
    phone("hangup", "bob")
    await_shown(("alice", "calls 102", "over: 486 Busy Here"))
    phone("dial", "alice", "bob")
    phone("hangup", "alice")
    assert labctl("wait", "-n", NAME, "--for", "state=102:Idle", "--timeout", "60s").code == 0


def test_a_phone_answers_whoever_dialled() -> None:
    """Here its own node, by a command of the manager interface."""
    phone("on", "bob")
    script = (
        "printf 'Action: Login\\r\\nUsername: labctl\\r\\nSecret: %s\\r\\n\\r\\n"
        "Action: Originate\\r\\nChannel: PJSIP/bob\\r\\nApplication: Echo\\r\\nAsync: yes\\r\\n\\r\\n"
        "Action: Logoff\\r\\n\\r\\n'"
        " \"$(sed -n 's/^secret *= *//p' /etc/asterisk/manager.conf)\" | timeout 30 socat -t 20 - TCP:127.0.0.1:5038"
    )
    labctl("sh", "n2", "-n", NAME, "--", "sh", "-c", script)
    phone("answer", "bob")
    assert {state.partition(",")[0] for name, _, state in shown() if name == "bob"} == {"talking"}


def test_a_call_goes_to_a_phone_that_was_left_on_and_leaves_it_on() -> None:
    phone("on", "alice", "bob")
    result = call("alice", "bob")
    assert result.code == 0, result.err
    assert min(result.data["caller_heard"], result.data["callee_heard"]) >= 15
    assert shown() == {("alice", "phone", "on"), ("bob", "phone", "on")}


def test_a_call_goes_to_a_phone_that_talks_and_counts_what_it_hears_in_that_call() -> None:
    """The audio of the call that bob was in counted too, so that nothing need have come through in the other."""
    phone("on", "bob")
    ring_and_answer("carol", "bob")
    result = call("alice", "bob")
    assert result.code == 0, result.err
    assert min(result.data["caller_heard"], result.data["callee_heard"]) >= 15
    await_shown(("bob", "phone", "talking, 103"), ("carol", "calls 102", "talking"))


@pytest.mark.parametrize("number", ["*600", "*101"])
def test_a_call_takes_any_number(number: str) -> None:
    result = call("alice", number)
    assert result.code == 0, result.err
    assert "InUse" in {change["state"] for change in result.data["learned"]}


def test_a_call_that_is_refused_tells_the_status_and_what_the_node_says() -> None:
    result = call("alice", "999")
    assert result.code == 1
    assert "alice calls 999: 404 Not Found" in result.err
    assert "extension not found in context 'lab'" in result.err


def test_a_call_beside_a_node_that_is_dead_shows_what_the_others_hear(lab: str) -> None:
    assert labctl("fault", "kill", "n3", "-n", lab).code == 0
    deadline = Deadline(120)
    try:
        while rings(lab)[:2] != [[1, 2], [1, 2]]:  # before that Corosync delivers nothing
            assert not deadline.passed
        result = call("alice", "bob")
        dead = call("alice", "carol")
    finally:
        labctl("heal", "-n", lab)
        labctl("up", "-n", lab, "-q")
    assert result.code == 0, result.err
    heard = {(change["state"], change["node"]) for change in result.data["learned"]}
    assert heard >= {("InUse", "n1"), ("InUse", "n2")}
    assert {node for _, node in heard} == {"n1", "n2"}
    assert (dead.code, "n3, which the call needs, does not answer" in dead.err) == (1, True)
