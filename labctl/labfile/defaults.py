"""A lab file without mistakes becomes a Lab, in which every default is filled in."""

from __future__ import annotations

from labctl.lab import ExtraConfig, Lab, Mailbox, Node, Phone, Totem
from labctl.labfile.entries import LabFile, MailboxEntry, PhoneEntry, node_names, site_nodes
from labctl.stack.model import Stack

FIRST_EXTENSION = 101
PHONE_NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")


def fill(entry: LabFile, stack: Stack) -> Lab:
    """The lab, with every default filled in."""
    nodes = _nodes(entry)
    names = [node.name for node in nodes]
    count_or_list = len(names) if entry.phones is None else entry.phones
    if isinstance(count_or_list, int):
        phones = [_default_phone(index, names) for index in range(count_or_list)]
    else:
        phones = count_or_list
    mailboxes = entry.mailboxes
    if mailboxes is None:
        mailboxes = [MailboxEntry(number=phone.extension, node=_keeper(phone.node, nodes)) for phone in phones]
    transport = entry.totem.transport or stack.transports[0]
    encryption = entry.totem.encryption
    if encryption is None:
        encryption = transport in stack.encrypted_transports
    return Lab(
        name=entry.name,
        stack=entry.stack,
        nodes=nodes,
        share=tuple(dict.fromkeys(entry.share if isinstance(entry.share, list) else entry.share.events)),
        phones=tuple(_phone(phone, phones, mailboxes, nodes) for phone in phones),
        mailboxes=tuple(Mailbox(mailbox.number, mailbox.node) for mailbox in mailboxes),
        devices=tuple(entry.devices),
        totem=Totem(entry.totem.token, transport, encryption),
        modules=entry.modules,
        config=tuple(
            ExtraConfig(scope, path, text) for scope, files in entry.config.items() for path, text in files.items()
        ),
        subnet=entry.subnet,
        via="corosync" if isinstance(entry.share, list) else entry.share.via,
        cache_s=entry.dundi.cache if entry.sites else 0,
        follows_corosync=stack.follows_corosync if entry.follows_corosync is None else entry.follows_corosync,
    )


def _nodes(entry: LabFile) -> tuple[Node, ...]:
    """The nodes with their numbers; no two nodes have the same, whichever site they are in."""
    if entry.sites is not None:
        pairs = [(name, site) for site, names in site_nodes(entry.sites).items() for name in names]
    else:
        pairs = [(name, "") for name in (node_names(entry.nodes) if isinstance(entry.nodes, int) else entry.nodes)]
    return tuple(Node(name, nodeid, site) for nodeid, (name, site) in enumerate(pairs, 1))


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
    return Phone(entry.name, entry.node, entry.extension, watches, entry.mailbox or own)


def _default_phone(index: int, nodes: list[str]) -> PhoneEntry:
    name = PHONE_NAMES[index] if index < len(PHONE_NAMES) else f"phone{index + 1}"
    return PhoneEntry(name=name, node=nodes[index % len(nodes)], extension=str(FIRST_EXTENSION + index))
