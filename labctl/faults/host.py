"""Faults of a Docker host, for labs over several: what a machine that hangs, or the line to it, does to what is there.

Only nodes and services are touched: the host itself, all else on it, and phones, by which labctl looks, are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from labctl.errors import UsageError
from labctl.faults.fault import Argument, FaultName, Traffic, fault
from labctl.faults.model import EVERY, SIP, Pair, Pairs, Target
from labctl.faults.network import Filter, only
from labctl.faults.node import Freezing
from labctl.yamlfile.document import Text

_DockerHost = Annotated[
    Text, Argument(docker_host=True), Field(description="A Docker host of the lab, as HOST of `labctl ps` has it")
]


@fault
class HostPause(Freezing):
    """Freezes every node and service on a Docker host, as if that machine hung; phones there are left alone.

    Example:
        - host_pause: two
        - heal: all
    """

    kind = "host_pause"
    about = "Freeze every node and service on a Docker host, as if the machine hung"
    short = "host"
    needs = "hosts"

    host: _DockerHost

    def describe(self, target: Target) -> str:
        """Which host, and who is there."""
        return f"host-pause {self.host} ({', '.join(self.touched(target))})"

    def touched(self, target: Target) -> tuple[str, ...]:
        """The nodes and services that are there."""
        return target.parts_on(self.host)


@fault
class HostCut(Filter):
    """Cuts the nodes and services on a Docker host off from the nodes on every other, as if the line were cut.

    Filters are in nodes alone, so services of two hosts go on hearing each other. Phones are left alone.

    Example:
        - host_cut: two
        - heal: all
    """

    kind = "host_cut"
    about = "Cut the nodes and services on a Docker host off from the nodes on every other"
    short = "host"
    needs = "hosts"

    host: _DockerHost
    traffic: Traffic = "all"
    name: FaultName | None = None

    def describe(self, target: Target) -> str:
        """Which host, and who is there."""
        return f"host-cut {self.host} ({', '.join(target.parts_on(self.host))}){only(self.traffic)}"

    def pairs(self, target: Target) -> list[Pair]:
        """Each node with whoever is on the other side of the line."""
        there = {*target.parts_on(self.host)}
        everybody = (*target.addresses, *target.services)
        across = ((one, other) for one in everybody for other in everybody if (one in there) != (other in there))
        apart = [pair for pair in across if {*pair} & {*target.addresses}]
        if not apart:
            raise UsageError(f"this cuts nothing: every node is on {self.host}", "labctl ps says which is where")
        return apart

    def blocked(self, target: Target) -> Mapping[str, Pairs]:
        """The pairs of nodes: services are in no ring, and look nothing up."""
        return {self.traffic: frozenset(pair for pair in self.pairs(target) if {*pair} <= {*target.addresses})}

    def uncalled(self, target: Target) -> tuple[Pair, ...] | None:
        """A service that does not answer may be in any call's way."""
        cuts_service = any(sender in target.services for sender, _ in self.pairs(target))
        return target.any_call if cuts_service and self.traffic in (EVERY, SIP) else super().uncalled(target)
