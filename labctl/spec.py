"""What is wanted: a lab with every default filled in. Frozen data, no behaviour beyond look-ups."""

from __future__ import annotations

from dataclasses import dataclass

EVERY_NODE = "all"
"""The scope in `config:` that means every node; no node may have this name."""


@dataclass(frozen=True)
class Node:
    """One server: a Corosync and an Asterisk. `nodeid` is Corosync's, from 1."""

    name: str
    nodeid: int

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
    loads what the lab uses) or `all` (what is installed).
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

    def node(self, name: str) -> Node:
        """The node of that name. Raises KeyError."""
        return {node.name: node for node in self.nodes}[name]

    def phone(self, name: str) -> Phone:
        """The phone of that name. Raises KeyError."""
        return {phone.name: phone for phone in self.phones}[name]

    def phones_on(self, node: Node) -> tuple[Phone, ...]:
        """The phones that register with the node."""
        return tuple(phone for phone in self.phones if phone.node == node.name)
