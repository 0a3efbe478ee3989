"""Events that a node keeps back until it is spoken to, as Asterisk does with one of 2000: each is told in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import pytest

from labctl.asterisk import ami
from labctl.asterisk.output import Message
from labctl.cluster import node_links
from labctl.cluster.connections import Cluster
from labctl.engine.client import Engine
from labctl.timing import Deadline, Signal
from tests.unit.fake_nodes import AmiStream, FakeLab


class Listener:
    """A lab whose nodes are listened to, all at rest. `told`: by which nodes a state was told, in order; `asked`: how
    often each was asked anything."""

    def __init__(self, cluster: Cluster, lab: FakeLab) -> None:
        self.nodes = lab.nodes
        self.asked = Counter[str]()
        for node in lab.nodes.values():
            node.act = partial(self._count, node.act)  # type: ignore[method-assign]
        self.told: list[str] = []
        self._news = Signal()
        cluster.listen(self._hear)

    def _count(
        self, act: Callable[[AmiStream, dict[str, str]], None], session: AmiStream, said: dict[str, str]
    ) -> None:
        self.asked[next(name for name, node in self.nodes.items() if session in node.sessions)] += 1
        act(session, said)

    def _hear(self, node: str, _at_s: float, message: Message) -> None:
        if message.get("Event") == "ExtensionStatus":
            self.told.append(node)
            self._news.notify()

    def hears(self, *nodes: str, within_s: float = 5.0) -> bool:
        """Whether these and no others have told of it in time."""
        return self._news.wait_until(lambda: sorted(self.told) == [*nodes], Deadline(within_s))


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setattr(ami, "NUDGES_S", (0.02, 0.02, 0.3))
    monkeypatch.setattr(node_links, "STIR_S", 0.01)
    monkeypatch.setattr(ami, "SILENT_S", 0.05)
    lab = FakeLab()
    with Cluster(cast(Engine, lab), lab.running) as cluster:
        cluster.open()
        cluster.await_booted(Deadline(5))
        cluster.listen_to_losses(lambda _loss: None)  # who connects again gives up what is silent
        yield Listener(cluster, lab)


def _rest() -> None:
    """All pings that follow the login are over."""
    Signal().wait_beyond(0, Deadline(0.8))


def test_what_a_node_keeps_back_of_another_s_word_is_told(listener: Listener) -> None:
    """n3 had nothing to say for long, and the one event of the change was the one that stayed."""
    _rest()
    listener.nodes["n3"].keeps_back = True
    for name in ("n1", "n2", "n3"):
        listener.nodes[name].tell("101", "INUSE")
    assert listener.hears("n1", "n2", "n3")


@pytest.mark.long
def test_what_comes_of_a_word_after_a_while_is_told_too(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a hint follows its device by more than a fifth of a second."""
    _rest()
    monkeypatch.setattr(ami, "NUDGES_S", (0.02, 0.02, 0.3, 1.5, 3.0))  # the later ones where this process stands still
    listener.nodes["n1"].tell("101", "INUSE")
    assert listener.hears("n1")
    Signal().wait_beyond(0, Deadline(0.15))
    listener.nodes["n1"].keeps_back = True
    listener.nodes["n1"].tell("101", "NOT_INUSE")
    assert listener.hears("n1", "n1", within_s=20.0)


@pytest.mark.long
def test_who_is_silent_to_another_s_word_is_not_given_up_for_it(listener: Listener) -> None:
    """A node that is paused is not spoken to; what it says when it goes on comes by the same connection."""
    _rest()
    node = listener.nodes["n3"]
    node.deaf_sessions = 1
    listener.nodes["n1"].tell("101", "INUSE")
    _rest()
    node.deaf_sessions = 0
    node.tell("101", "INUSE")
    assert listener.hears("n1", "n3")
    assert len(node.sessions) == 1


@pytest.mark.long
def test_where_others_go_on_and_on_a_silent_node_is_asked_now_and_then(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each word had the row of pings begin anew: six a second for each node."""
    monkeypatch.setattr(ami, "NUDGES_S", (0.01, 0.01, 0.01, 0.2, 0.4))
    _rest()
    asked = listener.asked["n3"]
    for _ in range(20):
        listener.nodes["n1"].tell("101", "INUSE")
        Signal().wait_beyond(0, Deadline(0.05))
    assert 1 <= listener.asked["n3"] - asked <= 45


@pytest.mark.long
def test_no_ping_follows_one_that_was_not_answered(listener: Listener) -> None:
    """To a node that is paused they would pile up, until labctl could send nothing more."""
    _rest()
    listener.nodes["n3"].deaf_sessions = 1
    asked = listener.asked["n3"]
    for _ in range(20):
        listener.nodes["n1"].tell("101", "INUSE")
        Signal().wait_beyond(0, Deadline(0.05))
    assert listener.asked["n3"] - asked == 1
