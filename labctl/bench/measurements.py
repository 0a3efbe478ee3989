"""What a running lab takes: how long a change is on its way, what goes over the wire for it, and memory."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from labctl.asterisk.output import Message
from labctl.blueprint.owner import Owner, OwnerKind
from labctl.cluster import lifecycle as labs
from labctl.cluster.connections import LAB_CONTEXT, Cluster
from labctl.cluster.daemon_figures import MeterAnswer, NodeMeter
from labctl.engine.client import Engine
from labctl.errors import LabError, NotReady
from labctl.images.builder import Options
from labctl.lab import Lab
from labctl.names import container_name
from labctl.progress import Silent
from labctl.stack.model import Stack
from labctl.timing import Deadline, Signal, pass_time

CHANGE_S = 10.0
"""How long a change may take to be seen everywhere before that is an error; it takes milliseconds."""

REST_S = 3.0
"""For how long what is taken at rest is counted."""

ASKED_AT_ONCE, ASKED_TIMES = 8, 3

_COUNTERS = "cat /sys/class/net/eth0/statistics/tx_packets /sys/class/net/eth0/statistics/tx_bytes"
_SIZES = 'awk "/^(VmRSS|RssAnon)/ {print \\$2}" /proc/$(cat /etc/service/%s/supervise/pid)/status'


@contextmanager
def fresh_cluster(
    engine: Engine,
    lab: Lab,
    stack: Stack,
    options: Options,
    timeout_s: float,
    kind: OwnerKind = "bench",
    proven: Callable[[float], None] = lambda _: None,
) -> Iterator[Cluster]:
    """Connections to a lab that nobody has used, proven ready; it is taken away, however this ends.

    `proven` is told how many seconds it took until it was. Raises UsageError where a lab of that name is there that
    another than `kind` made.
    """
    owner = Owner.current(kind)
    labs.clear_way(engine, lab.name, owner)
    try:
        began_s = time.monotonic()
        labs.up(engine, lab, stack, options, timeout_s, Silent(), owner=owner)
        proven(time.monotonic() - began_s)
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
class Traffic:
    """How long changes were on their way from the first node to each other, in ms; what all nodes together sent a
    second while nothing changed, and for one change beyond that."""

    delays_ms: list[float]
    packets_s: float
    bytes_s: float
    packets_change: float
    bytes_change: float


@dataclass(frozen=True)
class Taken:
    """What a daemon of a node takes: resident memory in MB (10^6 bytes), and of one CPU at rest."""

    memory_mb: float
    cpu_percent: float


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


def traffic(engine: Engine, cluster: Cluster, device: str, changes: int) -> Traffic:
    """What the nodes send while nothing changes, and for changes of a device. Raises NotReady where one is lost."""
    lab = cluster.lab
    before = sent(engine, lab)
    pass_time(REST_S)
    rest = sent(engine, lab)
    seconds = rest.at_s - before.at_s
    packets_s, bytes_s = (rest.packets - before.packets) / seconds, (rest.bytes - before.bytes) / seconds
    delays = propagation(cluster, device, changes)
    after = sent(engine, lab)
    idle_s = after.at_s - rest.at_s
    return Traffic(
        [delay for node, of_node in delays.items() if node != lab.nodes[0].name for delay in of_node],
        packets_s,
        bytes_s,
        max(0.0, after.packets - rest.packets - packets_s * idle_s) / changes,
        max(0.0, after.bytes - rest.bytes - bytes_s * idle_s) / changes,
    )


def sent(engine: Engine, lab: Lab) -> Sent:
    """What the nodes of a lab have sent so far; nothing but the lab's own traffic is on its network."""
    containers = [container_name(lab.name, node.name) for node in lab.nodes]
    with ThreadPoolExecutor(max_workers=ASKED_AT_ONCE) as pool:
        counters = list(pool.map(lambda name: _counters(engine, name), containers))
    packets, octets = (sum(of_node[column] for of_node in counters) for column in (0, 1))
    return Sent(packets, octets, time.monotonic())


def _counters(engine: Engine, container: str) -> tuple[int, int]:
    """The packets and bytes that a node has sent. Raises LabError where it does not say."""
    for _ in range(ASKED_TIMES):  # a command may print nothing where the machine is busy
        numbers = engine.run(container, ["sh", "-c", _COUNTERS]).text.split()
        if len(numbers) == 2 and all(number.isdigit() for number in numbers):
            return int(numbers[0]), int(numbers[1])
    raise LabError(f"{container} does not say what it has sent", "labctl ps tells how it is")


def memory(engine: Engine, lab: Lab, node: str, daemon: str) -> Memory:
    """What a daemon of a node takes (/proc/PID/status, VmRSS and RssAnon; the latter since Linux 4.5).

    Raises NotReady where it does not run.
    """
    sizes_kib = engine.run(container_name(lab.name, node), ["sh", "-c", _SIZES % daemon]).text.split()
    if len(sizes_kib) != 2 or not all(size.isdigit() for size in sizes_kib):
        raise NotReady(f"{daemon} of {node} does not run", {node: [f"no {daemon}"]}, "labctl logs tells why")
    resident, anonymous = (int(size) * 1024 / 1e6 for size in sizes_kib)
    return Memory(round(resident, 1), round(anonymous, 1))


def daemons(engine: Engine, lab: Lab, nodes: Sequence[str]) -> list[dict[str, Taken]]:
    """What the daemons of each of these nodes take at rest, by the daemon's name. Raises LabctlError."""
    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        return list(pool.map(lambda node: _taken(engine, container_name(lab.name, node)), nodes))


def _taken(engine: Engine, container: str) -> dict[str, Taken]:
    answered: queue.Queue[MeterAnswer] = queue.Queue()
    meter = NodeMeter(engine, container, answered.put)
    reader = threading.Thread(target=meter.read, daemon=True)
    reader.start()
    try:
        meter.ask()
        before = {figures.daemon: figures for figures in answered.get(timeout=CHANGE_S).figures}
        pass_time(REST_S)
        meter.ask()
        after = answered.get(timeout=CHANGE_S).figures
    except (OSError, queue.Empty):
        raise LabError(f"{container} does not say what its daemons take") from None
    finally:
        meter.close()
        reader.join()
    return {
        now.daemon: Taken(now.memory_kb * 1024 / 1e6, (now.cpu_s - was.cpu_s) / (now.clock_s - was.clock_s) * 100)
        for now in after
        if (was := before.get(now.daemon)) and now.clock_s > was.clock_s
    }
