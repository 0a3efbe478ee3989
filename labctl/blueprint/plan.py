"""(what is wanted, what is there) -> the steps between. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from labctl.blueprint import node_config
from labctl.blueprint.drawing import Blueprint
from labctl.engine.actions import (
    AwaitReady,
    Chain,
    ContainerSpec,
    CreateContainer,
    CreateNetwork,
    Plan,
    RemoveContainer,
    RemoveNetwork,
    RenameContainer,
    StartContainer,
    UnpauseContainer,
)
from labctl.engine.observation import Container, Observation
from labctl.names import LABEL_CONFIG, LABEL_ROLE, ROLE_CAPTURE, ROLE_PHONES, ROLE_SERVICE

NEXT = "-next"
"""What the name of a container ends with that takes the place of another, until that is gone."""


def up(wanted: Blueprint, observation: Observation) -> Plan:
    """The steps that make what is there into what is wanted; none where it is so already.

    A network on other addresses, or one that does not pass what the lab needs, is replaced, and with it every
    container. Several networks of one name (Docker allows that, and an interrupted `up` could leave them) are replaced
    by one. What captures packets goes on, and ends by itself.

    The container that carries the lab's record is made first: whoever ends this process, the next one finds there what
    the lab is to be.
    """
    networks, containers = observation.networks, observation.containers
    as_wanted = [
        network
        for network in networks
        if (network.subnet, network.internal, network.overlay) == (wanted.subnet, wanted.internal, wanted.overlay)
    ]
    fits = len(networks) == len(as_wanted) == 1
    specs = {spec.name: spec for spec in wanted.containers}
    of_record = {name for spec in specs.values() if not spec.starts for name in (spec.name, f"{spec.name}{NEXT}")}
    places = {spec.name: spec.host for spec in specs.values()}
    places |= {f"{spec.name}{NEXT}": spec.host for spec in specs.values() if not spec.starts}
    kept = {part.name: part for part in containers if fits and places.get(part.name) == part.host}
    removals = [part for part in containers if kept.get(part.name) != part and not _captures(part)]
    nodes_gone = tuple(_removal(container) for container in removals if container.name not in of_record)
    record_gone = tuple(_removal(container) for container in removals if container.name in of_record)
    network_chain: tuple[Chain, ...] = ()
    if not fits:
        create = CreateNetwork(wanted.network, wanted.subnet, wanted.labels, wanted.internal, wanted.overlay)
        network_chain = ((*(RemoveNetwork(network.name, network.id) for network in networks), create),)
    record = _chains(_keep_record(spec, kept) for spec in specs.values() if not spec.starts)
    first = (nodes_gone, record_gone, network_chain, record)
    if fits:
        first = (record, (*nodes_gone, *record_gone), (), ())
    return _stages(*first, *_started(wanted, kept))


def _started(wanted: Blueprint, kept: Mapping[str, Container]) -> tuple[tuple[Chain, ...], ...]:
    """The stages of what starts with the lab: services, then nodes."""
    services = (
        _with_readiness(_mend(spec, kept.get(spec.name)), spec, wanted) for spec in wanted.containers if _serves(spec)
    )
    nodes = (
        _keep_waiting(spec, kept.get(spec.name)) if spec.name in wanted.waiting else _mend(spec, kept.get(spec.name))
        for spec in wanted.containers
        if spec.starts and not _serves(spec)
    )
    return _chains(services), _chains(nodes)


def _serves(spec: ContainerSpec) -> bool:
    """Whether it is a server beside the nodes: those start first, for nodes may want them."""
    return dict(spec.labels)[LABEL_ROLE] == ROLE_SERVICE


def _with_readiness(steps: Chain, spec: ContainerSpec, wanted: Blueprint) -> Chain:
    """The steps for a service, and then that it is ready, where it says how to tell."""
    service = wanted.lab.service(spec.hostname)
    if not steps or not service or not service.ready:
        return steps
    ready = node_config.named_in(service, wanted.lab, wanted.subnet).ready
    return (*steps, AwaitReady(spec.name, ready, service.ready_s))


def _chains(chains: Iterable[Chain]) -> tuple[Chain, ...]:
    return tuple(chain for chain in chains if chain)


def _keep_record(spec: ContainerSpec, kept: Mapping[str, Container]) -> Chain:
    """The steps for a container that carries the lab's record: a new one is there before the old one goes."""
    own, spare = kept.get(spec.name), kept.get(f"{spec.name}{NEXT}")
    spare_gone = _removal(spare) if spare else ()
    steps = _mend(spec, own)
    if own is None or not steps:
        return (*steps, *spare_gone)
    new = replace(spec, name=f"{spec.name}{NEXT}")
    return (*spare_gone, CreateContainer(new), *_removal(own), RenameContainer(new.name, spec.name))


def _keep_waiting(spec: ContainerSpec, container: Container | None) -> Chain:
    """The steps for a node that is not started at first: it is made, and where it was started since, mended.

    One that was never started is made anew: it may lack its files, where labctl was killed before it had them.
    """
    if container is not None and container.state != "created":
        return _mend(spec, container)
    return (*(_removal(container) if container else ()), CreateContainer(spec))


def _stages(*stages: tuple[Chain, ...]) -> Plan:
    return tuple(stage for stage in stages if stage)


def _removal(container: Container) -> Chain:
    return (RemoveContainer(container.name, container.id),)


def _captures(container: Container) -> bool:
    """Whether it is one of labctl.cluster.dumpcap, and runs."""
    return container.role == ROLE_CAPTURE and container.state == "running"


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
    """The steps that take away all that is there: what carries the lab's record after the nodes, so that half a lab has
    it; what captures packets last: it may be about to end. Where hosts are lost that are meant the network stays:
    something there is connected to it, and its label names all hosts."""
    by_turn: tuple[list[Chain], list[Chain], list[Chain]] = ([], [], [])
    for container in observation.containers:
        by_turn[2 if _captures(container) else int(container.role == ROLE_PHONES)].append(_removal(container))
    nodes, record, captures = map(tuple, by_turn)
    stays = any(host.meant for host in observation.lost)
    networks = tuple((RemoveNetwork(network.name, network.id),) for network in observation.networks if not stays)
    return _stages(nodes, record, networks, captures)
