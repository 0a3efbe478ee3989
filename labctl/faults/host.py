"""Faults of a Docker host, for labs over several: what a machine that hangs, or the line to it, does to nodes there.

Only what is the lab's is touched: the host itself, and all else on it, is left alone.
"""

from __future__ import annotations

from itertools import permutations
from typing import Annotated

from pydantic import Field

from labctl.errors import UsageError
from labctl.faults.fault import Argument, FaultName, Traffic, fault
from labctl.faults.model import Pair, Target
from labctl.faults.network import Filter, only
from labctl.faults.node import Freezing
from labctl.yamlfile.document import Text

_DockerHost = Annotated[
    Text, Argument(docker_host=True), Field(description="A Docker host of the lab, as HOST of `labctl ps` has it")
]


@fault
class HostPause(Freezing):
    """Freezes every node on a Docker host, as if that machine hung.

    Example:
        - host_pause: two
        - heal: all
    """

    kind = "host_pause"
    about = "Freeze every node on a Docker host, as if the machine hung"
    short = "host"
    needs = "hosts"

    host: _DockerHost

    def describe(self, target: Target) -> str:
        """Which host, and who is there."""
        return f"host-pause {self.host} ({', '.join(self.touched(target))})"

    def touched(self, target: Target) -> tuple[str, ...]:
        """The nodes that are there."""
        return target.nodes_on(self.host)


@fault
class HostCut(Filter):
    """Cuts the nodes on a Docker host off from those on every other, as if the line to that machine were cut.

    Example:
        - host_cut: two
        - heal: all
    """

    kind = "host_cut"
    about = "Cut the nodes on a Docker host off from those on every other"
    short = "host"
    needs = "hosts"

    host: _DockerHost
    traffic: Traffic = "all"
    name: FaultName | None = None

    def describe(self, target: Target) -> str:
        """Which host, and who is there."""
        return f"host-cut {self.host} ({', '.join(target.nodes_on(self.host))}){only(self.traffic)}"

    def pairs(self, target: Target) -> list[Pair]:
        """Each node there with each elsewhere, both ways."""
        there = {*target.nodes_on(self.host)}
        apart = [pair for pair in permutations(target.nodes, 2) if len(there & {*pair}) == 1]
        if not apart:
            raise UsageError(f"this cuts nothing: every node is on {self.host}", "labctl ps says which is where")
        return apart
