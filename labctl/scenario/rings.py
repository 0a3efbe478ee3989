"""The rings of a live lab: what each should be under the faults in force, and what it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from labctl.cluster.connections import Cluster
from labctl.faults.model import TOTEM
from labctl.lab import Lab

ExpectedRings = Callable[[str], Mapping[str, tuple[str, ...]] | None]
"""Kind of traffic -> who should hear whom by it, by the faults in force; None where that cannot be told."""


class Rings:
    """Who is, and who should be, in the ring of each node."""

    def __init__(self, lab: Lab, cluster: Cluster, expected: ExpectedRings) -> None:
        self.expected = expected
        self._lab = lab
        self._cluster = cluster

    def names(self, ids: Iterable[int]) -> tuple[str, ...]:
        """The names of members, in the order of the lab; who is not of the lab has none."""
        members = set(ids)
        return tuple(node.name for node in self._lab.nodes if node.nodeid in members)

    def known(self, node: str) -> tuple[str, ...]:
        """The members of a node's ring, as its log told last."""
        return self.names(self._cluster.known_ring(node).members)

    def amiss(self, nodes: Collection[str]) -> str:
        """What is wrong with the rings of these nodes, by the faults in force; "" if nothing is, or no rule says."""
        expected = (self.expected(TOTEM) if self._lab.rings else None) or {}
        for node in nodes:
            members, wanted = self.known(node), expected.get(node, ())
            if wanted and set(members) != set(wanted):
                return f"the ring of {node} is {','.join(members) or 'empty'}, not {','.join(wanted)}"
        return ""

    def short_of(self, nodes: Collection[str], members: int) -> str:
        """Which of these nodes' rings have not that many members; "" if all have."""
        counts = {node: len(self._cluster.known_ring(node).members) for node in nodes}
        wrong = [f"{node} has {count}" for node, count in counts.items() if count != members]
        return f"not {members} members: {', '.join(wrong)}" if wrong else ""
