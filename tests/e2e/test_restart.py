"""Nodes that go and come back: what the others know, and what the one that joins learns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from labctl.cluster import lifecycle as verbs
from labctl.cluster.connections import Cluster
from labctl.cluster.proof import Proof
from labctl.engine import client as engines
from labctl.engine.actions import RemoveContainer, StartContainer
from labctl.engine.client import Engine
from labctl.engine.streams import lines
from labctl.errors import NotReady
from labctl.images.builder import Options
from labctl.lab import Overrides
from labctl.labfile.loader import find_lab
from labctl.progress import Silent
from labctl.timing import Deadline
from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker

NAME = "e2e-restart"
READY_S = 120.0


def up() -> None:
    wanted, stack = find_lab(None, Overrides(name=NAME))
    verbs.up(engines.connect(), wanted, stack, Options(), READY_S, Silent())


def connected(timeout_s: float = READY_S) -> Cluster:
    """Connections to the lab as it runs now, once it is ready."""
    engine = engines.connect()
    running = verbs.load(engine, NAME)
    cluster = Cluster(engine, running)
    cluster.open()
    try:
        cluster.await_ready(Deadline(timeout_s))
    except BaseException:
        cluster.close()
        raise
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


def asterisk_pid(engine: Engine, node: str) -> str:
    return engine.run(f"labctl-{NAME}-{node}", ["cat", "/etc/service/asterisk/supervise/pid"]).text


def kill_corosync(engine: Engine, node: str) -> None:
    """Kill Corosync alone, and return when its supervisor has brought it back into a whole ring."""
    with closing(engine.follow_logs(f"labctl-{NAME}-{node}", tail=0)) as log:
        assert engine.run(f"labctl-{NAME}-{node}", ["sv", "kill", "/etc/service/corosync"]).code == 0
        next(line for line in lines(log) if "[QUORUM] Members[3]: 1 2 3" in line)


def test_corosync_is_killed_alone_and_comes_back_under_its_supervisor(engine: Engine) -> None:
    before = asterisk_pid(engine, "n2")
    kill_corosync(engine, "n2")
    assert asterisk_pid(engine, "n2") == before
    engine.run(f"labctl-{NAME}-n2", ["sv", "force-restart", "/etc/service/asterisk"])
    with connected() as cluster:
        Proof(cluster).crossings(Deadline(READY_S))


def corosync_away(engine: Engine, node: str) -> None:
    """Stop Corosync until the module has tried in vain to reach it, and return when it is in a whole ring again.

    Killed, it is back at once, and now and then before the module tries: then the module finds it.
    """
    container = f"labctl-{NAME}-{node}"
    with closing(engine.follow_logs(container, tail=0)) as log:
        said = lines(log)
        assert engine.run(container, ["sv", "down", "/etc/service/corosync"]).code == 0
        next(line for line in said if "Failed to initialize cfg" in line)
        assert engine.run(container, ["sv", "up", "/etc/service/corosync"]).code == 0
        next(line for line in said if "[QUORUM] Members[3]: 1 2 3" in line)


@pytest.mark.xfail(
    raises=NotReady,
    reason="res_corosync 22 tries once to reach the new Corosync, before that listens, and never again: "
    "its dispatch thread then polls closed descriptors (dispatch_thread_handler in res/res_corosync.c)",
)
def test_module_finds_a_corosync_that_was_away_for_a_moment(engine: Engine) -> None:
    corosync_away(engine, "n2")
    with connected(timeout_s=12) as cluster:
        Proof(cluster).crossings(Deadline(READY_S))


def test_asterisk_that_follows_corosync_comes_back_with_it(tmp_path: Path) -> None:
    scenario = tmp_path / "follow.yaml"
    scenario.write_text(
        "title: Asterisk is restarted when Corosync was\nlab: {follows_corosync: yes}\nsteps:\n"
        "- set_state: {node: n1, device: mystate, state: INUSE}\n- settle\n- kill: {node: n2, service: corosync}\n"
        "- settle\n- set_state: {node: n1, device: mystate, state: BUSY}\n- settle\n"
    )
    done = labctl("run", str(scenario), "--folder", str(tmp_path), "-q", "-o", "json")
    assert done.code == 0, done.out
