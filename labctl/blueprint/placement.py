"""Which host of several each part of a lab is on. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from labctl.blueprint.addresses import PHONES_CONTAINERS
from labctl.errors import UsageError
from labctl.lab import Lab
from labctl.names import phones_host
from labctl.yamlfile.document import shown, suggestion


def spread(lab: Lab, hosts: Sequence[str]) -> dict[str, str]:
    """The host of each node, service and container of phones, by their names; none where there are no hosts.

    A node is where its `host:` says, or else, in the order of the lab file, where the fewest are by then. Services are
    on the first host. A phone is where its node is: each of the first PHONES_CONTAINERS hosts that has a node with a
    phone has a container of phones, and the first has one in any case, for it carries the lab's record. Raises
    UsageError for a host that is not among them.
    """
    for node in lab.nodes:
        if node.host and node.host not in hosts:
            raise UsageError(
                f"{node.name}: `host: {shown(node.host)}` is none of the hosts that the lab is made over",
                suggestion(node.host, hosts) if hosts else "name them: labctl up --hosts one,two, or `hosts:`",
            )
    if not hosts:
        return {}
    places = {node.name: node.host for node in lab.nodes if node.host}
    for node in lab.nodes:
        if node.name not in places:
            count = Counter(places.values())
            places[node.name] = min(hosts, key=lambda host: count[host])
    return places | dict.fromkeys((service.name for service in lab.services), hosts[0]) | _of_phones(lab, hosts, places)


def _of_phones(lab: Lab, hosts: Sequence[str], places: Mapping[str, str]) -> dict[str, str]:
    """The host of each container of phones."""
    wanted = {hosts[0], *(places[phone.node] for phone in lab.phones)}
    return {phones_host(number): host for number, host in enumerate(hosts[:PHONES_CONTAINERS], 1) if host in wanted}


def phones_of(lab: Lab, places: Mapping[str, str]) -> dict[str, int]:
    """The number of the container that each phone is in, by the phone's name, where parts of the lab are at `places`:
    that on its node's host, or else the first, which is the only one of a lab on one engine."""
    numbers = {places.get(phones_host(number)): number for number in range(PHONES_CONTAINERS, 0, -1)}
    numbers.pop(None, None)
    return {phone.name: numbers.get(places.get(phone.node), 1) for phone in lab.phones}
