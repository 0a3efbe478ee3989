"""What faults are made for and what they come to: frozen data, and the rings that they leave. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from labctl.errors import HostError, UsageError

INTERFACE = "eth0"
"""The interface of a node in its lab's network."""

NODE = "node"
COROSYNC = "corosync"
ASTERISK = "asterisk"
"""What of a node is ended: all of it, or one of its daemons by the name of its runit service."""

EVERY = "all"
TOTEM, SIP, DUNDI = "totem", "sip", "dundi"
"""Kinds of traffic."""

Pair = tuple[str, str]
"""Sender and receiver."""
Pairs = frozenset[Pair]


@dataclass(frozen=True)
class Target:
    """The lab that a fault is for.

    `addresses`: node -> address, of every node. `rings`: whether its nodes run Corosync. `follows_corosync`: whether a
    node restarts its Asterisk when its Corosync has ended. `ask_abilities` asks what this kernel can do for faults
    (iptables, statistic, netem, tbf); the first answer takes about a second. `services`: service -> address. `hosts`:
    node or service -> the Docker host that it is on, in a lab over several.
    """

    addresses: Mapping[str, str]
    rings: bool = True
    follows_corosync: bool = False
    ask_abilities: Callable[[], frozenset[str]] = frozenset
    services: Mapping[str, str] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of all nodes."""
        return tuple(self.addresses)

    @property
    def carrier(self) -> str:
        """The traffic that takes state from node to node."""
        return TOTEM if self.rings else SIP

    @property
    def abilities(self) -> frozenset[str]:
        """What this kernel can do for faults."""
        return self.ask_abilities()

    def pairs_of(self, node: str) -> Pairs:
        """A node with every other, both ways."""
        others = [other for other in self.addresses if other != node]
        return frozenset((*((node, other) for other in others), *((other, node) for other in others)))

    @property
    def all_addresses(self) -> Mapping[str, str]:
        """The address of each node and service, by its name."""
        return {**self.addresses, **self.services}

    def check_node(self, node: str, *, service: bool = False, instead: str = "") -> None:
        """Raise UsageError if no node has that name, nor a `service`, where that may be named too; where it may not,
        with what can be done to one `instead`."""
        if node in self.addresses or (service and node in self.services):
            return
        if node in self.services:
            raise UsageError(f"no node `{node}` in this lab: it is a service", instead)
        services = f"; its services: {', '.join(self.services)}" if service and self.services else ""
        raise UsageError(f"no node `{node}` in this lab", f"its nodes: {', '.join(self.addresses)}{services}")

    def parts_on(self, host: str) -> tuple[str, ...]:
        """The nodes and services on a Docker host. Raises UsageError if there are none."""
        there = tuple(part for part in (*self.addresses, *self.services) if self.hosts.get(part) == host)
        if not there:
            named = ", ".join(sorted({*self.hosts.values()}))
            fix = (
                f"its hosts: {named}" if named else "it is on one engine; labctl up --hosts spreads a lab over several"
            )
            raise UsageError(f"no node or service of this lab is on a Docker host `{host}`", fix)
        return there

    @property
    def any_call(self) -> tuple[Pair, ...]:
        """What a fault says of whom calls may be lost by it where that is any call at all."""
        return tuple((node, node) for node in self.addresses)

    def check_ability(self, ability: str, purpose: str) -> None:
        """Raise HostError, which names the purpose, if this kernel lacks an ability."""
        if ability not in self.abilities:
            raise HostError(
                f"this kernel has no `{ability}`, so {purpose} cannot be had", "labctl doctor tells how to mend it"
            )


@dataclass(frozen=True)
class Record:
    """A fault in force, as each node that it touches remembers it.

    `holds` is what no second fault may touch meanwhile, such as `the interface of n1`.
    """

    name: str
    kind: str
    what: str
    nodes: tuple[str, ...]
    holds: tuple[str, ...] = ()


@dataclass(frozen=True)
class PreparedFault:
    """A fault made ready for one lab, under a name: all that is to be done, and what follows from it.

    `scripts`: node -> shell script that puts it in force there; where it has an undo script, that is written to the
    node first, with the record. `action` is what is done to the containers of `nodes`: kill, stop, pause, or "".
    `blocked`: kind of traffic -> the pairs between which it does not cross. `absent` are nodes whose Corosync leaves
    its ring, `leaving` those whose Asterisk goes. `passes`: a supervisor undoes it at once. `daemon` is what of a node
    it ends: NODE, a daemon, or "". `uncalled`: the pairs between which a call may be lost, or None where that is any
    call through one of `nodes`. `unheard`: the pairs between which nothing crosses of what carries state, or None where
    that is left to chance.
    """

    record: Record
    scripts: Mapping[str, str] = field(default_factory=dict)
    action: str = ""
    blocked: Mapping[str, Pairs] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    passes: bool = False
    daemon: str = ""
    uncalled: tuple[Pair, ...] | None = ()
    unheard: tuple[Pair, ...] | None = ()
    waits_for_return: bool = False

    @property
    def name(self) -> str:
        """The name by which it is healed."""
        return self.record.name

    @property
    def kind(self) -> str:
        """The verb of its step."""
        return self.record.kind

    @property
    def what(self) -> str:
        """What goes wrong, for people."""
        return self.record.what

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that it touches."""
        return self.record.nodes

    def blocks(self, traffic: str) -> Pairs:
        """The pairs between which that kind of traffic does not cross."""
        return self.blocked.get(EVERY, frozenset()) | self.blocked.get(traffic, frozenset())

    def check_free(self, in_force: Collection[Record]) -> None:
        """Raise UsageError, naming the fault in force that has its name, or holds what it touches."""
        for record in in_force:
            if record.name == self.name:
                raise UsageError(
                    f"a fault `{self.name}` is in force already: {record.what}",
                    f"labctl heal {self.name}, or another name for this one",
                )
            shared = [thing for thing in self.record.holds if thing in record.holds]
            if shared:
                raise UsageError(
                    f"{shared[0]} is taken by the fault `{record.name}`, which is in force: {record.what}",
                    f"heal `{record.name}` first, or name all that is to be wrong in one fault",
                )


def rings(
    nodes: Collection[str], faults: Collection[PreparedFault], traffic: str = TOTEM
) -> dict[str, tuple[str, ...]] | None:
    """Who should be in each node's ring under these faults; nodes without a Corosync have none. Where the state goes by
    other `traffic`, who hears whom by that.

    None where it cannot be told: nodes of which some hear each other and others do not, or only one way.
    """
    absent = {node for fault in faults for node in fault.absent}
    blocked = {pair for fault in faults for pair in fault.blocks(traffic)}
    live = [node for node in nodes if node not in absent]
    heard = {node: {other for other in live if {(node, other), (other, node)}.isdisjoint(blocked)} for node in live}
    one_way = any((receiver, sender) not in blocked for sender, receiver in blocked if {sender, receiver} <= set(live))
    if one_way or any(heard[other] != heard[node] for node in live for other in heard[node]):
        return None
    return {node: tuple(sorted(heard[node])) if node in live else () for node in nodes}
