"""What Docker holds of labs: frozen data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Container:
    """A container of a lab, as Docker tells it. `spec` is the lab and its stack as JSON, on the phones' alone."""

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
    """A lab's network. `seed` is what the lab's secrets are made from; `internal` as in CreateNetwork."""

    id: str
    name: str
    lab: str
    subnet: str
    seed: str
    internal: bool = True


@dataclass(frozen=True)
class Observation:
    """Everything of one lab that Docker holds."""

    networks: tuple[Network, ...] = ()
    containers: tuple[Container, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing of the lab is there."""
        return not self.networks and not self.containers
