"""Following nodes across their end and their return."""

from __future__ import annotations

import threading
from typing import cast

import pytest

from labctl.cluster.watch import Watch
from labctl.engine.client import Engine
from labctl.timing import Deadline, Signal
from tests.unit.fake_nodes import FakeLab

HINTS = "101@lab : PJSIP/alice State:Idle Presence:not_set Watchers 0\n- 1 hints registered"


class Screen:
    """What a watch told."""

    def __init__(self, lab: FakeLab) -> None:
        self.states: list[tuple[str, str, str]] = []
        self.nodes: list[tuple[str, bool]] = []
        self.news = Signal()
        for node in lab.nodes.values():
            node.commands["core show hints"] = HINTS
        self.watch = Watch(cast(Engine, lab), lab.running, self.on_state, self.on_node)

    def on_state(self, node: str, extension: str, state: str, at_s: float) -> None:
        self.states.append((node, extension, state))
        self.news.notify()

    def on_node(self, node: str, states: dict[str, str] | None) -> None:
        self.nodes.append((node, states is not None))
        self.news.notify()

    def await_nodes(self, *nodes: tuple[str, bool]) -> None:
        assert self.news.wait_until(lambda: self.nodes[: len(nodes)] == [*nodes], Deadline(10)), self.nodes


def test_states_are_told_as_they_come() -> None:
    lab = FakeLab()
    screen = Screen(lab)
    with screen.watch:
        lab.nodes["n2"].tell("101", "INUSE", context="lab")
        lab.nodes["n2"].tell("proof-n1", "INUSE")
        assert screen.news.wait_until(lambda: screen.states == [("n2", "101", "InUse")], Deadline(10))
        assert not lab.followed.closed
    assert screen.nodes == []
    assert lab.followed.closed


def test_a_node_that_hangs_up_is_told_gone_and_then_back() -> None:
    lab = FakeLab()
    screen = Screen(lab)
    with screen.watch:
        lab.nodes["n3"].sessions[0].end()
        screen.await_nodes(("n3", False), ("n3", True))
        lab.nodes["n3"].tell("101", "RINGING", context="lab")
        assert screen.news.wait_until(lambda: ("n3", "101", "Ringing") in screen.states, Deadline(10))


@pytest.mark.long
def test_a_node_that_keeps_hanging_up_has_one_thread() -> None:
    """In 0.1 each end of a connection began one more that connected, and so ended one more: 2,600 in seconds."""
    lab = FakeLab()
    screen = Screen(lab)
    with screen.watch:
        lab.nodes["n3"].hangs_up = True
        lab.nodes["n3"].sessions[0].end()
        attempts = Signal()
        assert attempts.wait_until(lambda: len(lab.nodes["n3"].sessions) < 4, Deadline(10))
        while len(lab.nodes["n3"].sessions) < 4:
            attempts.wait_beyond(0, Deadline(0.1))
            names = [thread.name for thread in threading.enumerate()]
            assert names.count("regain-n3") == 1
            assert names.count("ami-n3") <= 2
        assert screen.nodes == [("n3", False)]
        lab.nodes["n3"].hangs_up = False
        screen.await_nodes(("n3", False), ("n3", True))


def test_a_node_that_does_not_run_is_told_gone_at_once() -> None:
    lab = FakeLab()
    lab.states["n2"] = "exited"
    with Screen(lab).watch as watch:
        assert [row.states["n1"] for row in watch.states() if row.extension == "101"] == ["Idle"]
