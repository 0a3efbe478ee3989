"""What a fault keeps apart: whose Corosync hears whom, whose runs, and which calls it is in the way of. Pure.

Histories of labctl 0.1 do not hold all of it; there it follows from the fault's words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

from labctl.history.events import FaultBegan

Pairs = frozenset[tuple[str, str]]
"""Pairs of nodes, first who sends."""

_PARTITION = re.compile(r"partition (?P<groups>\S.*?\|.*?)(?:, (?P<traffic>\w+) only)?$")
_CUT = re.compile(r"cut (?P<sender>\S+) -> (?P<receiver>[^\s,]+)(?:, (?P<traffic>\w+) only)?$")
_INTERFACE = re.compile(r"\S+ of (?P<node>\S+) down$")
_DOWN = re.compile(r"(?:kill|stop|pause)[ -](?P<node>\S+)$")
_COROSYNC = re.compile(r"(?:kill|stop|restart)[ -]corosync")
_ASTERISK = re.compile(r"(?:kill|stop|restart)[ -]asterisk")
_OF_NETWORK = re.compile(r"partition |cut |host-cut |\S+ of \S+ down$|\S+: (?:loss|delay|duplicates|rate) ")


@dataclass(frozen=True)
class Reach:
    """What a fault in force touches, and what it keeps apart. `unheard` is None where that is left to chance.

    `of_corosync`, `of_asterisk`: it is of that daemon alone. `of_network`: it is one of those that surely end no daemon
    and start none, whatever becomes of packets. `of_interface`: it lies between its nodes and their phones, too.
    """

    name: str
    nodes: frozenset[str]
    unasked: Pairs
    uncalled: Pairs | None
    unheard: Pairs | None
    absent: frozenset[str]
    of_corosync: bool
    of_asterisk: bool
    pauses: bool
    of_network: bool
    of_interface: bool

    @property
    def of_rings(self) -> bool:
        """Whether it has to do with Corosync at all: with one, or with what one hears."""
        return bool(self.absent or self.of_corosync or self.unheard is None or self.unheard)

    def leaves_to_chance(self, nodes: Iterable[str]) -> bool:
        """Whether it touches one of these nodes, and no rule says what Corosync makes of it."""
        return self.unheard is None and not (self.nodes and self.nodes.isdisjoint(nodes))


def reach(fault: FaultBegan, cluster: Sequence[str]) -> Reach:
    """What a fault of a lab with these nodes keeps apart."""
    of_corosync = bool(_COROSYNC.match(fault.what) or _COROSYNC.match(fault.fault))
    uncalled = fault.uncalled
    if uncalled is None and (of_corosync or ", totem only" in fault.what):
        uncalled = ()
    absent = frozenset(fault.absent) or _absent(fault, of_corosync)
    unheard = fault.unheard if fault.unheard is not None else _unheard(fault, cluster, absent)
    return Reach(
        fault.fault,
        frozenset(fault.nodes),
        frozenset(fault.unasked),
        None if uncalled is None else frozenset(uncalled),
        None if unheard is None else frozenset(unheard),
        absent,
        of_corosync,
        bool(_ASTERISK.match(fault.what) or _ASTERISK.match(fault.fault)),
        fault.what.startswith(("pause ", "host-pause ")),
        bool(_OF_NETWORK.match(fault.what)),
        bool(_INTERFACE.match(fault.what)),
    )


def _absent(fault: FaultBegan, of_corosync: bool) -> frozenset[str]:
    if of_corosync:
        return frozenset(fault.nodes)
    down = _DOWN.match(fault.what)
    return frozenset({down["node"]} & set(fault.nodes)) if down else frozenset()


def _unheard(fault: FaultBegan, cluster: Sequence[str], absent: frozenset[str]) -> Iterable[tuple[str, str]] | None:
    """The pairs by the fault's words; None where they do not tell."""
    if partition := _PARTITION.match(fault.what):
        together = {pair for group in partition["groups"].split("|") for pair in permutations(_names(group), 2)}
        pairs: set[tuple[str, str]] = {*permutations(cluster, 2)} - together
    elif cut := _CUT.match(fault.what):
        partition, pairs = cut, {(cut["sender"], cut["receiver"])}
    elif down := _INTERFACE.match(fault.what):
        node = down["node"]
        return {pair for pair in permutations(cluster, 2) if node in pair}
    else:
        return () if absent or re.match(r"(?:kill|stop|restart) asterisk ", fault.what) else None
    return pairs if partition["traffic"] in (None, "totem") else ()


def _names(group: str) -> list[str]:
    return [name.strip() for name in group.split(",")]
