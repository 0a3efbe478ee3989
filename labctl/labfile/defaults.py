"""A lab file without mistakes becomes a Lab, in which every default is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labctl.lab import ExtraConfig, Lab, Mailbox, Node, OwnHint, Phone, Service, Totem, Version
from labctl.labfile.config_form import parts
from labctl.labfile.entries import (
    FIRST_EXTENSION,
    LabFile,
    MailboxEntry,
    PhoneEntry,
    TotemEntry,
    VersionEntry,
    device_names,
    node_names,
    site_nodes,
)
from labctl.labfile.patch_files import of_data
from labctl.labfile.service_entries import ServiceEntry
from labctl.stack.model import Stack

PHONE_NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")


def fill(entry: LabFile, stack: Stack, stacks: Mapping[str, Stack] | None = None) -> Lab:
    """The lab, with every default filled in. `stacks`: those that nodes have of their own, by node."""
    nodes = _nodes(entry, stacks or {})
    names = [node.name for node in nodes]
    count_or_list = len(names) if entry.phones is None else entry.phones
    if isinstance(count_or_list, int):
        phones = [_default_phone(index, names) for index in range(count_or_list)]
    else:
        phones = count_or_list
    mailboxes = entry.mailboxes
    if mailboxes is None:
        mailboxes = [MailboxEntry(number=phone.extension, node=_keeper(phone.node, nodes)) for phone in phones]
    return Lab(
        name=entry.name,
        stack=entry.stack,
        nodes=nodes,
        share=tuple(dict.fromkeys(entry.share if isinstance(entry.share, list) else entry.share.events)),
        phones=tuple(_phone(phone, phones, mailboxes, nodes) for phone in phones),
        mailboxes=tuple(Mailbox(mailbox.number, mailbox.node) for mailbox in mailboxes),
        devices=tuple(device_names(entry.devices)),
        without=tuple(entry.without),
        hints=tuple(OwnHint(extension, device) for extension, device in entry.hints.items()),
        totem=_totem(entry.totem, stack),
        modules=entry.modules,
        config=tuple(
            _extra_config(scope, path, part)
            for scope, files in entry.config.items()
            for path, value in files.items()
            for _, part in parts(value)
        ),
        subnet=entry.subnet,
        via="corosync" if isinstance(entry.share, list) else entry.share.via,
        cache_s=entry.dundi.cache if entry.sites else 0,
        follows_corosync=stack.follows_corosync if entry.follows_corosync is None else entry.follows_corosync,
        services=_services(entry),
        docker_hosts=tuple(entry.hosts),
    )


def _totem(entry: TotemEntry, stack: Stack) -> Totem:
    transport = entry.transport or stack.transports[0]
    encryption = transport in stack.encrypted_transports if entry.encryption is None else entry.encryption
    return Totem(entry.token, transport, encryption, entry.token_coefficient, entry.consensus)


def _services(entry: LabFile) -> tuple[Service, ...]:
    return tuple(_service(name, number, service) for number, (name, service) in enumerate(entry.services.items(), 1))


def _service(name: str, number: int, entry: ServiceEntry) -> Service:
    command = ("sh", "-c", entry.command) if isinstance(entry.command, str) else tuple(entry.command or ())
    return Service(
        name=name,
        number=number,
        image=entry.image or "",
        packages=tuple(dict.fromkeys(entry.packages)),
        command=command,
        environment=tuple(sorted(entry.environment.items())),
        files=tuple(sorted(entry.files.items())),
        ready=entry.ready or "",
        ready_s=entry.within,
        capabilities=tuple(dict.fromkeys(entry.capabilities)),
    )


def _extra_config(scope: str, path: str, part: Any) -> ExtraConfig:
    return ExtraConfig(scope, path, text=part) if isinstance(part, str) else ExtraConfig(scope, path, edits=part)


def _nodes(entry: LabFile, stacks: Mapping[str, Stack]) -> tuple[Node, ...]:
    """The nodes with their numbers; no two nodes have the same, whichever site they are in."""
    if entry.sites is not None:
        pairs = [(name, site) for site, names in site_nodes(entry.sites).items() for name in names]
    else:
        pairs = [(name, "") for name in (node_names(entry.nodes) if isinstance(entry.nodes, int) else entry.nodes)]
    return tuple(
        Node(name, nodeid, site, _version(entry.versions.get(name), stacks.get(name)), _host(entry.versions.get(name)))
        for nodeid, (name, site) in enumerate(pairs, 1)
    )


def _host(entry: VersionEntry | None) -> str:
    return entry.host or "" if entry else ""


def _version(entry: VersionEntry | None, stack: Stack | None) -> Version:
    if entry is None:
        return Version()
    patches = of_data(patch.model_dump() for patch in entry.patch or [])
    return Version(stack, entry.image or "", patches, entry.stack or "")


def _keeper(node: str, nodes: tuple[Node, ...]) -> str:
    """The node that keeps a mailbox by default: the first of the site that `node` is in."""
    site = {other.name: other.site for other in nodes}[node]
    return next(other.name for other in nodes if other.site == site)


def _phone(
    entry: PhoneEntry, phones: list[PhoneEntry], mailboxes: list[MailboxEntry], nodes: tuple[Node, ...]
) -> Phone:
    site = {node.name: node.site for node in nodes}
    others = [phone.name for phone in phones if phone.name != entry.name and site[phone.node] == site[entry.node]]
    watches = tuple(dict.fromkeys(others if entry.watches is None else entry.watches))
    near = [mailbox.number for mailbox in mailboxes if site[mailbox.node] == site[entry.node]]
    own = entry.extension if entry.extension in near else None
    named = (entry.name, entry.node, entry.extension, watches, entry.mailbox or own)
    return Phone(*named, also=tuple(entry.also), registrar=entry.registrar or "")


def _default_phone(index: int, nodes: list[str]) -> PhoneEntry:
    name = PHONE_NAMES[index] if index < len(PHONE_NAMES) else f"phone{index + 1}"
    return PhoneEntry(name=name, node=nodes[index % len(nodes)], extension=str(FIRST_EXTENSION + index))
