"""A lab's addresses: its subnet, its nodes', its phones' and their ports, and those of its rings."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable

from labctl.errors import HostError
from labctl.labfile.entries import FEW_NODES, LAB_NETWORKS

TOTEM_PORT = 5405
"""corosync.conf(5), mcastport."""

FIRST_SIP_PORT = 6000
PORTS_A_PHONE = 100
"""Phones share an address: each has 100 SIP ports, in the order of the lab file, and as many for media."""

PHONES_CONTAINERS = 7
"""So many containers of phones have an address of their own in a lab over several hosts: below those of the nodes."""

_FIRST_HOST = 11
_FIRST_SERVICE = 41
_VIRTUAL = 61
_FIRST_BEYOND = 71


def address(subnet: str, nodeid: int) -> str:
    """A node's address, from its Corosync node id: before those of the services as long as there is room."""
    first = _FIRST_HOST if nodeid <= FEW_NODES else _FIRST_BEYOND - FEW_NODES
    return str(ipaddress.ip_network(subnet)[first - 1 + nodeid])


def service_address(subnet: str, number: int) -> str:
    """A service's address, from its place among them, from 1."""
    return str(ipaddress.ip_network(subnet)[_FIRST_SERVICE - 1 + number])


def virtual_address(subnet: str) -> str:
    """An address that no container of the lab has by itself: for one that moves from one to another."""
    return str(ipaddress.ip_network(subnet)[_VIRTUAL])


def phones_address(subnet: str, number: int = 1) -> str:
    """The address of the container that holds the phones; of a lab over several hosts that of one of
    PHONES_CONTAINERS, by its number from 1."""
    return str(ipaddress.ip_network(subnet)[_FIRST_HOST - 1 - number])


def sip_ports(index: int) -> range:
    """The SIP ports of a phone, by its place in the lab file from 0."""
    first = FIRST_SIP_PORT + PORTS_A_PHONE * index
    return range(first, first + PORTS_A_PHONE)


def free_subnet(name: str, taken: Iterable[str]) -> str:
    """A /24 of the lab networks that meets none of `taken`; the same name tends to get the same one.

    Raises HostError if none is left.
    """
    networks = [ipaddress.ip_network(subnet, strict=False) for subnet in taken]
    others = [network for network in networks if isinstance(network, ipaddress.IPv4Network)]
    candidates = list(LAB_NETWORKS.subnets(new_prefix=24))
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % len(candidates)
    for candidate in candidates[first:] + candidates[:first]:
        if not any(candidate.overlaps(other) for other in others):
            return str(candidate)
    raise HostError(
        f"no /24 of {LAB_NETWORKS} is free",
        "labctl ls and docker network ls show what takes them; labctl down, or docker network prune",
    )


def multicast(subnet: str, site: int = 0) -> tuple[str, int]:
    """Address and port of a lab's own for Corosync where that finds its members by multicast.

    The address is of the organization's own scope (RFC 2365, 6.2), and of the site alone: sites are on one network,
    but each has a ring of its own. Corosync also uses the port before it.
    """
    network = ipaddress.ip_network(subnet).network_address.packed
    return f"239.192.{network[1] + 2 * site}.{network[2]}", TOTEM_PORT + 2 * network[2]
