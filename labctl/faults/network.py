"""Faults of the network between nodes. Each is a packet filter, never an interface that is taken away: that is a fault
of its own (link.py), under which Corosync does something else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from labctl.errors import UsageError
from labctl.faults import packet_filter
from labctl.faults.fault import Argument, Choices, Fault, FaultName, NodeName, RandomStep, Traffic, fault
from labctl.faults.model import EVERY, SIP, TOTEM, Pair, Pairs, Target
from labctl.yamlfile.document import wrong

_Group = Annotated[tuple[NodeName, ...], Field(min_length=1)]


class Filter(Fault):
    """A packet filter at those who receive; a subclass says between whom nothing crosses."""

    if TYPE_CHECKING:  # a subclass has these fields, after those of its own
        traffic: Traffic
        name: FaultName | None

    def pairs(self, target: Target) -> Iterable[Pair]:
        """Those between whom the traffic does not cross."""
        raise NotImplementedError

    def touched(self, target: Target) -> tuple[str, ...]:
        """Senders too: `labctl ps` shows the fault on all that it concerns."""
        concerned = {node for pair in self.pairs(target) for node in pair}
        return tuple(node for node in target.nodes if node in concerned)

    def scripts(self, name: str, target: Target) -> Mapping[str, str]:
        """One chain a receiver, with a rule for each sender."""
        pairs = list(self.pairs(target))
        traffic, addresses = packet_filter.TRAFFIC[self.traffic], {**target.services, **target.addresses}
        rules = {
            receiver: [f"-s {addresses[sender]} {traffic}".strip() for sender, node in pairs if node == receiver]
            for receiver in dict.fromkeys(receiver for _, receiver in pairs)
        }
        return {receiver: packet_filter.drop(name, lines) for receiver, lines in rules.items()}

    def undo_scripts(self, name: str, target: Target) -> Mapping[str, str]:
        """The chain is taken away."""
        return {receiver: packet_filter.stop_dropping(name) for _, receiver in self.pairs(target)}

    def blocked(self, target: Target) -> Mapping[str, Pairs]:
        """The pairs, for the one kind of traffic."""
        return {self.traffic: frozenset(self.pairs(target))}


@fault
class Partition(Filter):
    """Cuts the network into groups.

    Example:
        - partition: [[n1], [n2, n3]]
    """

    kind = "partition"
    about = "Cut the network into groups by packet filter"
    short = "groups"

    groups: Annotated[tuple[_Group, ...], Argument(words=True)] = Field(
        description="Only nodes that share a group hear each other; one in two groups is a bridge",
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
        for node in sorted({node for group in self.groups for node in group}):
            target.check_node(node)
        together = {pair for group in self.groups for pair in permutations(group, 2)}
        apart = [pair for pair in permutations(target.nodes, 2) if pair not in together]
        if not apart:
            raise UsageError("this partition cuts nothing: some group holds every node", "partition n1,n2 n3")
        return apart


@fault
class Cut(Filter):
    """Cuts one way between two nodes.

    Example:
        - cut: {sender: n1, receiver: n2, traffic: sip}
    """

    kind = "cut"
    about = "Cut one way: what the sender sends does not reach the receiver"

    sender: NodeName
    receiver: NodeName
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
        return [(self.sender, self.receiver)]


def only(traffic: str) -> str:
    """The end of a description: the one kind of traffic that a fault is held to, if any."""
    return "" if traffic == EVERY else f", {traffic} only"
