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


def up(wanted: Blueprint, seen: Observation) -> Plan:
    """The steps that make `seen` into `wanted`; none where it is so already.

    A network on other addresses, or one that does not pass what the lab needs, is replaced, and with it every
    container. Several networks of one name (Docker allows that, and an interrupted `up` could leave them) are replaced
    by one.
    """
    as_wanted = [
        network for network in seen.networks if (network.subnet, network.internal) == (wanted.subnet, wanted.internal)
    ]
    fits = len(seen.networks) == len(as_wanted) == 1
    names = {container.name for container in wanted.containers}
    kept = {container.name: container for container in seen.containers if fits and container.name in names}
    removals = tuple((RemoveContainer(each.name, each.id),) for each in seen.containers if each.name not in kept)
    network: tuple[Chain, ...] = ()
    if not fits:
        create = CreateNetwork(wanted.network, wanted.subnet, wanted.labels, wanted.internal)
        network = ((*(RemoveNetwork(each.name, each.id) for each in seen.networks), create),)
    containers = tuple(_mend(each, kept.get(each.name)) for each in wanted.containers)
    return _stages(removals, network, tuple(chain for chain in containers if chain))


def _stages(*stages: tuple[Chain, ...]) -> Plan:
    return tuple(stage for stage in stages if stage)


def _mend(wanted: ContainerSpec, seen: Container | None) -> Chain:
    """The steps for one container."""
    create = (CreateContainer(wanted), StartContainer(wanted.name)) if wanted.starts else (CreateContainer(wanted),)
    if seen is None:
        return create
    # A node that never ran may lack its files: labctl was ended between making and filling it.
    mendable = ("running", "exited", "paused") if wanted.starts else ("running", "exited", "created")
    if seen.config_hash != dict(wanted.labels)[LABEL_CONFIG] or seen.state not in mendable:
        return (RemoveContainer(seen.name, seen.id), *create)
    if wanted.starts and seen.state == "exited":
        return (StartContainer(wanted.name),)
    if wanted.starts and seen.state == "paused":
        return (UnpauseContainer(wanted.name),)
    return ()


def down(seen: Observation) -> Plan:
    """The steps that take away all that is there."""
    containers = tuple((RemoveContainer(each.name, each.id),) for each in seen.containers)
    networks = tuple((RemoveNetwork(each.name, each.id),) for each in seen.networks)
    return _stages(containers, networks)
