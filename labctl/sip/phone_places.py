"""Which container each phone of a lab is in: that on its node's Docker host, or the only one. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.blueprint import addresses
from labctl.blueprint.placement import phones_of
from labctl.engine.observation import Observation
from labctl.lab import Lab
from labctl.names import ROLE_PHONES, phones_host


@dataclass(frozen=True)
class PhonePlace:
    """A container of phones: its id, its address, and whether it runs."""

    container: str
    address: str
    runs: bool


def phone_places(lab: Lab, observation: Observation) -> dict[str, PhonePlace]:
    """Where each phone is, by its name. A phone whose container is not there is missing."""
    containers = {one.node: one for one in observation.containers if one.role == ROLE_PHONES}
    where = {one.node: one.host for one in observation.containers if one.host}
    subnet = observation.networks[0].subnet
    return {
        phone: PhonePlace(container.id, addresses.phones_address(subnet, number), container.state == "running")
        for phone, number in phones_of(lab, where).items()
        if (container := containers.get(phones_host(number)))
    }
