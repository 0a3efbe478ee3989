"""The names of a lab's nodes and phones, for what was captured in it. Pure."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Sequence
from typing import Any

from labctl.blueprint import addresses
from labctl.capture.datagrams import Endpoint
from labctl.capture.messages import Message
from labctl.capture.names import AddressNames, Names
from labctl.errors import InvalidFile
from labctl.labfile.entries import LAB_NETWORKS
from labctl.labfile.writer import node_names
from labctl.yamlfile.document import parse


class LabPlaces:
    """Who is who in a lab: nodes and services by their address, phones by their port, which is each one's own, at
    those that they share.

    `phones` are names and extensions, in the lab file's order, as `nodes`. What is none of the lab's is told by
    `others`.
    """

    def __init__(
        self,
        subnet: str,
        nodes: Sequence[str],
        phones: Sequence[tuple[str, str]],
        others: Names,
        services: Sequence[str] = (),
    ) -> None:
        self._nodes = {addresses.address(subnet, number): name for number, name in enumerate(nodes, 1)}
        self._nodes |= {addresses.service_address(subnet, number): name for number, name in enumerate(services, 1)}
        numbers = range(1, addresses.PHONES_CONTAINERS + 1)
        self._phones_addresses = {addresses.phones_address(subnet, number) for number in numbers}
        self._phones = [name for name, _ in phones]
        self._users = {extension: name for name, extension in phones}
        self._others = others

    def place(self, endpoint: Endpoint) -> str:
        """A node, a service, a phone, or else an address."""
        if endpoint.address in self._phones_addresses:
            ports = (addresses.sip_ports(index) for index in range(len(self._phones)))
            for name, of_phone in zip(self._phones, ports, strict=True):
                if endpoint.port in of_phone:
                    return name
        return self._nodes.get(endpoint.address) or self._others.place(endpoint)

    def user(self, user: str) -> str:
        """A phone's name, for its name or its extension."""
        return self._users.get(user, user)


def names_of(lab_yaml: str, messages: Sequence[Message]) -> Names:
    """The names that a lab file tells, for messages that were seen in its lab; addresses where it tells none.

    The file may be a stranger's: what is not as labctl writes it is passed over.
    """
    others = AddressNames(messages)
    try:
        data = parse(lab_yaml, "lab").data
        nodes = [str(node) for node in node_names(data)][:200] if isinstance(data.get("nodes", []), list) else []
        phones = [(str(phone["name"]), str(phone["extension"])) for phone in data.get("phones", [])][:500]
        services = [str(name) for name in dict(data.get("services") or {})][:200]
    except (InvalidFile, KeyError, TypeError, AttributeError, ValueError):
        return others
    subnet = _subnet(data, messages)
    try:
        return LabPlaces(subnet, nodes, phones, others, services) if subnet else others
    except (IndexError, ValueError):  # a network that has no room for them
        return others


def _subnet(data: dict[str, Any], messages: Sequence[Message]) -> str:
    """The lab's subnet: as its file says, else the /24 of the lab networks that most was seen in; "" for none."""
    if data.get("subnet"):
        try:
            return str(ipaddress.IPv4Network(str(data["subnet"])))
        except ValueError:
            return ""
    seen: Counter[str] = Counter()
    for message in messages:
        address = ipaddress.ip_address(message.source.address)
        if address in LAB_NETWORKS:
            seen[str(ipaddress.ip_network((int(address) & ~0xFF, 24)))] += 1
    return seen.most_common(1)[0][0] if seen else ""
