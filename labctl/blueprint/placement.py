"""Which host of several each part of a lab is on. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from labctl.errors import UsageError
from labctl.lab import Lab
from labctl.names import PHONES_HOST
from labctl.yamlfile.document import shown, suggestion


def spread(lab: Lab, hosts: Sequence[str]) -> dict[str, str]:
    """The host of each node, service and the phones, by their names; none where there are no hosts.

    A node is where its `host:` says, or else, in the order of the lab file, where the fewest are by then. Services and
    phones are on the first host: all phones share one container. Raises UsageError for a host that is not among them.
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
    return places | dict.fromkeys([*(service.name for service in lab.services), PHONES_HOST], hosts[0])
