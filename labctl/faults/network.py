"""Faults of the network between nodes, and between nodes and services. Each is a packet filter, never an interface that
is taken away: that is a fault of its own (link.py), under which Corosync does something else.

A filter is on a node: at the one that receives, or, for what goes to a service, at the one that sends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from labctl.errors import UsageError
from labctl.faults import packet_filter
from labctl.faults.fault import Argument, Choices, Fault, FaultName, HostName, RandomStep, Traffic, fault
from labctl.faults.model import EVERY, SIP, TOTEM, Pair, Pairs, Target
from labctl.yamlfile.document import wrong

_Group = Annotated[tuple[HostName, ...], Field(min_length=1)]


class Filter(Fault):
    """A packet filter on nodes; a subclass says between whom nothing crosses, a node in each pair.

    What a node sends to a service is dropped on its way out: by UDP its sender gets an error, by TCP none.
    """

    if TYPE_CHECKING:  # a subclass has these fields, after those of its own
        traffic: Traffic
        name: FaultName | None

    def pairs(self, target: Target) -> Iterable[Pair]:
        """Those between whom the traffic does not cross."""
        raise NotImplementedError

    def touched(self, target: Target) -> tuple[str, ...]:
        """Senders too: `labctl ps` shows the fault on all that it concerns."""
        concerned = {host for pair in self.pairs(target) for host in pair}
        return tuple(host for host in target.all_addresses if host in concerned)

    def scripts(self, name: str, target: Target) -> Mapping[str, str]:
        """One chain a node, with a rule for each whom it does not hear, and for each service that does not hear it."""
        traffic = packet_filter.TRAFFIC[self.traffic]
        rules: dict[str, list[str]] = {}
        hooks: dict[str, dict[str, None]] = {}
        for sender, receiver in self.pairs(target):
            outgoing = receiver in target.services
            node, other, way = (sender, receiver, "-d") if outgoing else (receiver, sender, "-s")
            rules.setdefault(node, []).append(f"{way} {target.all_addresses[other]} {traffic}".strip())
            hooks.setdefault(node, {})[packet_filter.OUTGOING if outgoing else packet_filter.INCOMING] = None
        return {node: packet_filter.drop(name, lines, *hooks[node]) for node, lines in rules.items()}

    def undo_scripts(self, name: str, target: Target) -> Mapping[str, str]:
        """The chain is taken away."""
        return {node: packet_filter.stop_dropping(name) for node in self.scripts(name, target)}

    def blocked(self, target: Target) -> Mapping[str, Pairs]:
        """The pairs of nodes, for the one kind of traffic: a service is in no ring, and tells no state."""
        return {self.traffic: frozenset(pair for pair in self.pairs(target) if target.services.keys().isdisjoint(pair))}

    def uncalled(self, target: Target) -> tuple[Pair, ...] | None:
        """Any call may be lost, too, that goes through a node which has lost a service, or through that."""
        lost = {host for pair in self.pairs(target) if not target.services.keys().isdisjoint(pair) for host in pair}
        pairs = [(host, host) for host in sorted(lost)] if self.traffic in (EVERY, SIP) else []
        return (*(super().uncalled(target) or ()), *pairs)


@fault
class Partition(Filter):
    """Cuts the network into groups. A service in none of them is reached by all.

    Example:
        - partition: [[n1], [n2, n3]]
    """

    kind = "partition"
    about = "Cut the network into groups by packet filter"
    short = "groups"

    groups: Annotated[tuple[_Group, ...], Argument(words=True)] = Field(
        description="Only those that share a group hear each other; a node in two groups is a bridge",
        json_schema_extra={"minItems": 2},
    )
    traffic: Traffic = "all"
    name: FaultName | None = None

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if len(self.groups) < 2:
            raise wrong("two groups at least are wanted", fix="such as [[n1, n2], [n3]]")
        return self

    @classmethod
    def from_command_line(cls, arguments: Mapping[str, Any], nodes: Sequence[str]) -> Self:
        """Each word is a group, `n1,n2`; nodes that no word names are one more."""
        groups = [[node for node in word.split(",") if node] for word in arguments["groups"]]
        rest = [node for node in nodes if not any(node in group for group in groups)]
        if rest or len(groups) == 1:  # one that holds every node is refused as what cuts nothing
            groups.append(rest or groups[0])
        return cls.of({**arguments, "groups": groups})

    @classmethod
    def random_steps(cls, choices: Choices) -> list[RandomStep]:
        """One node apart; only while all answer, for a filter can be put only on a node that runs."""
        if len(choices.live) < len(choices.nodes):
            return []
        node = choices.random.choice(choices.live)
        rest = [other for other in choices.nodes if other != node]
        traffic = choices.random.choice((EVERY, TOTEM if choices.rings else SIP))
        return [(cls.kind, {"groups": [[node], rest], "traffic": traffic})]

    def describe(self, target: Target) -> str:
        """The groups."""
        return f"partition {' | '.join(','.join(group) for group in self.groups)}{only(self.traffic)}"

    def pairs(self, target: Target) -> list[Pair]:
        """Those that share no group."""
        for host in sorted({host for group in self.groups for host in group}):
            target.check_node(host, service=True)
        cut = apart(self.groups, target.nodes)
        for one, other in cut:
            if {one, other} <= target.services.keys():
                raise UsageError(*between_services(one, other))
        if not cut:
            raise UsageError("this partition cuts nothing: some group holds every node", "partition n1,n2 n3")
        return cut


@fault
class Cut(Filter):
    """Cuts one way between two nodes, or between a node and a service.

    Example:
        - cut: {sender: n1, receiver: n2, traffic: sip}
    """

    kind = "cut"
    about = "Cut one way: what the sender sends does not reach the receiver"

    sender: HostName
    receiver: HostName
    traffic: Traffic = "all"
    name: FaultName | None = None

    @model_validator(mode="after")
    def _of_two(self) -> Self:
        if self.sender == self.receiver:
            raise wrong("a node cannot be cut off from itself", fix="name two nodes")
        return self

    def describe(self, target: Target) -> str:
        """The way."""
        return f"cut {self.sender} -> {self.receiver}{only(self.traffic)}"

    def pairs(self, target: Target) -> list[Pair]:
        """The one way."""
        if {self.sender, self.receiver} <= target.services.keys():
            raise UsageError(*between_services(self.sender, self.receiver))
        return [(self.sender, self.receiver)]


def apart(groups: Sequence[Sequence[str]], nodes: Collection[str]) -> list[Pair]:
    """Those of the nodes, and of whom groups name, that share no group, both ways."""
    hosts = dict.fromkeys([*nodes, *(host for group in groups for host in group)])
    together = {pair for group in groups for pair in permutations(group, 2)}
    return [pair for pair in permutations(hosts, 2) if pair not in together]


def between_services(one: str, other: str) -> tuple[str, str]:
    """Why two services cannot be cut off from each other, and the way out."""
    what = f"{one} and {other} are services, and filters are on nodes"
    return what, "put them in one group, or `cut` each from the nodes that are to lose it; `pause` ends all of one"


def only(traffic: str) -> str:
    """The end of a description: the one kind of traffic that a fault is held to, if any."""
    return "" if traffic == EVERY else f", {traffic} only"
