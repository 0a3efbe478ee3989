"""Faults of a node itself: all of it, or one of its daemons, ends or is still.

The daemons are runit services (sv(8)): one that is killed is brought back at once, one that is stopped stays down.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from pydantic import Field

from labctl.errors import UsageError
from labctl.faults.fault import Choices, Fault, HostName, NodeName, RandomStep, fault
from labctl.faults.model import ASTERISK, COROSYNC, NODE, Pair, Target

_SETTLE: RandomStep = ("settle", {})
"""Asterisk writes its database once a second: one that is ended sooner has another state than it said last."""


def restart_script(daemon: str) -> str:
    """The script that ends one daemon of a node in an orderly way, and starts it again."""
    return f"sv -w 10 restart /etc/service/{daemon}"


class _Ending(Fault):
    """All of a node, or one of its daemons, ends. A subclass has a field `service`."""

    node: NodeName
    service: str

    def named(self, in_force: Collection[str] = ()) -> str:
        """By what it is done to: that cannot be done twice."""
        return f"{self.kind}-{self.node}" if self.service == NODE else f"{self.kind}-{self.service}-{self.node}"

    def describe(self, target: Target) -> str:
        """What is ended."""
        return f"{self.kind} {self.node}" if self.service == NODE else f"{self.kind} {self.service} on {self.node}"

    def scripts(self, name: str, target: Target) -> Mapping[str, str]:
        """For a daemon, by its supervisor."""
        if self.node in target.services and self.service != NODE:
            raise UsageError(
                f"{self.node} is a service, and runs no {self.service}", "without `service` all of it ends"
            )
        if self.service == COROSYNC and not target.rings:
            raise UsageError("no node of this lab runs Corosync", "`share.via: corosync` has it")
        if self.service == NODE:
            return {}
        return {self.node: f"{self.order(f'/etc/service/{self.service}')} > /dev/null"}

    def order(self, folder: str) -> str:
        """The command that ends the service in a folder."""
        raise NotImplementedError

    @property
    def action(self) -> str:
        """For a whole node, what is done to its container."""
        return self.kind if self.service == NODE else ""

    @property
    def daemon(self) -> str:
        """What is ended."""
        return self.service

    def leaving(self, target: Target) -> tuple[str, ...]:
        """Asterisk goes with all, or by itself, or with a Corosync that it follows."""
        if self.node in target.services:
            return ()
        return (self.node,) if self.service != COROSYNC or target.follows_corosync else ()

    def uncalled(self, target: Target) -> tuple[Pair, ...] | None:
        """A Corosync that ends is in no call's way; where Asterisk follows it, that is gone. A service that is gone may
        be in any call's way."""
        if self.node in target.services:
            return target.any_call
        return None if self.leaving(target) else ()

    def holds(self, target: Target) -> tuple[str, ...]:
        """A daemon that is down cannot be ended once more."""
        return () if self.service == NODE else (f"{self.service} on {self.node}",)


@fault
class Kill(_Ending):
    """Ends a node, or one of its daemons, as a power cut does.

    Example:
        - kill: {node: n2, service: asterisk}
    """

    kind = "kill"
    about = "End a node, one of its daemons, or a service, as a power cut does; a daemon's supervisor brings it back"
    short = "node"

    node: HostName
    service: Literal["node", "corosync", "asterisk"] = Field(default="node", description="What of the node")

    @classmethod
    def random_steps(cls, choices: Choices) -> list[RandomStep]:
        """Any of it. After Corosync's end Asterisk is restarted, as an operator does whose module lost its ring."""
        node = choices.random.choice(choices.live)
        service = choices.random.choice((NODE, ASTERISK, *((COROSYNC,) if choices.rings else ())))
        if service == NODE:
            return [_SETTLE, (cls.kind, {"node": node})]
        after: RandomStep = ("restart", {"node": node, "service": ASTERISK})
        return [_SETTLE, (cls.kind, {"node": node, "service": service}), *([after] if service == COROSYNC else [])]

    def order(self, folder: str) -> str:
        """By SIGKILL."""
        return f"sv kill {folder}"

    def absent(self, target: Target) -> tuple[str, ...]:
        """A node that is gone is in no ring."""
        return (self.node,) if self.service == NODE and self.node in target.addresses else ()

    @property
    def passes(self) -> bool:
        """A daemon is back at once."""
        return self.service != NODE


@fault
class Stop(_Ending):
    """Ends a node, or one of its daemons, in an orderly way; it stays down.

    Example:
        - stop: n3
    """

    kind = "stop"
    about = "End a node, one of its daemons, or a service, in an orderly way; it stays down"
    short = "node"

    node: HostName
    service: Literal["node", "corosync", "asterisk"] = Field(default="node", description="What of the node")

    @classmethod
    def random_steps(cls, choices: Choices) -> list[RandomStep]:
        """A whole node."""
        return [_SETTLE, (cls.kind, {"node": choices.random.choice(choices.live)})]

    def order(self, folder: str) -> str:
        """By SIGTERM, and SIGKILL after ten seconds."""
        return f"sv -w 10 force-stop {folder}"

    def undo_scripts(self, name: str, target: Target) -> Mapping[str, str]:
        """For a daemon: it is wanted up again."""
        return {} if self.service == NODE else {self.node: f"sv up /etc/service/{self.service}"}

    def absent(self, target: Target) -> tuple[str, ...]:
        """Without Corosync no ring."""
        return (self.node,) if self.service in (NODE, COROSYNC) and self.node in target.addresses else ()


@fault
class Restart(_Ending):
    """Ends one of a node's daemons in an orderly way, and starts it again.

    Example:
        - restart: {node: n2, service: asterisk}
    """

    kind = "restart"
    about = "End one of a node's daemons in an orderly way and start it again"
    instead = "`stop` ends a service in an orderly way, and `start` starts it again"
    waits_for_return = True

    node: NodeName
    service: Literal["corosync", "asterisk"] = Field(description="Which daemon")

    @classmethod
    def random_steps(cls, choices: Choices) -> list[RandomStep]:
        """Asterisk: what a restarted Corosync does to it, a killed one shows."""
        return [_SETTLE, (cls.kind, {"node": choices.random.choice(choices.live), "service": ASTERISK})]

    def scripts(self, name: str, target: Target) -> Mapping[str, str]:
        """By its supervisor."""
        return {node: f"{restart_script(self.service)} > /dev/null" for node in super().scripts(name, target)}

    def order(self, folder: str) -> str:
        """By SIGTERM, and up again."""
        return restart_script(self.service)

    @property
    def passes(self) -> bool:
        """It is back at once."""
        return True


class Freezing(Fault):
    """Freezes all that it touches: to the others it is silent, itself it notices nothing."""

    @property
    def action(self) -> str:
        """By Docker, for their containers (cgroups' freezer)."""
        return "pause"

    @property
    def daemon(self) -> str:
        """All of them."""
        return NODE

    def absent(self, target: Target) -> tuple[str, ...]:
        """Who is silent is put out of the ring."""
        return tuple(name for name in self.touched(target) if name in target.addresses)

    def leaving(self, target: Target) -> tuple[str, ...]:
        """They answer nothing."""
        return self.absent(target)

    def uncalled(self, target: Target) -> tuple[Pair, ...] | None:
        """Every call through them may be lost; where it is a service, any call."""
        return target.any_call if {*self.touched(target)} & {*target.services} else None


@fault
class Pause(Freezing):
    """Freezes all of a node: to the others it is silent, itself it notices nothing.

    Example:
        - pause: n3
    """

    kind = "pause"
    about = "Freeze a node or service: to the others it is silent, itself it notices nothing"
    short = "node"

    node: HostName

    def named(self, in_force: Collection[str] = ()) -> str:
        """By the node: it cannot be paused twice."""
        return f"pause-{self.node}"

    def describe(self, target: Target) -> str:
        """Which node."""
        return f"pause {self.node}"
