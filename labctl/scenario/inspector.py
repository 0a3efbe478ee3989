"""Looks at all of a live lab at once: what every node and every phone says at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from labctl.asterisk import output
from labctl.blueprint.running_lab import Running
from labctl.cluster.connections import LAB_CONTEXT, Cluster
from labctl.cluster.node_tools import ask_tools, numbered
from labctl.corosync import membership
from labctl.engine.client import Engine
from labctl.faults.model import SIP
from labctl.history.events import Looked
from labctl.history.journal import Journal
from labctl.names import container_name
from labctl.scenario.rings import Rings

TRIES = 3
"""How often a node's tool is asked that prints nothing, and how often all is looked at while rings change."""

Texts = tuple[str, ...]
"""What Corosync's tool, the module's list of members and `core show hints` print on a node."""


class Inspector:
    """Asks the nodes of a lab, by their own tools and over the connections to them."""

    def __init__(self, engine: Engine, running: Running, cluster: Cluster, rings: Rings, journal: Journal) -> None:
        self._engine = engine
        self._running = running
        self._cluster = cluster
        self._rings = rings
        self._journal = journal

    def look(self, nodes: Sequence[str], lamps: dict[str, tuple[int, int]]) -> Looked:
        """All that these nodes say, with what phones were told of their mailboxes.

        It is of one moment: where a ring changes meanwhile, all is asked again. A node whose tool prints nothing is
        asked again too; what it does not answer at all is empty.
        """
        for _ in range(TRIES):
            before = self._known_rings(nodes)
            look = self._look(nodes, lamps)
            if self._known_rings(nodes) == before:
                break
        return look

    def _known_rings(self, nodes: Sequence[str]) -> dict[str, tuple[str, ...]]:
        return {node: self._rings.known(node) for node in nodes}

    def _look(self, nodes: Sequence[str], lamps: dict[str, tuple[int, int]]) -> Looked:
        with ThreadPoolExecutor(max_workers=len(nodes) or 1) as pool:
            texts = dict(zip(nodes, pool.map(self._ask, nodes), strict=True))
            rows = self._cluster.states(nodes)
        return Looked(
            at_s=self._journal.now_s(),
            states={node: {row.extension: row.states[node] for row in rows if node in row.states} for node in nodes},
            rings={node: self._ring(node, ring) for node, (ring, _, _) in texts.items()},
            members={node: self._members(members) for node, (_, members, _) in texts.items()},
            hints={node: _hints(text) for node, (_, _, text) in texts.items()},
            kept=self.kept(nodes),
            lamps=lamps,
        )

    def kept(self, nodes: Sequence[str]) -> dict[str, tuple[int, int]]:
        """What each mailbox that one of these nodes keeps holds: new and old messages."""
        mailboxes = [mailbox for mailbox in self._running.lab.mailboxes if mailbox.node in nodes]
        connections = {mailbox.number: self._cluster.connection(mailbox.node) for mailbox in mailboxes}
        asked = {
            number: connection.send("MailboxCount", Mailbox=f"{number}@default")
            for number, connection in connections.items()
        }
        answers = {number: connections[number].answer(sent) for number, sent in asked.items()}
        return {number: (int(answer["NewMessages"]), int(answer["OldMessages"])) for number, answer in answers.items()}

    def _ask(self, node: str) -> Texts:
        container = container_name(self._running.lab.name, node)
        for _ in range(TRIES):
            texts = ask_tools(self._engine, self._running, container, output.HINTS_COMMAND)
            if self._answered(texts):
                break
        return texts

    def _answered(self, texts: Texts) -> bool:
        """Whether both Corosync and Asterisk have said something of what they were asked."""
        ring, _, hints = texts
        has_ring = bool(membership.parse_ring(ring, self._running.ring_numbers).members)
        return (has_ring or not self._running.lab.rings) and bool(hints.strip())

    def _ring(self, node: str, text: str) -> tuple[str, ...]:
        """Who is in a node's ring; where there are none, who hears it by the faults in force."""
        if self._running.lab.rings:
            return self._rings.names(membership.parse_ring(text, self._running.ring_numbers).members)
        return (self._rings.expected(SIP) or {}).get(node, (node,))

    def _members(self, text: str) -> tuple[str, ...]:
        numbers = numbered(output.parse_members(text), self._running.ring_numbers)
        return self._rings.names(int(number) for number in numbers)


def _hints(text: str) -> dict[str, str]:
    return {hint.extension: hint.state for hint in output.parse_hints(text) if hint.context == LAB_CONTEXT}
