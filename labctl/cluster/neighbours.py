"""Whether the kernel of the engine's machine keeps as many neighbours (ARP) as a lab wants: one table is for all
containers, and one that is full keeps everybody from everybody, also the nodes of other labs."""

from __future__ import annotations

from labctl.engine.client import Engine
from labctl.errors import HostError
from labctl.lab import Lab

ALWAYS = 700
"""So many go into any table: the kernel's default is 1024 (arp(7), gc_thresh3), and other containers want some."""

SYSCTL = "net.ipv4.neigh.default.gc_thresh3"


def wanted(lab: Lab) -> int:
    """How many neighbours the nodes of a lab have in all: each the others of its cluster, and the phones."""
    return sum(len(lab.cluster_of(node.name)) for node in lab.nodes)


def check(engine: Engine, lab: Lab, image: str) -> None:
    """Raise HostError for a lab of so many nodes that they would not find each other. `image` is of its nodes."""
    needed = wanted(lab)
    if needed <= ALWAYS or lab.docker_hosts:
        return
    said = engine.probe(image, f"cat /proc/sys/{SYSCTL.replace('.', '/')}", of_machine=True).strip()
    if said.isdigit() and needed > int(said):
        raise HostError(
            f"{len(lab.nodes)} nodes want {needed} neighbours; the kernel keeps {said} for all containers ({SYSCTL})",
            f"sysctl -w {SYSCTL}={4 * needed} on the engine's machine, or fewer nodes",
        )
