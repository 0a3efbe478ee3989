"""A lab that is there: what it is to be, and what Docker holds of it. Frozen data."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.blueprint.addresses import address
from labctl.corosync.membership import address_id
from labctl.engine.observation import Container, Observation
from labctl.errors import LabError, UsageError
from labctl.lab import Lab
from labctl.names import ROLE_NODE
from labctl.stack.model import Stack
from labctl.yamlfile.document import suggestion


@dataclass(frozen=True)
class Running:
    """A lab as Docker holds it."""

    lab: Lab
    stack: Stack
    observation: Observation

    @property
    def node_ids(self) -> dict[str, str]:
        """The id of each node's container, by the node's name; none where it is gone."""
        return {part.node: part.id for part in self.observation.containers if part.role == ROLE_NODE}

    @property
    def addresses(self) -> dict[str, str]:
        """The address of each node, by its name; none where there is no network."""
        networks = self.observation.networks[:1]
        return {node.name: address(network.subnet, node.nodeid) for network in networks for node in self.lab.nodes}

    @property
    def ring_numbers(self) -> dict[int, int]:
        """What Corosync may call each node -> its number in the lab: that itself, or (1.x) its address as a number."""
        by_address = {address_id(ip): self.lab.node(name).nodeid for name, ip in self.addresses.items()}
        return {node.nodeid: node.nodeid for node in self.lab.nodes} | by_address

    def container(self, node: str) -> Container:
        """A node's container. Raises UsageError for a name that is not in the lab, LabError if it is gone."""
        names = [other.name for other in self.lab.nodes]
        if node not in names:
            raise UsageError(f"no node `{node}` in the lab {self.lab.name}", suggestion(node, names))
        containers = {container.node: container for container in self.observation.containers}
        if node not in containers:
            raise LabError(f"the container of {node} is gone", f"labctl up --name {self.lab.name} makes it again")
        return containers[node]
