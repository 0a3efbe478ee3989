"""What Docker holds of labs: frozen data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Container:
    """A container of a lab. `spec` is the lab's record as JSON (labctl.blueprint.record), on the phones' alone."""

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


@dataclass(frozen=True)
class Network:
    """A lab's network. `seed` is what the lab's secrets are made from; `internal` as in CreateNetwork.

    `owner` is the verb that made the lab, `process` the process that did (labctl.blueprint.owner); "" in labs of 0.1.
    `created` is the engine's time in ISO 8601.
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


@dataclass(frozen=True)
class Observation:
    """Everything of one lab that Docker holds."""

    networks: tuple[Network, ...] = ()
    containers: tuple[Container, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing of the lab is there."""
        return not self.networks and not self.containers
