"""(what is wanted, what is there) -> the steps between. Pure."""

from __future__ import annotations

from labctl.blueprint import LABEL_CONFIG, LABEL_ROLE, ROLE_NODE, ROLE_PHONES, Blueprint
from labctl.facts import Container, Observation
from labctl.steps import (
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


def up(wanted: Blueprint, seen: Observation) -> Plan:
    """The steps that make `seen` into `wanted`; none where it is so already."""
    return nodes(wanted, seen) + phones(wanted, seen)


def nodes(wanted: Blueprint, seen: Observation) -> Plan:
    """The first part of `up`: what is stale goes, then the network and the nodes are made or mended.

    A network on other addresses is replaced, and with it every container. Several networks of one name
    (Docker allows that, and an interrupted `up` could leave them) are replaced by one.
    """
    kept = _kept(wanted, seen)
    removals = tuple((RemoveContainer(each.name, each.id),) for each in seen.containers if each.name not in kept)
    network: tuple[Chain, ...] = ()
    if not _network_fits(wanted, seen):
        create = CreateNetwork(wanted.network, wanted.subnet, wanted.labels)
        network = ((*(RemoveNetwork(each.name, each.id) for each in seen.networks), create),)
    return _stages(removals, network, _mended(wanted, kept, ROLE_NODE))


def phones(wanted: Blueprint, seen: Observation) -> Plan:
    """The second part of `up`, which needs not be waited for while the nodes boot."""
    return _stages(_mended(wanted, _kept(wanted, seen), ROLE_PHONES))


def _network_fits(wanted: Blueprint, seen: Observation) -> bool:
    return len(seen.networks) == 1 and seen.networks[0].subnet == wanted.subnet


def _kept(wanted: Blueprint, seen: Observation) -> dict[str, Container]:
    """The containers that stay, if mended, by name."""
    names = {container.name for container in wanted.containers}
    fits = _network_fits(wanted, seen)
    return {container.name: container for container in seen.containers if fits and container.name in names}


def _mended(wanted: Blueprint, kept: dict[str, Container], role: str) -> tuple[Chain, ...]:
    of_role = [container for container in wanted.containers if dict(container.labels)[LABEL_ROLE] == role]
    return tuple(chain for chain in (_mend(each, kept.get(each.name)) for each in of_role) if chain)


def _stages(*stages: tuple[Chain, ...]) -> Plan:
    return tuple(stage for stage in stages if stage)


def _mend(wanted: ContainerSpec, seen: Container | None) -> Chain:
    """The steps for one container."""
    create = (CreateContainer(wanted), StartContainer(wanted.name))
    if seen is None:
        return create
    same = seen.config_hash == dict(wanted.labels)[LABEL_CONFIG]
    # One that never ran may lack its files: labctl was ended between making and filling it.
    if not same or seen.state not in ("running", "exited", "paused"):
        return (RemoveContainer(seen.name, seen.id), *create)
    if seen.state == "exited":
        return (StartContainer(wanted.name),)
    if seen.state == "paused":
        return (UnpauseContainer(wanted.name),)
    return ()


def down(seen: Observation) -> Plan:
    """The steps that take away all that is there."""
    containers = tuple((RemoveContainer(each.name, each.id),) for each in seen.containers)
    networks = tuple((RemoveNetwork(each.name, each.id),) for each in seen.networks)
    return _stages(containers, networks)
