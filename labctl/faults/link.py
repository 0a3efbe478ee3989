"""Faults of one node's link to the network: down, or bad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from labctl.errors import HostError
from labctl.faults import packet_filter
from labctl.faults.fault import Choices, Fault, FaultName, NodeName, RandomStep, Traffic, fault
from labctl.faults.model import EVERY, INTERFACE, SIP, Pair, Pairs, Target
from labctl.faults.records import QDISC_GONE
from labctl.yamlfile.document import wrong
from labctl.yamlfile.duration import Duration

_Percent = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False, description="Percent of the packets")]

_WRONGS = ("loss", "delay", "duplicate", "rate")
"""The arguments of which a bad link wants one at least."""


@fault
class InterfaceDown(Fault):
    """Takes a node's interface down: other than in a partition, its own kernel knows.

    Example:
        - iface_down: n2
    """

    kind = "iface_down"
    about = "Take a node's interface down: other than in a partition, its own kernel knows"
    instead = "`cut` or `partition` keeps a service and nodes from each other"
    short = "node"

    node: NodeName
    name: FaultName | None = None

    def describe(self, target: Target) -> str:
        """The interface."""
        return f"{INTERFACE} of {self.node} down"

    def scripts(self, name: str, target: Target) -> Mapping[str, str]:
        """By ip-link(8)."""
        return {self.node: f"ip link set {INTERFACE} down"}

    def undo_scripts(self, name: str, target: Target) -> Mapping[str, str]:
        """By ip-link(8)."""
        return {self.node: f"ip link set {INTERFACE} up"}

    def blocked(self, target: Target) -> Mapping[str, Pairs]:
        """All of the node's traffic."""
        return {EVERY: target.pairs_of(self.node)}

    def uncalled(self, target: Target) -> tuple[Pair, ...] | None:
        """Its phones do not reach it either."""
        return None

    def holds(self, target: Target) -> tuple[str, ...]:
        """The first of two to be undone would undo both."""
        return (f"the interface of {self.node}",)


@fault
class Impair(Fault):
    """Makes a node's link bad, by the best that the kernel has.

    That is netem for what the node sends. Without it, or for one kind of traffic: loss of what it receives, by
    iptables, and a rate by a token bucket.

    Example:
        - impair: {node: n2, loss: 20, traffic: totem}
    """

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": [word]} for word in _WRONGS],
            "dependentRequired": {"jitter": ["delay"]},
        }
    )
    kind = "impair"
    about = "Make a node's link bad: loss and duplicates in percent, a rate in kbit/s"
    instead = "impair the link of each node that is to feel it; `pause` has a service answer nobody"

    node: NodeName
    loss: _Percent | None = None
    delay: Duration | None = Field(default=None, description="Of each packet; needs netem")
    jitter: Duration | None = Field(default=None, description="Spread of the delay; needs netem")
    duplicate: _Percent | None = None
    rate: int | None = Field(default=None, ge=1, le=10_000_000, description="kbit/s")
    traffic: Traffic = "all"
    name: FaultName | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        chosen = [word for word in _WRONGS if getattr(self, word) is not None]
        if not chosen:
            raise wrong("nothing is wrong with this link", fix="at least one of loss, delay, duplicate and rate")
        if self.jitter and not self.delay:
            raise wrong("jitter is that of a delay", fix="say `delay` too")
        if self.traffic != EVERY and chosen != ["loss"]:
            raise wrong("only loss can be held to one kind of traffic", fix="leave `traffic` out")
        return self

    @classmethod
    def random_steps(cls, choices: Choices) -> list[RandomStep]:
        """Some loss: every kernel that can do any of it can do that."""
        loss = float(choices.random.choice((5, 20)))
        return [(cls.kind, {"node": choices.random.choice(choices.live), "loss": loss})]

    def describe(self, target: Target) -> str:
        """What is wrong, and by what way."""
        parts = [
            f"loss {self.loss:g} %" if self.loss else "",
            f"delay {self.delay * 1000:g} ms" if self.delay else "",
            f"jitter {self.jitter * 1000:g} ms" if self.jitter else "",
            f"duplicates {self.duplicate:g} %" if self.duplicate else "",
            f"rate {self.rate} kbit/s" if self.rate else "",
        ]
        ways = [
            "netem, of what it sends" if self._by_netem(target) else "",
            "loss by iptables, of what it receives" if self.loss and not self._by_netem(target) else "",
            "rate by tbf, of what it sends" if self.rate and not self._by_netem(target) else "",
        ]
        traffic = "" if self.traffic == EVERY else f", {self.traffic} only"
        return f"{self.node}: {', '.join(filter(None, parts))}{traffic} ({'; '.join(filter(None, ways))})"

    def scripts(self, name: str, target: Target) -> Mapping[str, str]:
        """By tc-netem(8), or iptables-extensions(8), statistic, and tc-tbf(8). Raises HostError."""
        script = self._netem() if self._by_netem(target) else "\n".join(self._without_netem(name, target))
        return {self.node: script}

    def undo_scripts(self, name: str, target: Target) -> Mapping[str, str]:
        """Both ways are undone: which was taken does not matter."""
        return {self.node: f"{packet_filter.stop_dropping(name)} || exit 1\n{QDISC_GONE}"}

    def blocked(self, target: Target) -> Mapping[str, Pairs]:
        """What loses all is a filter: of what the node sends, or of what it receives."""
        way = 0 if self._by_netem(target) else 1
        pairs = frozenset(pair for pair in target.pairs_of(self.node) if pair[way] == self.node)
        return {self.traffic: pairs} if self.loss == 100 else {}

    def uncalled(self, target: Target) -> tuple[Pair, ...] | None:
        """Loss on Totem or DUNDi alone is in no call's way."""
        return None if self.traffic in (EVERY, SIP) else ()

    def unheard(self, target: Target) -> tuple[Pair, ...] | None:
        """What may be lost, late or double."""
        return super().unheard(target) if self.loss == 100 or self.traffic not in (EVERY, target.carrier) else None

    def holds(self, target: Target) -> tuple[str, ...]:
        """An interface has one queueing discipline, so a second fault would take the first one's place."""
        return (f"the link of {self.node}",)

    def _by_netem(self, target: Target) -> bool:
        return self.traffic == EVERY and "netem" in target.abilities

    def _netem(self) -> str:
        jitter = f" {self.jitter * 1000:g}ms" if self.jitter else ""
        parts = [
            f"loss {self.loss:g}%" if self.loss else "",
            f"delay {self.delay * 1000:g}ms{jitter}" if self.delay else "",
            f"duplicate {self.duplicate:g}%" if self.duplicate else "",
            f"rate {self.rate}kbit" if self.rate else "",
        ]
        return f"tc qdisc replace dev {INTERFACE} root netem {' '.join(filter(None, parts))}"

    def _without_netem(self, name: str, target: Target) -> list[str]:
        values: dict[str, Any] = {"delay": self.delay, "duplicates": self.duplicate}
        lacking = [word for word, value in values.items() if value]
        if lacking:
            raise HostError(
                f"this kernel has no netem, so {self.node} cannot have {' or '.join(lacking)}",
                "modprobe sch_netem on the host, if its kernel has it; loss and rate work without",
            )
        scripts = []
        if self.loss:
            target.check_ability("statistic", "loss")
            traffic = packet_filter.TRAFFIC[self.traffic]
            rule = f"{traffic} -m statistic --mode random --probability {self.loss / 100:.4f}".strip()
            scripts.append(packet_filter.drop(name, [rule]))
        if self.rate:
            target.check_ability("tbf", "a rate limit")
            limit = f"rate {self.rate}kbit burst 16kb latency 200ms"
            scripts.append(f"tc qdisc replace dev {INTERFACE} root tbf {limit}")
        return scripts
