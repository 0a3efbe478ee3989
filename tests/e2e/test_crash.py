"""An Asterisk that crashes by itself in mid-run, and a connection of labctl's that is lost while Asterisk goes on."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labctl.engine import client as engines
from labctl.history.events import AMI, BY_ITSELF, Back, Core, Disturbed, Event, Gone
from labctl.history.process_events import Measured
from labctl.images.builder import Options, references
from labctl.stack.loader import find_stack
from labctl.testcontainers import AsteriskCluster
from labctl.timing import Deadline, Signal

pytestmark = pytest.mark.docker

NOTICED_S = 60.0
"""By then it must have been noticed and mended; it takes under a second, and up to five where Asterisk boots."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[AsteriskCluster]:
    """A cluster of two nodes that the tests of this file share; alice and bob are on."""
    with AsteriskCluster(nodes=2) as cluster:
        cluster.register(["alice", "bob"])
        yield cluster


def await_event(
    cluster: AsteriskCluster, kind: type[Event], since: int, meant: Callable[[Any], bool] = lambda _: True
) -> Event:
    """The first event of a kind from there on in the history that is `meant`, once it is written."""
    signal = Signal()
    cluster.journal.listen(lambda _event: signal.notify())

    def events() -> list[Event]:
        return [event for event in cluster.journal.events[since:] if isinstance(event, kind) and meant(event)]

    assert signal.wait_until(lambda: bool(events()), Deadline(NOTICED_S)), cluster.tell()
    return events()[0]


def outcomes(cluster: AsteriskCluster) -> dict[str, str]:
    return {verdict.check: verdict.outcome for verdict in cluster.verdicts()}


def test_connection_that_is_lost_alone_is_made_anew_and_fails_nothing(cluster: AsteriskCluster) -> None:
    cluster.set_state("n1", "mystate", "BUSY")
    cluster.settle()
    since = len(cluster.journal.events)
    cluster.exec("n2", "kill -KILL $(pidof socat socat1)")
    loss = await_event(cluster, Disturbed, since, lambda event: event.source == AMI)  # a busy machine has others
    assert isinstance(loss, Disturbed)
    assert loss.node == "n2"
    cluster.set_state("n2", "mystate", "INUSE")
    cluster.settle()
    assert not [event for event in cluster.journal.events if isinstance(event, Gone)]
    assert "failed" not in outcomes(cluster).values()
    disturbed = [event for event in cluster.journal.events if isinstance(event, Disturbed) and event.source != AMI]
    verdicts = cluster.verdicts("agreement", "views", "course", "healthy")
    assert {verdict.outcome for verdict in verdicts} <= {"passed", *(["unknown"] if disturbed else [])}


def test_every_node_is_measured_through_a_run(cluster: AsteriskCluster) -> None:
    """Both daemons of each, again and again, by the node's own clock."""
    since = len(cluster.journal.events)
    signal = Signal()
    cluster.journal.listen(lambda _event: signal.notify())

    def times() -> list[int]:
        measured = [event for event in cluster.journal.events[since:] if isinstance(event, Measured)]
        pairs = [(event.node, event.daemon) for event in measured]
        return [pairs.count((node, daemon)) for node in ("n1", "n2") for daemon in ("asterisk", "corosync")]

    assert signal.wait_until(lambda: min(times()) >= 2, Deadline(180)), times()
    first = next(
        event for event in cluster.journal.events if isinstance(event, Measured) and event.daemon == "asterisk"
    )
    assert first.memory_kb > 10_000
    assert min(first.cpu_s, first.descriptors, first.threads, first.process) > 0


def test_asterisk_that_crashes_fails_the_run_and_nobody_else_is_blamed(cluster: AsteriskCluster) -> None:
    since = len(cluster.journal.events)
    cluster.exec("n2", "kill -SEGV $(cat /etc/service/asterisk/supervise/pid)")
    crash = await_event(cluster, Gone, since)
    assert isinstance(crash, Gone)
    assert (crash.node, crash.what, crash.how, crash.whole) == ("n2", BY_ITSELF, "signal 11", False)
    cluster.settle()
    assert [event.node for event in cluster.journal.events[since:] if isinstance(event, Back)] == ["n2"]
    cluster.set_state("n2", "mystate", "BUSY")
    cluster.settle()
    course, healthy = cluster.verdicts("course", "healthy")
    disturbed = any(isinstance(event, Disturbed) for event in cluster.journal.events)
    assert course.outcome in ("passed", *(["unknown"] if disturbed else [])), cluster.tell()
    assert healthy.outcome == "failed"
    assert [finding.text.partition(" s: ")[2] for finding in healthy.findings if not finding.doubt] == [
        "Asterisk on n2 ended by itself (signal 11)"
    ]
    # A ghost that the crash leaves on n1 is the cluster's own fault, which comes and goes: no_ghosts is not held here.
    not_to_blame = ("agreement", "truth", "views", "bounded_delay", "calls")
    assert "failed" not in [outcomes(cluster)[check] for check in not_to_blame], cluster.tell()
    assert any("n2 gone (by itself: signal 11)" in line for line in cluster.tell())


def test_daemons_that_crash_leave_their_core_in_the_folder_of_the_run(tmp_path: Path) -> None:
    engine = engines.connect()
    pattern = engine.probe(references(find_stack("22"), Options()).phone, "cat /proc/sys/kernel/core_pattern").strip()
    with AsteriskCluster(nodes=2, history=tmp_path / "history.jsonl") as cluster:
        since = len(cluster.journal.events)
        cluster.exec("n1", "kill -SEGV $(cat /etc/service/asterisk/supervise/pid)")
        await_event(cluster, Gone, since)
        cluster.exec("n2", "kill -SEGV $(cat /etc/service/corosync/supervise/pid)")
        cluster.settle()
    cores = {event.node: event for event in cluster.journal.events if isinstance(event, Core)}
    if pattern.startswith(("|", "/")):
        assert pattern[1:].split(" ")[0] in cores["n1"].lacking
        return
    for node, name in (("n1", "asterisk"), ("n2", "corosync")):
        assert cores[node].files == (f"{node}.{name}.core.gz",), cores
        with gzip.open(tmp_path / cores[node].files[0]) as core:
            assert core.read(18)[:4] == b"\x7fELF"


def test_corosync_that_crashes_is_told_too(cluster: AsteriskCluster) -> None:
    since = len(cluster.journal.events)
    cluster.exec("n1", "kill -SEGV $(cat /etc/service/corosync/supervise/pid)")
    cluster.settle()
    findings = [finding for finding in cluster.verdicts("healthy")[0].findings if "Corosync" in finding.text]
    assert [(finding.nodes, finding.doubt) for finding in findings] == [(("n1",), "")], cluster.journal.events[since:]


def test_node_that_ends_by_itself_is_gone_until_its_container_runs_again(cluster: AsteriskCluster) -> None:
    since = len(cluster.journal.events)
    cluster.live_lab.engine._api.kill(cluster.container_of("n2"))
    crash = await_event(cluster, Gone, since)
    assert isinstance(crash, Gone)
    assert crash.whole
    cluster.settle()
    assert cluster.live == ("n1",)
    cluster.start_node("n2")
    assert cluster.live == ("n1", "n2")
