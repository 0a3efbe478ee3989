"""Proof that a lab does what it is for: a change on each node is seen on every other, and sites find each other."""

from __future__ import annotations

import threading
import time

from labctl.asterisk import dundi, output
from labctl.asterisk.output import Message
from labctl.cluster.connections import Cluster
from labctl.cluster.views import Crossing, Route
from labctl.errors import LabError
from labctl.timing import Deadline, Signal

CONTEXT = "proof"
ROUND_S = 1.0
ASK_AGAIN_S = 0.1
_STATUS = {"INUSE": "1", "NOT_INUSE": "0"}


class Proof:
    """Listens to the nodes of a lab, and makes changes that they must tell of."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lab = cluster.lab
        self._signal = Signal()
        self._lock = threading.Lock()
        self._told: dict[tuple[str, str], tuple[str, float]] = {}
        cluster.listen(self._heard)

    def _heard(self, node: str, at_s: float, message: Message) -> None:
        if message.get("Event") == "ExtensionStatus" and message.get("Context") == CONTEXT:
            with self._lock:
                self._told[node, message["Exten"]] = (message["Status"], at_s)
            self._signal.notify()

    # State crosses

    def crossings(self, deadline: Deadline) -> list[Crossing]:
        """Change a device's state on every node, there and back, and see each change on every other of its cluster.

        Returns the crossings of the first change; their delay is from sending it to the origin to hearing
        of it from the observer. Raises NotReady at the deadline, with who did not see whom.
        """
        if "device_state" not in self._lab.share:
            return []
        names = [node.name for node in self._lab.nodes]
        asked = {
            name: self._cluster.connection(name).send("ExtensionState", Exten=f"proof-{name}", Context=CONTEXT)
            for name in names
        }
        idle = {name: self._is_idle(name, number) for name, number in asked.items()}
        crossings = self._prove({name: "INUSE" if idle[name] else "NOT_INUSE" for name in names}, deadline)
        self._prove({name: "NOT_INUSE" for name in names if idle[name]}, deadline)
        return crossings

    def _is_idle(self, node: str, number: str) -> bool:
        try:
            return output.extension_state(self._cluster.connection(node).answer(number)["Status"]) == "Idle"
        except LabError:
            return False

    def _prove(self, values: dict[str, str], deadline: Deadline) -> list[Crossing]:
        """Make the changes, again if they do not arrive within ROUND_S: what a node says while its ring synchronises
        is lost (cpg_mcast_joined(3), CS_ERR_TRY_AGAIN), and is not said again."""
        while True:
            crossings, unseen = self._change(values, Deadline(min(ROUND_S, deadline.left_s)))
            if not unseen:
                return crossings
            if deadline.passed:
                missing: dict[str, list[str]] = {}
                for observer, origin in unseen:
                    missing.setdefault(observer, []).append(f"did not see the change made on {origin}")
                raise self._cluster.not_ready(f"state does not cross after {deadline.timeout_s:g} s", missing)
            back = {name: "INUSE" if value == "NOT_INUSE" else "NOT_INUSE" for name, value in values.items()}
            self._change(back, Deadline(min(ROUND_S, deadline.left_s)))

    def _change(self, values: dict[str, str], deadline: Deadline) -> tuple[list[Crossing], list[tuple[str, str]]]:
        """Set the proof devices of nodes; what was seen, and which (observer, origin) was not."""
        pairs = [
            (other.name, origin) for origin in values for other in self._lab.cluster_of(origin) if other.name != origin
        ]
        sent_s: dict[str, float] = {}
        numbers: dict[str, str] = {}
        for origin, value in values.items():
            sent_s[origin] = time.monotonic()
            numbers[origin] = self._cluster.set_device(origin, f"Custom:proof-{origin}", value)

        def unseen() -> list[tuple[str, str]]:
            with self._lock:
                return [
                    (observer, origin)
                    for observer, origin in pairs
                    if self._told.get((observer, f"proof-{origin}"), ("", 0.0))[0] != _STATUS[values[origin]]
                ]

        self._signal.wait_until(lambda: not unseen(), deadline)
        for origin, number in numbers.items():
            self._cluster.connection(origin).answer(number)
        left = unseen()
        crossings = [
            Crossing(origin, observer, (self._told[observer, f"proof-{origin}"][1] - sent_s[origin]) * 1000)
            for observer, origin in pairs
            if (observer, origin) not in left
        ]
        return crossings, left

    # Sites find each other

    def routes(self, deadline: Deadline) -> list[Route]:
        """Have the first node of each site ask each other site for the way to a phone there.

        Raises NotReady at the deadline, with who did not find what.
        """
        askers = {site: next(node.name for node in self._lab.nodes if node.site == site) for site in self._lab.sites}
        wanted = [
            (asker, phones[0].extension)
            for site, asker in askers.items()
            for other in self._lab.sites
            if other != site and (phones := self._lab.phones_at(other))
        ]
        return [self._route(asker, number, deadline) for asker, number in wanted]

    def _route(self, asker: str, number: str, deadline: Deadline) -> Route:
        while True:
            began_s = time.monotonic()
            answers = self._cluster.ask(asker, number, dundi.ROUTE)
            if answers:
                return Route(asker, number, answers[0].destination, (time.monotonic() - began_s) * 1000)
            if deadline.passed:
                missing = {asker: [f"finds no way to {number} by DUNDi"]}
                raise self._cluster.not_ready(
                    f"the sites do not find each other after {deadline.timeout_s:g} s", missing
                )
            self._signal.wait_beyond(self._signal.count, Deadline(min(ASK_AGAIN_S, deadline.left_s)))
