"""Looks at all of a live lab at once: what every node and every phone says at one moment."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.blueprint.running_lab import Running
from labctl.cluster.connections import LAB_CONTEXT, Cluster
from labctl.cluster.node_tools import ToolAnswers, ask_tools
from labctl.cluster.views import UNKNOWN
from labctl.corosync.membership import Membership
from labctl.engine.client import Engine
from labctl.faults.model import SIP
from labctl.history.events import Looked, Seen
from labctl.history.journal import Journal
from labctl.lab import Mailbox
from labctl.scenario.rings import Rings
from labctl.timing import LookPool

TRIES = 3
"""How often all is looked at while rings change, or nodes tell of new states."""


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

        It is of one moment: where a ring changes or a node tells a new state meanwhile, all is asked again. A node
        whose tool prints nothing is asked again too (node_tools.ask_tools); what it does not answer at all is left out.
        """
        for _ in range(TRIES):
            rings, told = self._known_rings(nodes), len(self._journal.events)
            look = self._look(nodes, lamps)
            news = any(isinstance(event, Seen) for event in self._journal.events[told:])
            if self._known_rings(nodes) == rings and not news:
                break
        return look

    def _known_rings(self, nodes: Sequence[str]) -> dict[str, tuple[str, ...]]:
        return {node: self._rings.known(node) for node in nodes}

    def _look(self, nodes: Sequence[str], lamps: dict[str, tuple[int, int]]) -> Looked:
        began_s = self._journal.now_s()
        with LookPool(max_workers=len(nodes) or 1) as pool:
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
            copies=self.copies(nodes),
            lamps=lamps,
            began_s=began_s,
        )

    def kept(self, nodes: Sequence[str]) -> dict[str, tuple[int, int]]:
        """What each mailbox that one of these nodes keeps holds: new and old messages. Copies are left out."""
        lab = self._running.lab
        boxes = [box for box in map(lab.mailbox, lab.mailbox_numbers) if box.node in nodes]
        return {box.number: count for box, count in self._count(boxes)}

    def copies(self, nodes: Sequence[str]) -> dict[str, dict[str, tuple[int, int]]]:
        """Node -> mailbox -> what a copy of it holds that one of these nodes stores."""
        lab = self._running.lab
        boxes = [box for box in lab.mailboxes if box.node in nodes and box != lab.mailbox(box.number)]
        counts: dict[str, dict[str, tuple[int, int]]] = {}
        for box, count in self._count(boxes):
            counts.setdefault(box.node, {})[box.number] = count
        return counts

    def _count(self, boxes: Sequence[Mailbox]) -> list[tuple[Mailbox, tuple[int, int]]]:
        """New and old messages of mailboxes, all asked for at once."""
        connections = [self._cluster.connection(box.node) for box in boxes]
        asked = [
            connection.send("MailboxCount", Mailbox=f"{box.number}@default")
            for box, connection in zip(boxes, connections, strict=True)
        ]
        answers = [connection.answer(sent) for connection, sent in zip(connections, asked, strict=True)]
        counts = [(int(answer["NewMessages"]), int(answer["OldMessages"])) for answer in answers]
        return list(zip(boxes, counts, strict=True))

    def _ask(self, node: str) -> ToolAnswers:
        return ask_tools(self._engine, self._running, node, LAB_CONTEXT)

    def _ring(self, node: str, ring: Membership) -> tuple[str, ...]:
        """Who is in a node's ring; where there are none, who hears it by the faults in force."""
        if self._running.lab.rings:
            return self._rings.names(ring.members)
        return (self._rings.expected(SIP) or {}).get(node, (node,))
