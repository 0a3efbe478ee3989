"""A look at a node's tools: of one moment, and unknown where a tool does not answer."""

# ruff: noqa: ARG005 - a fake has the arguments of what it stands for

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labctl.cluster import node_logs, status
from labctl.cluster.node_tools import ASKED_TIMES, ToolAnswers, ask_tools
from labctl.cluster.restarts import looping
from labctl.corosync.membership import Membership
from labctl.engine.client import Engine
from tests.unit.fake_nodes import FakeLab
from tests.unit.test_captures import capture

RING = capture("corosync-3-quorumtool-s")
GROUP = """\
Group Name\t       PID\t   Node ID
asterisk
\t\t        10\t         1 (198.18.16.11)
\t\t        10\t         3 (198.18.16.13)
\t\t         9\t         2 (198.18.16.12)
"""
NO_CPG = "Could not initialize corosync cpg API error 2"
HINTS = "101@lab : PJSIP/alice State:Idle Presence:not_set Watchers 0\n- 1 hints registered"
RUNS, DOWN = "run: /etc/service/corosync: (pid 10) 33s", "down: /etc/service/corosync: 3s, normally up, want down"
ASTERISK_GONE = "Unable to connect to remote asterisk (does /var/run/asterisk/asterisk.ctl exist?)"
VERSION, UPTIME = "Asterisk 22.10.1 built by x", "System uptime: 5 seconds"


def look(*looks: tuple[str, ...], stack: str = "22") -> tuple[ToolAnswers, int]:
    """What a node's tools come to where they print so at each look; and how often they were asked.

    Each look: what the ring's tool, the module, the hints, version, uptime, the ring's tool again and runit print.
    """
    lab = FakeLab(stack=stack)
    turns = iter(looks)
    lab.run_in = lambda node, command: "\n@@\n".join(next(turns)) + "\n"
    answers = ask_tools(cast(Engine, lab), lab.running, "n1", "lab")
    return answers, len(lab.ran)


def printed(
    ring: str = RING, members: str = "", hints: str = HINTS, last: str | None = None, service: str = RUNS
) -> tuple[str, ...]:
    return (ring, members or GROUP, hints, VERSION, UPTIME, ring if last is None else last, service)


WHOLE = ToolAnswers(Membership(True, (1, 2, 3)), ("1", "2", "3"), {"101": "Idle"}, "22.10.1", 5)


def test_a_node_that_answers_is_asked_once() -> None:
    assert look(printed()) == (WHOLE, 1)


def test_whom_a_module_sees_is_asked_of_corosync_and_not_of_the_module() -> None:
    """Its connection to Corosync takes one question at a time: two at once, of which one may be its own, break it, and
    whoever looks at a node must change nothing."""
    lab = FakeLab()
    lab.run_in = lambda node, command: ""
    ask_tools(cast(Engine, lab), lab.running, "n1", "lab")
    script = lab.ran[0][1][-1]
    assert "corosync-cpgtool" in script
    assert lab.stack.members_command not in script


@pytest.mark.parametrize("stack", ["1.6", "1.8"])
def test_a_module_that_must_be_asked_is_asked_by_one_at_a_time(stack: str) -> None:
    lab = FakeLab(stack=stack)
    lab.run_in = lambda node, command: ""
    ask_tools(cast(Engine, lab), lab.running, "n1", "lab")
    script = lab.ran[0][1][-1]
    asked = [part for part in re.split(r"[;()]", script) if lab.stack.members_command in part]
    assert asked
    assert all(part.split()[:2] == ["flock", "-w"] for part in asked)


@pytest.mark.parametrize(
    "silent",
    [
        printed(ring="", last=""),
        printed(ring="Cannot initialize QUORUM service\n"),
        printed(members="\n"),
        printed(members=NO_CPG),
        printed(hints=""),
        printed(hints=HINTS.splitlines()[0]),
    ],
)
def test_a_tool_that_prints_nothing_is_asked_again(silent: tuple[str, ...]) -> None:
    assert look(silent, printed()) == (WHOLE, 2)


def test_what_is_never_answered_is_unknown_and_never_empty() -> None:
    """In 0.1 it was an empty ring, so that a node was judged to have left."""
    answers, asked = look(*[printed(ring="", last="", members="\n", hints="")] * ASKED_TIMES)
    assert (answers.ring, answers.members, answers.hints) == (None, None, None)
    assert asked == ASKED_TIMES


def test_a_corosync_that_does_not_run_has_an_empty_ring() -> None:
    gone = "Cannot initialize QUORUM service\n"
    answers, asked = look(printed(ring=gone, last=gone, members=NO_CPG, service=DOWN))
    assert (answers.ring, answers.members, asked) == (Membership(), (), 1)


def test_a_module_that_is_not_loaded_sees_nobody() -> None:
    """In a group of others, and where there is no group at all."""
    for group in ("Group Name\t PID\t Node ID\n", GROUP.replace(" 1 (198.18.16.11)", " 4 (198.18.16.14)")):
        answers, asked = look(printed(members=group))
        assert (answers.members, asked) == ((), 1)


def test_by_the_module_itself_no_command_is_nobody_and_no_asterisk_is_no_answer() -> None:
    commands = ("ais clm show members", "ais show clm members")
    nobody = "\n".join(f"No such command '{command}' (type 'core show help ais')" for command in commands)
    assert look(printed(members=nobody), stack="1.8")[0].members == ()
    assert look(*[printed(members=ASTERISK_GONE)] * ASKED_TIMES, stack="1.8")[0].members is None


def test_a_module_that_knows_its_command_and_prints_nothing_does_not_answer() -> None:
    """As res_ais that lost its Corosync, and spins; the other command is that of another version."""
    silent = printed(members="\nNo such command 'ais show clm members' (type 'core show help ais show')")
    answers, asked = look(*[silent] * ASKED_TIMES, stack="1.8")
    assert (answers.members, asked) == (None, ASKED_TIMES)
    neither = silent[1].replace("show clm", "clm show") + silent[1]
    assert look(printed(members=neither), stack="1.8")[0].members == ()


def test_a_look_in_which_the_ring_changed_is_taken_again() -> None:
    other = re.sub("Ring ID: .*", "Ring ID:          1.99", RING)
    assert look(printed(last=other), printed()) == (WHOLE, 2)
    answers, _ = look(*[printed(last=other)] * ASKED_TIMES)
    assert (answers.ring, answers.members, answers.hints) == (None, None, None)


def test_colours_of_1_6_are_no_answer() -> None:
    answers, _ = look(*[printed(members="\x1b[0;37m\x1b[0m")] * ASKED_TIMES, stack="1.6")
    assert answers.members is None


def test_the_loopback_address_in_a_ring_is_the_node_itself() -> None:
    """As after iface-down on Corosync 1.x: in 0.1 `ps` showed 16777343, and 0x100007f."""
    ring = "runtime.totem.pg.mrp.srp.members.16777343.status=joined"
    module = "=== ==> ID: 0x100007f\n=== ==> Address: 127.0.0.1\n=== ==> Member: Yes\n"
    answers, _ = look(printed(ring=ring, members=module), stack="1.8")
    assert (answers.ring, answers.members) == (Membership(True, (1,)), ("1",))


# ps


def ps_row(lab: FakeLab, node: str, *parts: str) -> tuple[str, ...]:
    lab.run_in = lambda node, command: "\n@@\n".join(parts) + "\n" if "@@" in command[-1] else ""
    return next(row.remarks for row in status.ps(cast(Engine, lab), lab.running) if row.node == node)


def test_ps_says_which_tool_does_not_answer() -> None:
    lab = FakeLab()
    assert ps_row(lab, "n1", RING, "\n", ":", VERSION, UPTIME, RING, RUNS) == ("res_corosync does not answer",)
    assert ps_row(lab, "n1", "", "\n", ":", "", "", "", RUNS) == (
        "Corosync does not answer, or its ring changes from one moment to the next",
        "res_corosync does not answer",
        "Asterisk does not answer",
    )


def test_ps_says_that_a_module_is_in_no_group_though_its_node_is_in_a_ring() -> None:
    lab = FakeLab()
    lost = printed(members="Group Name\t PID\t Node ID\n")
    assert ps_row(lab, "n1", *lost) == ("res_corosync sees nobody, not even its own node; labctl up mends that",)
    gone = printed(ring="Cannot initialize QUORUM service", members=NO_CPG, service=DOWN)
    assert ps_row(lab, "n1", *gone) == ()


def test_ps_says_when_its_view_may_be_old() -> None:
    lab = FakeLab()
    lab.states["n3"] = "exited"
    (remark,) = ps_row(lab, "n1", *printed())
    assert remark.startswith("may be old: the ring still counts n3, which is exited")


def test_ps_says_that_a_daemon_restarts_in_a_loop() -> None:
    lab = FakeLab()
    lab.nodes["n2"].log = "[MAIN  ] Corosync Cluster Engine 3.1.10 starting up\n" * 5
    assert ps_row(lab, "n2", *printed()) == ("Corosync started 5 times in a minute",)
    assert ps_row(lab, "n1", *printed()) == ()


@pytest.mark.parametrize(
    ("log", "sentences"),
    [
        (capture("corosync-1.2.1-start"), ()),
        (capture("corosync-1.2.1-start") * 3, ("Corosync started 3 times in a minute",)),
        (
            "NOTICE[9]: loader.c:2568 load_modules: 45 modules will be loaded.\n" * 4,
            ("Asterisk started 4 times in a minute",),
        ),
        ("[MAIN  ] Corosync Cluster Engine exiting normally\n" * 5, ()),
        ("", ()),
    ],
)
def test_a_loop_is_seen_by_what_a_daemon_logs_at_its_start(log: str, sentences: tuple[str, ...]) -> None:
    assert looping(log) == sentences


@pytest.mark.parametrize(("tail", "lines"), [(None, "abcd"), (0, ""), (1, "d"), (2, "cd"), (3, "bcd"), (9, "abcd")])
def test_what_a_node_logged_before_an_upgrade_comes_first(tail: int | None, lines: str) -> None:
    def logs(_: str, tail: int | None = None, *, stamped: bool) -> str:
        assert stamped
        kept = ["3 c\n", "4 d\n"]
        return "".join(kept if tail is None else kept[len(kept) - min(tail, len(kept)) :])

    engine: Any = SimpleNamespace(logs=logs, find_file=lambda *_: "1 a\n2 b\n")
    stamped = [f"{'0abcd'.index(line)} {line}" for line in lines]
    assert node_logs.stamped_log(engine, "n1", tail) == stamped
    if tail is None:
        assert node_logs.logged(engine, "n1").split() == [*lines]


def test_a_node_that_said_nothing_has_no_lines() -> None:
    engine: Any = SimpleNamespace(logs=lambda *_, **__: "", find_file=lambda *_: None)
    assert node_logs.stamped_log(engine, "n1") == []
    assert node_logs.logged(engine, "n1") == ""


def test_logs_are_shown_in_the_order_of_time() -> None:
    logs = {"n1": ["1 up", "3 ready", "3 "], "n2": ["2 up", "9 down again"], "n3": []}
    told = [("n1", "up"), ("n2", "up"), ("n1", "ready"), ("n1", ""), ("n2", "down again")]
    assert [*node_logs.in_turn(logs)] == told
