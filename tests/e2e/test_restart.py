"""Nodes that go and come back: what the others know, and what the one that joins learns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labctl import engine as engines
from labctl import lab as verbs
from labctl.build import Options
from labctl.cluster import Cluster
from labctl.engine import Engine
from labctl.labfile import Overrides
from labctl.progress import Silent
from labctl.sources import find_lab
from labctl.steps import RemoveContainer, StartContainer
from labctl.wait import Deadline

pytestmark = pytest.mark.docker

NAME = "e2e-restart"
READY_S = 60.0


def up() -> None:
    wanted, stack = find_lab(None, Overrides(name=NAME))
    verbs.up(engines.connect(), wanted, stack, Options(), READY_S, Silent())


def connected() -> Cluster:
    """Connections to the lab as it runs now."""
    engine = engines.connect()
    running = verbs.load(engine, NAME)
    cluster = Cluster(engine, running.lab, running.stack, running.seen)
    cluster.open()
    cluster.await_ready(Deadline(READY_S))
    return cluster


def say(node: str, state: str) -> None:
    with connected() as cluster:
        cluster.connection(node).answer(cluster.set_device(node, "Custom:mystate", state))


def sees(state: str) -> None:
    with connected() as cluster:
        cluster.await_state("mystate", state, Deadline(READY_S))


@pytest.fixture
def engine() -> Iterator[Engine]:
    """The engine, with a lab of this file's own that is fresh for each test."""
    found = engines.connect()
    up()
    yield found
    verbs.down(found, NAME, Silent())


def test_node_that_was_killed_learns_the_states_when_it_is_back(engine: Engine) -> None:
    say("n1", "INUSE")
    sees("InUse")
    engine.run(f"labctl-{NAME}-n3", ["sh", "-c", "kill -KILL -1"])
    engine._api.kill(f"labctl-{NAME}-n3")
    engine.apply(StartContainer(f"labctl-{NAME}-n3"))
    sees("InUse")


def test_node_that_joins_late_learns_the_states(engine: Engine) -> None:
    late = next(each for each in engine.observe(NAME).containers if each.node == "n3")
    engine.apply(RemoveContainer(late.name, late.id))
    say_while_alone = engine.run(f"labctl-{NAME}-n1", ["asterisk", "-rx", "devstate change Custom:mystate RINGING"])
    assert say_while_alone.code == 0
    up()
    sees("Ringing")


def test_asterisk_alone_restarts_under_its_supervisor_and_learns_the_states(engine: Engine) -> None:
    say("n1", "BUSY")
    sees("Busy")
    assert engine.run(f"labctl-{NAME}-n2", ["sv", "force-restart", "/etc/service/asterisk"]).code == 0
    sees("Busy")


def test_corosync_alone_is_killed_and_asterisk_finds_it_again(engine: Engine) -> None:
    before = engine.run(f"labctl-{NAME}-n2", ["sh", "-c", "cat /etc/service/asterisk/supervise/pid"]).text
    assert engine.run(f"labctl-{NAME}-n2", ["sv", "kill", "/etc/service/corosync"]).code == 0
    with connected() as cluster:
        cluster.prove(Deadline(READY_S))
    after = engine.run(f"labctl-{NAME}-n2", ["sh", "-c", "cat /etc/service/asterisk/supervise/pid"]).text
    assert before == after, "Asterisk was not to be restarted"
