"""State and its aggregate on real nodes, as the manager interface of every node tells it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from labctl.cluster.connections import Cluster
from labctl.cluster.node_tools import ToolAnswers, ask_tools
from labctl.names import container_name
from labctl.timing import Deadline
from tests.e2e.conftest import LabUnderTest

pytestmark = pytest.mark.docker

ARRIVES_S = 60.0

SAFE_AGGREGATES = [
    (("NOT_INUSE", "INUSE"), "InUse"),
    (("NOT_INUSE", "RINGING"), "Ringing"),
    (("INUSE", "RINGING"), "InUse&Ringing"),
    (("ONHOLD", "RINGING"), "InUse&Ringing"),
    (("BUSY", "RINGING"), "InUse&Ringing"),
    (("NOT_INUSE", "ONHOLD"), "Hold"),
    (("INUSE", "ONHOLD"), "InUse"),
    (("NOT_INUSE", "UNAVAILABLE"), "Idle"),
]
"""What two nodes say of one device, and the aggregate that every version since 1.6.1 makes of it
(ast_devstate_aggregate_result in main/devicestate.c). DEVICE_STATE() refuses to set UNKNOWN, so the rows with it
cannot be made."""

SILENT = "INVALID"
"""The state that yields to every other in an aggregate."""


def say(cluster: Cluster, node: str, state: str) -> None:
    """Have a node say a state of the device `mystate`."""
    cluster.connection(node).answer(cluster.set_device(node, "Custom:mystate", state))


def calm(cluster: Cluster) -> None:
    """Have every node say that the device is not in use, and see that it arrived everywhere."""
    for node in cluster.lab.nodes:
        say(cluster, node.name, "NOT_INUSE")
    cluster.await_state("mystate", "Idle", Deadline(ARRIVES_S))


@pytest.mark.parametrize(
    ("device_state", "hint"),
    [("INUSE", "InUse"), ("RINGING", "Ringing"), ("BUSY", "Busy"), ("ONHOLD", "Hold"), ("UNAVAILABLE", "Unavailable")],
)
def test_state_set_on_node_1_is_seen_on_nodes_2_and_3(lab: LabUnderTest, device_state: str, hint: str) -> None:
    calm(lab.cluster)
    for node in ("n2", "n3"):
        say(lab.cluster, node, SILENT)
    say(lab.cluster, "n1", device_state)
    lab.cluster.await_state("mystate", hint, Deadline(ARRIVES_S))


@pytest.mark.parametrize(("said", "aggregate"), SAFE_AGGREGATES, ids=str)
@pytest.mark.parametrize("order", ["forth", "back"])
def test_every_node_shows_the_aggregate(lab: LabUnderTest, said: tuple[str, str], aggregate: str, order: str) -> None:
    for node in ("n1", "n2", "n3"):
        say(lab.cluster, node, SILENT)
    first, second = said if order == "forth" else reversed(said)
    say(lab.cluster, "n1", first)
    say(lab.cluster, "n2", second)
    lab.cluster.await_state("mystate", aggregate, Deadline(ARRIVES_S))


def test_state_of_one_node_stays_until_that_node_says_otherwise(lab: LabUnderTest) -> None:
    calm(lab.cluster)
    say(lab.cluster, "n1", "INUSE")
    lab.cluster.await_state("mystate", "InUse", Deadline(ARRIVES_S))
    say(lab.cluster, "n2", "RINGING")
    lab.cluster.await_state("mystate", "InUse&Ringing", Deadline(ARRIVES_S))
    say(lab.cluster, "n2", "NOT_INUSE")
    lab.cluster.await_state("mystate", "InUse", Deadline(ARRIVES_S))
    say(lab.cluster, "n1", "NOT_INUSE")
    lab.cluster.await_state("mystate", "Idle", Deadline(ARRIVES_S))


def test_whoever_looks_at_a_node_changes_nothing_however_many_look_at_once(lab: LabUnderTest) -> None:
    """Two questions at once break a cluster module's connection to Corosync: its node left the cluster for a moment."""
    lookers = 4

    def look(_: int) -> ToolAnswers:
        return ask_tools(lab.engine, lab.running, "n1")

    with ThreadPoolExecutor(max_workers=lookers) as pool:
        answers = list(pool.map(look, range(5 * lookers)))
    assert {answer.members and frozenset(answer.members) for answer in answers} == {frozenset({"1", "2", "3"})}
    log = lab.engine.logs(container_name(lab.running.lab.name, "n1"))
    assert "recover from corosync failure" not in log
