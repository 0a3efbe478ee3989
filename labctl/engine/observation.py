"""What Docker holds of labs: frozen data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Container:
    """A container of a lab. `spec` is the lab's record as JSON (labctl.blueprint.record), on the phones' alone; of a
    lab over several hosts on every one, as it was when that was made. `host` is the Docker host that it is on, `hosts`
    what its label says of all of the lab's (labctl.engine.host); "" where the lab is on one engine."""

    id: str
    name: str
    lab: str
    role: str
    node: str
    state: str
    config_hash: str
    address: str = ""
    spec: str = ""
    image: str = ""
    host: str = ""
    hosts: str = ""


@dataclass(frozen=True)
class Network:
    """A lab's network. `seed` is what the lab's secrets are made from; `internal` as in CreateNetwork.

    `owner` is the verb that made the lab, `process` the process that did (labctl.blueprint.owner); "" in labs of 0.1.
    `created` is the engine's time in ISO 8601. `bridge` is the device of the engine's machine that carries it.
    `overlay` as in CreateNetwork, `hosts` as in Container.
    """

    id: str
    name: str
    lab: str
    subnet: str
    seed: str
    internal: bool = True
    owner: str = ""
    process: str = ""
    created: str = ""
    bridge: str = ""
    overlay: bool = False
    hosts: str = ""


@dataclass(frozen=True)
class LostHost:
    """A Docker host that does not answer, why, and the nodes, phones and services that are on it. `meant`: no hosts
    were named, or it is among them."""

    name: str
    why: str
    parts: tuple[str, ...] = ()
    meant: bool = True


@dataclass(frozen=True)
class Observation:
    """Everything of one lab that Docker holds. `lost`: hosts that do not answer, on which there may be more."""

    networks: tuple[Network, ...] = ()
    containers: tuple[Container, ...] = ()
    lost: tuple[LostHost, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing of the lab is there."""
        return not self.networks and not self.containers

    def lost_host(self, part: str) -> LostHost | None:
        """The host of a node, service or the phones, where that does not answer."""
        return next((host for host in self.lost if part in host.parts), None)
