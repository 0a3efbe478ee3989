"""A lab that is there: what it is to be, and what Docker holds of it. Frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field

from labctl.blueprint import node_config
from labctl.blueprint.addresses import address, service_address
from labctl.corosync.membership import address_id
from labctl.engine.observation import Container, Observation
from labctl.errors import LabError, UsageError
from labctl.images.builder import Options
from labctl.lab import Lab, Service, Version
from labctl.labfile.variables import Values
from labctl.names import ROLE_NODE
from labctl.stack.model import Stack
from labctl.yamlfile.document import suggestion


@dataclass(frozen=True)
class Running:
    """A lab as Docker holds it. `upgraded`: what nodes run since then, by name; who upgrades one writes it there.
    `options`: how images are made that it comes to need."""

    lab: Lab
    stack: Stack
    observation: Observation
    upgraded: dict[str, Version] = field(default_factory=dict, compare=False)
    options: Options = field(default_factory=Options, compare=False)

    def version_of(self, node: str) -> Version:
        """What a node runs where that is other than what the lab runs. Raises KeyError."""
        return self.upgraded.get(node, self.lab.node(node).version)

    def stack_of(self, node: str) -> Stack:
        """The stack of a node. Raises KeyError."""
        return self.version_of(node).of(self.stack)

    @property
    def channels(self) -> dict[str, str]:
        """The technology of each phone's device, such as PJSIP, by the phone's name."""
        return {phone.name: self.stack_of(phone.node).sip_channel for phone in self.lab.phones}

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
    def service_addresses(self) -> dict[str, str]:
        """The address of each service, by its name; none where there is no network."""
        networks = self.observation.networks[:1]
        return {
            service.name: service_address(network.subnet, service.number)
            for network in networks
            for service in self.lab.services
        }

    def values(self, part: str = "") -> Values:
        """What names such as `${n1.address}` stand for in texts about a node, which is `node` in them, or a service."""
        node = next((node for node in self.lab.nodes if node.name == part), None)
        return node_config.values_of(self.lab, node, self.observation.networks[0].subnet)

    def named_in(self, service: Service) -> Service:
        """A service with the names in its texts filled in; where there is no network, as it is."""
        networks = self.observation.networks[:1]
        return next((node_config.named_in(service, self.lab, network.subnet) for network in networks), service)

    @property
    def bridges(self) -> tuple[str, ...]:
        """The devices of the engine's machine that carry the lab's networks."""
        return tuple(network.bridge for network in self.observation.networks)

    @property
    def ring_numbers(self) -> dict[int, int]:
        """What Corosync may call each node -> its number in the lab: that itself, or (1.x) its address as a number."""
        by_address = {address_id(ip): self.lab.node(name).nodeid for name, ip in self.addresses.items()}
        return {node.nodeid: node.nodeid for node in self.lab.nodes} | by_address

    def container(self, node: str) -> Container:
        """The container of a node or service. Raises UsageError for a name that is not in the lab, LabError if it is
        gone."""
        names = self.lab.hosts
        if node not in names:
            raise UsageError(f"no node `{node}` in the lab {self.lab.name}", suggestion(node, names))
        containers = {container.node: container for container in self.observation.containers}
        if node not in containers:
            raise self.missing(node)
        return containers[node]

    def missing(self, part: str) -> LabError:
        """Why the container of a node, a service or the phones is not there: it is gone, or its Docker host is lost."""
        host = self.observation.lost_host(part)
        if host:
            return LabError(
                f"the host of {part}, {host.name}, does not answer: {host.why}", "labctl ps tells what is left"
            )
        return LabError(f"the container of {part} is gone", f"labctl up --name {self.lab.name} makes it again")
