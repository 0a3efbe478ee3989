"""A lab as it is wanted, with every default filled in. Frozen data, no behaviour beyond look-ups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

EVERY_NODE = "all"
"""The scope in `config:` that means every node; no node may have this name."""

Carrier = Literal["corosync", "pjsip-publish"]
"""What may carry the state between nodes: the cluster module over Corosync, or PUBLISH from each node to each other."""
CARRIERS: tuple[Carrier, ...] = get_args(Carrier)


@dataclass(frozen=True)
class Node:
    """One server: a Corosync and an Asterisk. `nodeid` is Corosync's, from 1; `site` is "" where there are none."""

    name: str
    nodeid: int
    site: str = ""

    @property
    def entityid(self) -> str:
        """Asterisk's EID: fixed and unique, since states are told apart by it (asterisk.conf, entityid)."""
        return f"02:00:00:00:{self.nodeid >> 8:02x}:{self.nodeid & 0xFF:02x}"


@dataclass(frozen=True)
class Phone:
    """A SIP user agent, the node it registers with, and the phones whose state it watches (BLF)."""

    name: str
    node: str
    extension: str
    watches: tuple[str, ...]
    mailbox: str | None


@dataclass(frozen=True)
class Mailbox:
    """A voicemail box and the node that stores it."""

    number: str
    node: str


@dataclass(frozen=True)
class Totem:
    """corosync.conf, totem: `token_ms` is the time after which a silent member counts as lost."""

    token_ms: int
    transport: str
    encryption: bool


@dataclass(frozen=True)
class ExtraConfig:
    """Text to add to a configuration file. `scope` is a node's name or EVERY_NODE; `path` is below /etc."""

    scope: str
    path: str
    text: str


@dataclass(frozen=True)
class Lab:
    """A whole lab.

    `devices` are Custom devices without a phone, each with a hint of its own name. `modules` is `used` (Asterisk
    loads what the lab uses) or `all` (what is installed). `via` carries the state between the nodes of a site;
    between sites it is asked for by DUNDi, whose answers are kept for `cache_s` seconds. `follows_corosync`: Asterisk
    is restarted when Corosync was.
    """

    name: str
    stack: str
    nodes: tuple[Node, ...]
    share: tuple[str, ...]
    phones: tuple[Phone, ...]
    mailboxes: tuple[Mailbox, ...]
    devices: tuple[str, ...]
    totem: Totem
    modules: str = "used"
    config: tuple[ExtraConfig, ...] = ()
    subnet: str | None = None
    via: Carrier = "corosync"
    cache_s: int = 0
    follows_corosync: bool = False

    @property
    def rings(self) -> bool:
        """Whether its nodes are members of a ring."""
        return self.via == "corosync"

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of its sites; none where all nodes are one cluster."""
        return tuple(dict.fromkeys(node.site for node in self.nodes if node.site))

    def cluster_of(self, node: str) -> tuple[Node, ...]:
        """The nodes of a node's cluster, itself among them: those of its site, or all. Raises KeyError."""
        site = self.node(node).site
        return tuple(other for other in self.nodes if other.site == site)

    def phones_at(self, site: str) -> tuple[Phone, ...]:
        """The phones that register with nodes of a site; its nodes have hints for these alone."""
        return tuple(phone for phone in self.phones if self.node(phone.node).site == site)

    def extensions_of(self, node: str) -> tuple[str, ...]:
        """What a node has hints for. Raises KeyError."""
        return (*(phone.extension for phone in self.phones_at(self.node(node).site)), *self.devices)

    def node(self, name: str) -> Node:
        """The node of that name. Raises KeyError."""
        return {node.name: node for node in self.nodes}[name]

    def phone(self, name: str) -> Phone:
        """The phone of that name. Raises KeyError."""
        return {phone.name: phone for phone in self.phones}[name]

    def phone_at(self, dialed: str) -> Phone | None:
        """The phone of that name or extension; None for any other number."""
        return next((phone for phone in self.phones if dialed in (phone.name, phone.extension)), None)

    def mailbox(self, number: str) -> Mailbox:
        """The mailbox of that number. Raises KeyError."""
        return {mailbox.number: mailbox for mailbox in self.mailboxes}[number]

    def phones_on(self, node: Node) -> tuple[Phone, ...]:
        """The phones that register with the node."""
        return tuple(phone for phone in self.phones if phone.node == node.name)


@dataclass(frozen=True)
class Overrides:
    """What the flags of a command say, which goes before what the file says. None where a flag is not there."""

    name: str | None = None
    stack: str | None = None
    nodes: int | None = None
    via: Carrier | None = None
