"""Proof that a lab does what it is for: a change on each node is seen on every other, and sites find each other."""

from __future__ import annotations

import collections
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from labctl.asterisk import dundi
from labctl.asterisk.output import Message
from labctl.cluster.connections import Cluster
from labctl.cluster.readiness import Restart
from labctl.cluster.views import Crossing, Route
from labctl.errors import LabError
from labctl.timing import Deadline, Signal

CONTEXT = "proof"
"""The dialplan context of the hints that the proof changes (extensions.conf.j2)."""

ROUND_S, PAIR_S = 1.0, 0.002
"""How long a round may take, and how much longer for each pair of nodes: each tells of each other's change."""

ASK_AGAIN_S = 0.1
REST = "NOT_INUSE"
STATUS = {"INUSE": "1", "BUSY": "2", "UNAVAILABLE": "4", "RINGING": "8", "ONHOLD": "16", REST: "0"}
"""Device states and the AMI `Status` of their hint (asterisk.output.EXTENSION_STATES): one round of the proof takes
another than the round before, so that a late answer to that one proves nothing."""


class Proof:
    """Listens to the nodes of a lab, and makes changes that they must tell of.

    mend: restarts the Asterisk of a node that nobody hears, round after round, whose log says that its module sends
    nothing; once a node (`labctl findings show members-asked-at-once`).
    """

    def __init__(self, cluster: Cluster, mend: Restart | None = None) -> None:
        self._cluster = cluster
        self._mend = mend
        self._mended: set[str] = set()
        self._lab = cluster.lab
        self._signal = Signal()
        self._lock = threading.Lock()
        self._events: dict[tuple[str, str], list[tuple[str, float]]] = {}
        cluster.listen(self._heard)

    def _heard(self, node: str, at_s: float, message: Message) -> None:
        if message.get("Event") == "ExtensionStatus" and message.get("Context") == CONTEXT:
            with self._lock:
                self._events.setdefault((node, message["Exten"]), []).append((message["Status"], at_s))
            self._signal.notify()

    def all(self, deadline: Deadline) -> tuple[list[Crossing], list[Route]]:
        """Prove that state crosses, and that the sites find each other where there are any. Raises NotReady."""
        crossings = self.crossings(deadline)
        return crossings, self.routes(deadline) if self._lab.sites else []

    # State crosses

    def crossings(self, deadline: Deadline) -> list[Crossing]:
        """Change a device's state on every node, there and back, and see each change on every other of its cluster.

        Returns the crossings of the first change, each with the round in which all of them were seen; their delay is
        from sending it to the origin to hearing of it from the observer. Raises NotReady at the deadline, with who did
        not see whom.
        """
        if "device_state" not in self._lab.share:
            return []
        states = self._changing_states()
        rounds = itertools.count()

        def next_states() -> dict[str, str]:
            number = next(rounds)
            return {origin: choice[number % len(choice)] for origin, choice in states.items()}

        crossings = self._prove(next_states, deadline)
        rest = dict.fromkeys(states, REST)
        first_time = True

        def at_rest() -> dict[str, str]:
            nonlocal first_time
            if not first_time:  # what is at rest already tells of no change: another first
                self._change(next_states(), self._round(deadline))
            first_time = False
            return rest

        self._prove(at_rest, deadline)
        return crossings

    def _changing_states(self) -> dict[str, list[str]]:
        """Each node, and the states that its device may take one after the other: the first is another than it has."""
        names = [node.name for node in self._cluster.started]
        actions = {
            name: self._cluster.connection(name).send("ExtensionState", Exten=f"proof-{name}", Context=CONTEXT)
            for name in names
        }
        now = {name: self._status(name, action) for name, action in actions.items()}
        return {
            name: [state for state, status in STATUS.items() if state != REST and status != now[name]] for name in names
        }

    def _status(self, node: str, action: str) -> str:
        try:
            return self._cluster.connection(node).answer(action)["Status"]
        except LabError:
            return ""

    def _prove(self, next_states: Callable[[], dict[str, str]], deadline: Deadline) -> list[Crossing]:
        """Make changes, others if these do not arrive within a round: what a node says while its ring synchronises
        is lost (cpg_mcast_joined(3), CS_ERR_TRY_AGAIN), and is not said again."""
        unheard: set[str] = set()
        for number in itertools.count(1):
            crossings, missed = self._change(next_states(), self._round(deadline))
            if not missed:
                return [replace(crossing, round=number) for crossing in crossings]
            if deadline.passed:
                break
            before, unheard = unheard, {*self._unheard(missed)}
            self._mend_mute(before & unheard)
        raise self._cluster.not_ready(f"state does not cross after {deadline.timeout_s:g} s", self._told(missed))

    def _mend_mute(self, nodes: set[str]) -> None:
        """Restart those of the nodes that say themselves that they send nothing."""
        for node in sorted(nodes - self._mended):
            if self._mend and self._cluster.says_it_is_mute(node):
                self._mended.add(node)
                self._mend(node)

    def _unheard(self, missed: list[tuple[str, str]]) -> list[str]:
        """The nodes whose change none of the others told of, where (observer, origin) did not come."""
        here = {node.name for node in self._cluster.started}
        others = {name: {node.name for node in self._lab.cluster_of(name)} & here - {name} for name in here}
        deaf = {origin: {observer for observer, other in missed if other == origin} for _, origin in missed}
        return [origin for origin in deaf if deaf[origin] == others[origin]]

    def _told(self, missed: list[tuple[str, str]]) -> dict[str, list[str]]:
        """What is said of which node, where (observer, origin) did not come: of one that nobody heard, that alone."""
        deaf_to = collections.Counter(origin for _, origin in missed)
        unheard = [origin for origin in self._unheard(missed) if deaf_to[origin] > 1]
        told = {origin: ["no other node saw the change made on it"] for origin in unheard}
        for name in dict.fromkeys(observer for observer, _ in missed):
            unseen = [origin for observer, origin in missed if observer == name and origin not in unheard]
            if unseen:
                told.setdefault(name, []).append(f"did not see the change made on {', '.join(unseen)}")
        return told

    def _round(self, deadline: Deadline) -> Deadline:
        """Until when the changes of a round are waited for."""
        pairs = sum(len(self._lab.cluster_of(node.name)) - 1 for node in self._cluster.started)
        return Deadline(min(ROUND_S + PAIR_S * pairs, deadline.left_s))

    def _change(self, states: dict[str, str], deadline: Deadline) -> tuple[list[Crossing], list[tuple[str, str]]]:
        """Set the proof devices of nodes; the crossings, and which (observer, origin) there was none between."""
        pairs = [
            (other.name, origin)
            for origin in states
            for other in self._lab.cluster_of(origin)
            if other.name != origin and other in self._cluster.started
        ]
        sent_s: dict[str, float] = {}
        actions: dict[str, str] = {}
        for origin, state in states.items():
            sent_s[origin] = time.monotonic()
            actions[origin] = self._cluster.set_device(origin, f"Custom:proof-{origin}", state)

        def arrival_s(observer: str, origin: str) -> float | None:
            """When the observer told of this change: not of one that was sent before it."""
            with self._lock:
                events = self._events.get((observer, f"proof-{origin}"), [])
                arrivals = (at_s for status, at_s in events if status == STATUS[states[origin]])
                return next((at_s for at_s in arrivals if at_s >= sent_s[origin]), None)

        awaited = list(pairs)

        def all_have_told() -> bool:
            while awaited and arrival_s(*awaited[-1]) is not None:
                awaited.pop()  # each once: there are as many events as pairs, and each may be looked at after each
            return not awaited

        self._signal.wait_until(all_have_told, deadline)
        for origin, action in actions.items():
            self._cluster.connection(origin).answer(action)
        arrivals = {pair: arrival_s(*pair) for pair in pairs}
        crossings = [
            Crossing(origin, observer, (at_s - sent_s[origin]) * 1000)
            for (observer, origin), at_s in arrivals.items()
            if at_s is not None
        ]
        return crossings, [pair for pair, at_s in arrivals.items() if at_s is None]

    # Sites find each other

    def routes(self, deadline: Deadline) -> list[Route]:
        """Have the first node of each site ask each other site for the way to a phone there.

        Raises NotReady at the deadline, with who did not find what.
        """
        started = self._cluster.started
        askers = {node.site: node.name for node in reversed(started)}
        here = {node.name for node in started}
        wanted = [
            (asker, phones[0].extension)
            for site, asker in sorted(askers.items(), key=lambda pair: self._lab.sites.index(pair[0]))
            for other in self._lab.sites
            if other != site and (phones := [phone for phone in self._lab.phones_at(other) if phone.node in here])
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
