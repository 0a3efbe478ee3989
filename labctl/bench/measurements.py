"""What a running lab takes: how long a change is on its way, what goes over the wire for it, and memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from labctl.asterisk.output import Message
from labctl.blueprint.owner import Owner, OwnerKind
from labctl.cluster import lifecycle as labs
from labctl.cluster.connections import LAB_CONTEXT, Cluster
from labctl.engine.client import Engine
from labctl.errors import NotReady
from labctl.images.builder import Options
from labctl.lab import Lab
from labctl.names import container_name
from labctl.progress import Silent
from labctl.stack.model import Stack
from labctl.timing import Deadline, Signal

CHANGE_S = 10.0
"""How long a change may take to be seen everywhere before that is an error; it takes milliseconds."""

_COUNTERS = "cat /sys/class/net/eth0/statistics/tx_packets /sys/class/net/eth0/statistics/tx_bytes"
_SIZES = 'awk "/^(VmRSS|RssAnon)/ {print \\$2}" /proc/$(cat /etc/service/%s/supervise/pid)/status'


@contextmanager
def fresh_cluster(
    engine: Engine, lab: Lab, stack: Stack, options: Options, timeout_s: float, kind: OwnerKind = "bench"
) -> Iterator[Cluster]:
    """Connections to a lab that nobody has used, proven ready; it is taken away, however this ends.

    Raises UsageError where a lab of that name is there that another than `kind` made.
    """
    owner = Owner.current(kind)
    labs.clear_way(engine, lab.name, owner)
    try:
        labs.up(engine, lab, stack, options, timeout_s, Silent(), owner=owner)
        with Cluster(engine, labs.load(engine, lab.name)) as cluster:
            cluster.open()
            cluster.await_ready(Deadline(timeout_s))
            yield cluster
    finally:
        labs.down(engine, lab.name, Silent())


@dataclass(frozen=True)
class Sent:
    """What all nodes of a lab have sent together, in a time."""

    packets: int
    bytes: int
    at_s: float


@dataclass(frozen=True)
class Memory:
    """Of a daemon, in MB (10^6 bytes): all that is resident, and of that what is no file's."""

    resident_mb: float
    anonymous_mb: float


def propagation(cluster: Cluster, device: str, changes: int) -> dict[str, list[float]]:
    """From sending a change to the first node until each node's AMI tells of it, in milliseconds, one after the other.

    Raises NotReady where one does not arrive.
    """
    nodes = [node.name for node in cluster.lab.cluster_of(cluster.lab.nodes[0].name)]
    arrived_s: dict[str, float] = {}
    signal = Signal()

    def listen(node: str, at_s: float, message: Message) -> None:
        subject = (message.get("Event"), message.get("Context"), message.get("Exten"))
        if subject == ("ExtensionStatus", LAB_CONTEXT, device):
            arrived_s[node] = at_s
            signal.notify()

    cluster.listen(listen)
    delays: dict[str, list[float]] = {node: [] for node in nodes}
    for number in range(changes):
        arrived_s.clear()
        start_s = time.monotonic()
        answer = cluster.set_device(nodes[0], f"Custom:{device}", ("INUSE", "NOT_INUSE")[number % 2])
        if not signal.wait_until(lambda: len(arrived_s) == len(nodes), Deadline(CHANGE_S)):
            missing = {node: [f"did not tell of change {number}"] for node in set(nodes) - set(arrived_s)}
            raise cluster.not_ready(f"a change did not arrive within {CHANGE_S:g} s", missing)
        cluster.connection(nodes[0]).answer(answer)
        for node in nodes:
            delays[node].append((arrived_s[node] - start_s) * 1000)
    return delays


def sent(engine: Engine, lab: Lab) -> Sent:
    """What the nodes of a lab have sent so far; nothing but the lab's own traffic is on its network."""
    containers = [container_name(lab.name, node.name) for node in lab.nodes]
    counters = [engine.run(container, ["sh", "-c", _COUNTERS]).text.split() for container in containers]
    packets, octets = (sum(int(of_node[column]) for of_node in counters) for column in (0, 1))
    return Sent(packets, octets, time.monotonic())


def during(seconds: float) -> None:
    """Let a lab be, for as long as something is to be counted."""
    Signal().wait_beyond(0, Deadline(seconds))


def memory(engine: Engine, lab: Lab, node: str, daemon: str) -> Memory:
    """What a daemon of a node takes (/proc/PID/status, VmRSS and RssAnon; the latter since Linux 4.5).

    Raises NotReady where it does not run.
    """
    sizes_kib = engine.run(container_name(lab.name, node), ["sh", "-c", _SIZES % daemon]).text.split()
    if len(sizes_kib) != 2 or not all(size.isdigit() for size in sizes_kib):
        raise NotReady(f"{daemon} of {node} does not run", {node: [f"no {daemon}"]}, "labctl logs tells why")
    resident, anonymous = (int(size) * 1024 / 1e6 for size in sizes_kib)
    return Memory(round(resident, 1), round(anonymous, 1))
