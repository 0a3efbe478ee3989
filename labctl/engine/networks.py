"""Networks: their subnets, made and taken away."""

from __future__ import annotations

import ipaddress
from contextlib import suppress

from docker import errors as docker_errors
from docker.types import IPAMConfig, IPAMPool

from labctl.engine.access import Access, translated
from labctl.engine.actions import NO_ROUTER, CreateNetwork, RemoveNetwork
from labctl.errors import HostError, LabctlError
from labctl.timing import PATIENCE, pass_time

OVERLAY = "overlay"
"""The driver of networks that go over all hosts of a Swarm."""

TASKS_END_S = 120.0
"""How long a manager of a Swarm may take to know that a container on another host is gone: some of its heartbeats, of
which there is one in five seconds, and more where hosts are busy (more than 20 s were seen at a load of 90)."""

ASK_AGAIN_S = 0.2
"""How soon it is asked again; nothing tells of it."""


_TASK_STAYS = "a host that does not answer has a container on it; if it never comes back: docker node rm --force NODE"


class SubnetTaken(LabctlError):
    """Another network took the addresses after the free ones were looked up; look again."""


def _own_addresses(subnet: str) -> ipaddress.IPv4Network:
    """The last quarter of a subnet. A Swarm takes an address of the network for each host, and by itself any that is
    free at that moment, such as that of a node which is down."""
    return list(ipaddress.IPv4Network(subnet).subnets(prefixlen_diff=2))[-1]


class Networks:
    """The networks of an engine."""

    def __init__(self, access: Access) -> None:
        self._api = access.api

    def subnets(self) -> list[str]:
        """The subnets of every Docker network on this engine."""
        with translated("list networks"):
            networks = self._api.networks()
        configs = [config for network in networks for config in (network["IPAM"].get("Config") or [])]
        return [config["Subnet"] for config in configs if "Subnet" in config]

    def swarm_nodes(self) -> frozenset[str]:
        """The ids of all nodes of the engine's Swarm, of which it is a manager."""
        with translated("list the nodes of the Swarm"):
            return frozenset(str(node["ID"]) for node in self._api.nodes())

    def lists(self, network: str) -> bool:
        """Whether the engine lists a network of that id, one of a Swarm that is about to go among them."""
        with translated("list networks"):
            return bool(self._api.networks(ids=[network]))

    def create(self, step: CreateNetwork) -> None:
        """Make a network. Raises SubnetTaken where its addresses meet another's."""
        range_ = str(_own_addresses(step.subnet)) if step.overlay else None
        ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=step.subnet, iprange=range_)])
        try:
            # Internal: nothing of a lab reaches the outside, and nothing outside reaches the lab.
            self._api.create_network(
                step.name,
                OVERLAY if step.overlay else "bridge",
                ipam=ipam,
                attachable=step.overlay or None,
                labels=dict(step.labels),
                internal=step.internal,
                options=None if step.internal or step.overlay else NO_ROUTER,
            )
        except docker_errors.APIError as error:
            if "overlap" in str(error.explanation):
                raise SubnetTaken(f"{step.subnet} is taken: {error.explanation}") from None
            raise

    def remove(self, step: RemoveNetwork) -> None:
        """Take a network away; one that is gone already counts as removed.

        Endpoints of containers that are gone, which the engine has not noticed, are taken away by force. Raises
        HostError where something is still connected: a container that is not the lab's, or an endpoint that the
        engine counts and does not name.
        """
        if not self._removes(step):
            _, leaked = self._connected(step)
            for name in leaked:
                with suppress(docker_errors.APIError):  # what stays is told below
                    self._api.disconnect_container_from_network(name, step.id, force=True)
            if not self._removes(step):
                raise self._still_connected(step)

    def _removes(self, step: RemoveNetwork) -> bool:
        """Whether the network is gone; false where something is connected to it.

        A Swarm has a task for each container on its network, until the container's host has told a manager that it is
        gone: that is waited for.
        """
        deadline = PATIENCE.deadline(TASKS_END_S)
        while True:
            try:
                with suppress(docker_errors.NotFound):
                    self._api.remove_network(step.id)
            except docker_errors.APIError as error:
                why = str(error.explanation)
                if "in use by task" in why:
                    if deadline.passed:
                        raise HostError(f"{step}: {why}", _TASK_STAYS) from None
                    pass_time(ASK_AGAIN_S)
                    continue
                if "active endpoints" not in why:
                    raise
                return False
            return True

    def _connected(self, step: RemoveNetwork) -> tuple[list[str], list[str]]:
        """The names of what is connected: of containers that are there, and of those that are gone."""
        endpoints = (self._api.inspect_network(step.id).get("Containers") or {}).items()
        containers = {container["Id"] for container in self._api.containers(all=True)}
        foreign = sorted(endpoint["Name"] for identity, endpoint in endpoints if identity in containers)
        return foreign, sorted(endpoint["Name"] for identity, endpoint in endpoints if identity not in containers)

    def _still_connected(self, step: RemoveNetwork) -> HostError:
        foreign, leaked = self._connected(step)
        if foreign:
            return HostError(
                f"{step}: containers that are not the lab's are connected to it: {', '.join(foreign)}",
                "\n".join(f"docker network disconnect {step.name} {name}" for name in foreign),
            )
        commands = [f"docker network disconnect --force {step.name} {name}" for name in leaked]
        return HostError(
            f"{step}: the engine still counts endpoints of containers that are gone "
            f"({', '.join(leaked) or 'it does not name them'})",
            "\n".join([*commands, "if it stays so, restart the Docker Engine; labctl down then goes on from here"]),
        )
