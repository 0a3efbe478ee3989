"""(what is wanted, what is there) -> the steps between. Pure."""

from __future__ import annotations

from labctl.blueprint.drawing import Blueprint
from labctl.engine.actions import (
    Chain,
    ContainerSpec,
    CreateContainer,
    CreateNetwork,
    Plan,
    RemoveContainer,
    RemoveNetwork,
    StartContainer,
    UnpauseContainer,
)
from labctl.engine.observation import Container, Observation
from labctl.names import LABEL_CONFIG


def up(wanted: Blueprint, observation: Observation) -> Plan:
    """The steps that make what is there into what is wanted; none where it is so already.

    A network on other addresses, or one that does not pass what the lab needs, is replaced, and with it every
    container. Several networks of one name (Docker allows that, and an interrupted `up` could leave them) are replaced
    by one.
    """
    networks, containers = observation.networks, observation.containers
    as_wanted = [
        network for network in networks if (network.subnet, network.internal) == (wanted.subnet, wanted.internal)
    ]
    fits = len(networks) == len(as_wanted) == 1
    names = {spec.name for spec in wanted.containers}
    kept = {container.name: container for container in containers if fits and container.name in names}
    removals = tuple(_removal(container) for container in containers if container.name not in kept)
    network_chain: tuple[Chain, ...] = ()
    if not fits:
        create = CreateNetwork(wanted.network, wanted.subnet, wanted.labels, wanted.internal)
        network_chain = ((*(RemoveNetwork(network.name, network.id) for network in networks), create),)
    container_chains = tuple(_mend(spec, kept.get(spec.name)) for spec in wanted.containers)
    return _stages(removals, network_chain, tuple(chain for chain in container_chains if chain))


def _stages(*stages: tuple[Chain, ...]) -> Plan:
    return tuple(stage for stage in stages if stage)


def _removal(container: Container) -> Chain:
    return (RemoveContainer(container.name, container.id),)


def _mend(spec: ContainerSpec, container: Container | None) -> Chain:
    """The steps that make a container what it is to be; `container` is what is there."""
    create = (CreateContainer(spec), StartContainer(spec.name)) if spec.starts else (CreateContainer(spec),)
    if container is None:
        return create
    # A node that never ran may lack its files: labctl was killed between making and filling it.
    mendable = ("running", "exited", "paused") if spec.starts else ("running", "exited", "created")
    if container.config_hash != dict(spec.labels)[LABEL_CONFIG] or container.state not in mendable:
        return (*_removal(container), *create)
    if spec.starts and container.state == "exited":
        return (StartContainer(spec.name),)
    if spec.starts and container.state == "paused":
        return (UnpauseContainer(spec.name),)
    return ()


def down(observation: Observation) -> Plan:
    """The steps that take away all that is there."""
    containers = tuple(_removal(container) for container in observation.containers)
    networks = tuple((RemoveNetwork(network.name, network.id),) for network in observation.networks)
    return _stages(containers, networks)
