"""Who measures the daemons of a lab: once at once, again and again, and once more at its end; without whom is gone."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import cast

import pytest

from labctl.engine.client import Engine
from labctl.errors import LabError
from labctl.history.events import SCHEDULER, Disturbed
from labctl.history.journal import Journal
from labctl.history.process_events import Measured
from labctl.scenario import health_watch
from labctl.scenario.health_watch import HealthWatch
from labctl.timing import PATIENCE, Deadline, Signal
from tests.unit.fake_nodes import FakeLab
from tests.unit.test_daemon_figures import NODE

ANSWER = NODE.partition("\n")[2]


class Shell:
    """The kept shell of a node: answers each time it is asked, until it ends."""

    def __init__(self) -> None:
        self.chunks: queue.Queue[bytes | None] = queue.Queue()
        self.closed = False

    def send(self, data: bytes) -> None:
        if self.closed:
            raise OSError("closed")
        assert data == b"\n"
        self.chunks.put(ANSWER.encode())

    def __iter__(self) -> Iterator[bytes]:
        while (chunk := self.chunks.get()) is not None:
            yield chunk

    def close(self) -> None:
        self.closed = True
        self.chunks.put(None)


class Watched:
    """A lab that is measured. `refused`: the nodes in which no shell can be started."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.gone: set[str] = set()
        self.refused: set[str] = set()
        self.shells: list[tuple[str, Shell]] = []
        self.probed: list[str] = []
        self.signal = Signal()
        self.journal.listen(lambda _event: self.signal.notify())
        self.watch = HealthWatch(cast("Engine", self), FakeLab().running, self, lambda: self.gone, self.journal)

    def open_stream(self, container: str, command: list[str]) -> Shell:
        node = container.rpartition("-")[2]
        assert command[:2] == ["sh", "-c"]
        if node in self.refused:
            raise LabError("it is paused")
        self.shells.append((node, Shell()))
        return self.shells[-1][1]

    def probe(self, node: str) -> None:
        self.probed.append(node)
        raise LabError("no connection")

    def counts(self) -> dict[str, int]:
        """How often Asterisk was measured, by node."""
        nodes = [
            event.node for event in self.journal.events if isinstance(event, Measured) and event.daemon == "asterisk"
        ]
        return {node: nodes.count(node) for node in dict.fromkeys(nodes)}

    def await_count(self, node: str, count: int) -> None:
        assert self.signal.wait_until(lambda: self.counts().get(node, 0) >= count, Deadline(10)), self.counts()


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(PATIENCE, "_factor", 1.0)
    watched = Watched()
    yield watched
    watched.watch.end()


def test_every_node_is_measured_at_once_and_once_more_at_the_end(lab: Watched) -> None:
    lab.watch.begin()
    for node in ("n1", "n2"):
        lab.await_count(node, 1)
    lab.watch.end()
    counts = lab.counts()
    assert min(counts["n1"], counts["n2"]) >= 2
    assert all(shell.closed for _, shell in lab.shells)
    written = len(lab.journal.events)
    lab.shells[0][1].chunks.put(ANSWER.encode())
    assert len(lab.journal.events) == written
    assert lab.probed


def test_shell_that_has_ended_is_started_anew(lab: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_watch, "INTERVAL_S", 0.01)
    lab.watch.begin()
    lab.await_count("n2", 1)
    next(shell for node, shell in lab.shells if node == "n2").close()
    lab.await_count("n2", lab.counts()["n2"] + 3)
    assert [node for node, _ in lab.shells].count("n2") == 2


def test_who_is_gone_or_refuses_is_left_alone(lab: Watched) -> None:
    lab.gone, lab.refused = {"n2"}, {"n1"}
    lab.watch.begin()
    lab.watch.end()
    assert {*lab.counts()} == {"n3"}
    assert "n2" not in lab.probed


def test_what_was_never_begun_can_be_ended(lab: Watched) -> None:
    lab.watch.end()
    assert lab.journal.events == []


def test_threads_that_waited_for_a_cpu_disturb_what_came_about_meanwhile(lab: Watched) -> None:
    lab.watch.begin()
    lab.await_count("n1", 1)
    shell = next(shell for node, shell in lab.shells if node == "n1")
    waits = ("waits asterisk 9:1000000000\n", "waits asterisk 9:1700000000\n", "waits asterisk 9:1800000000\n")
    for text in waits:
        shell.chunks.put((text + ANSWER).encode())
    lab.await_count("n1", 4)
    lab.watch.end()
    disturbed = [event for event in lab.journal.events if isinstance(event, Disturbed)]
    assert [(one.node, one.source, round(one.for_s, 3)) for one in disturbed] == [
        ("n1", SCHEDULER, 1.0),  # of a thread that is new
        ("n1", SCHEDULER, 0.7),
    ]
    assert disturbed[1].what.startswith("a thread of asterisk had to wait for a CPU for 0.7 s of ")
