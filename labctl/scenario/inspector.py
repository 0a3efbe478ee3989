"""Looks at all of a live lab at once: what every node and every phone says at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from labctl.blueprint.running_lab import Running
from labctl.cluster.connections import LAB_CONTEXT, Cluster
from labctl.cluster.node_tools import ToolAnswers, ask_tools
from labctl.cluster.views import UNKNOWN
from labctl.corosync.membership import Membership
from labctl.engine.client import Engine
from labctl.faults.model import SIP
from labctl.history.events import Looked
from labctl.history.journal import Journal
from labctl.scenario.rings import Rings

TRIES = 3
"""How often all is looked at while rings change."""


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
        asked again too (node_tools.ask_tools); what it does not answer at all is left out.
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
            answers = dict(zip(nodes, pool.map(self._ask, nodes), strict=True))
            rows = self._cluster.states(nodes)
        states = {
            node: {row.extension: row.states[node] for row in rows if row.states.get(node, UNKNOWN) != UNKNOWN}
            for node in nodes
        }
        return Looked(
            at_s=self._journal.now_s(),
            states={node: of_node for node, of_node in states.items() if of_node or not rows},
            rings={node: self._ring(node, answer.ring) for node, answer in answers.items() if answer.ring is not None},
            members={
                node: self._rings.names(int(member) for member in answer.members)
                for node, answer in answers.items()
                if answer.members is not None
            },
            hints={node: dict(answer.hints) for node, answer in answers.items() if answer.hints is not None},
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

    def _ask(self, node: str) -> ToolAnswers:
        return ask_tools(self._engine, self._running, node, LAB_CONTEXT)

    def _ring(self, node: str, ring: Membership) -> tuple[str, ...]:
        """Who is in a node's ring; where there are none, who hears it by the faults in force."""
        if self._running.lab.rings:
            return self._rings.names(ring.members)
        return (self._rings.expected(SIP) or {}).get(node, (node,))
