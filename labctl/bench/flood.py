"""How many changes a second a cluster takes until its nodes learn of them late."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field

from labctl.asterisk.output import Message
from labctl.cluster.connections import Cluster
from labctl.cluster.proof import CONTEXT
from labctl.timing import Deadline, Signal, pass_time, percentile

LATE_MS = 250.0
"""A change that another node learns of after so long is late: by then a phone has rung."""

FIRST_RATE, MOST_RATE = 20.0, 1280.0
FOR_S, AFTER_S = 2.0, 2.0
"""For how long changes are made at one rate, and how long they may take to be told of after the last."""

STATES = ("INUSE", "NOT_INUSE")


@dataclass
class _Flood:
    """Who has told of how many changes of each node's device, and when; one at a time, so that they come in order."""

    told_s: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    signal: Signal = field(default_factory=Signal)

    def heard(self, node: str, at_s: float, message: Message) -> None:
        """An event of a node."""
        if message.get("Event") == "ExtensionStatus" and message.get("Context") == CONTEXT:
            self.told_s[node, message["Exten"]].append(at_s)
            self.signal.notify()


def most_changes_s(cluster: Cluster) -> float:
    """The highest rate, doubled from FIRST_RATE on, at which 99 of a hundred changes are told of everywhere within
    LATE_MS; 0 where that is none. All nodes make changes in turn, each of the device that the proof has for it."""
    flood = _Flood()
    cluster.listen(flood.heard)
    held, rate = 0.0, FIRST_RATE
    while rate <= MOST_RATE and _in_time(cluster, flood, rate):
        held, rate = rate, rate * 2
    return held


def _in_time(cluster: Cluster, flood: _Flood, rate: float) -> bool:
    """Whether changes at so many a second are told of in time."""
    nodes = [node.name for node in cluster.started]
    rounds = max(1, round(rate * FOR_S / len(nodes) / 2)) * 2  # each there and back: all are at rest in the end
    flood.told_s.clear()
    sent_s: dict[str, list[float]] = defaultdict(list)
    began_s = time.monotonic()
    actions = []
    for number in range(rounds * len(nodes)):
        pass_time(began_s + number / rate - time.monotonic())
        node = nodes[number % len(nodes)]
        sent_s[node].append(time.monotonic())
        actions.append((node, cluster.set_device(node, f"Custom:proof-{node}", STATES[number // len(nodes) % 2])))
    pairs = [
        (other.name, node)
        for node in nodes
        for other in cluster.lab.cluster_of(node)
        if other.name != node and other in cluster.started
    ]
    awaited = list(pairs)

    def all_told() -> bool:
        while awaited and len(flood.told_s[awaited[-1][0], f"proof-{awaited[-1][1]}"]) >= len(sent_s[awaited[-1][1]]):
            awaited.pop()
        return not awaited

    flood.signal.wait_until(all_told, Deadline(AFTER_S))
    for node, action in actions:
        cluster.connection(node).answer(action)
    return _late_ms(flood, sent_s, pairs) <= LATE_MS


def _late_ms(flood: _Flood, sent_s: dict[str, list[float]], pairs: list[tuple[str, str]]) -> float:
    """The delay that 99 of a hundred changes keep; for ever where one was not told of."""
    delays_ms: list[float] = []
    for observer, node in pairs:
        told_s = flood.told_s[observer, f"proof-{node}"]
        if len(told_s) < len(sent_s[node]):
            return float("inf")
        delays_ms += [(told - sent) * 1000 for sent, told in zip(sent_s[node], told_s, strict=False)]
    return percentile(delays_ms, 99) if delays_ms else 0.0
