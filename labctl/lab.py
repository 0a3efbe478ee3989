"""A lab as it is wanted, with every default filled in. Frozen data, no behaviour beyond look-ups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labctl.patch import Patch
from labctl.stack.carriers import CARRIERS, Carrier

if TYPE_CHECKING:
    from labctl.stack.model import Stack
else:
    Stack = Any  # what the command line imports loads no pydantic

__all__ = ["CARRIERS", "EVERY_NODE", "MAX_NODES", "VIRTUAL", "Carrier", "Lab", "Node", "Overrides", "Phone", "Version"]

MAX_NODES = 64
"""In all rings and sites of a lab together: its subnet and its phones' ports are laid out for so many. Corosync has
room for 384 (totem.h, PROCESSOR_COUNT_MAX); how many it holds together is a matter of the machine."""

EVERY_NODE = "all"
"""The scope in `config:` that means every node; no node may have this name."""

VIRTUAL = "lab.virtual"
"""What the lab's virtual address is called as a place where phones register; no service may have this name."""


@dataclass(frozen=True)
class Version:
    """What a node runs where that is other than what the lab runs: a stack of its own, an image that was built
    elsewhere ("" for none), patches beside the lab's. It is false where nothing is. `named`: the stack as the file
    names it."""

    stack: Stack | None = None
    image: str = ""
    patches: tuple[Patch, ...] = ()
    named: str = ""

    def __bool__(self) -> bool:
        return bool(self.stack or self.image or self.patches)

    def __str__(self) -> str:
        words = [f"stack {self.stack.name}"] if self.stack else []
        words += [f"image {self.image}"] if self.image else []
        words += [f"patch {patch.name}" for patch in self.patches]
        return ", ".join(words) or "as the lab"

    def of(self, stack: Stack) -> Stack:
        """The stack of a node of this version, in a lab of `stack`."""
        return (self.stack or stack).with_image(self.image)


@dataclass(frozen=True)
class Node:
    """One server: a Corosync and an Asterisk. `nodeid` is Corosync's, from 1; `site` is "" where there are none, and so
    is `host` where it does not matter on which of several Docker hosts it is."""

    name: str
    nodeid: int
    site: str = ""
    version: Version = field(default_factory=Version)
    host: str = ""

    @property
    def entityid(self) -> str:
        """Asterisk's EID: fixed and unique, since states are told apart by it (asterisk.conf, entityid)."""
        return f"02:00:00:00:{self.nodeid >> 8:02x}:{self.nodeid & 0xFF:02x}"


@dataclass(frozen=True)
class Phone:
    """A SIP user agent, the node it registers with, and the phones whose state it watches (BLF).

    `also` are nodes that know it, too: it may register with these, in their order, where it does not with its own.
    `registrar`: the service in front of its node, or VIRTUAL, that it registers with in place of that; "" for none.
    """

    name: str
    node: str
    extension: str
    watches: tuple[str, ...]
    mailbox: str | None
    also: tuple[str, ...] = ()
    registrar: str = ""

    @property
    def known_to(self) -> tuple[str, ...]:
        """The nodes that know it, its own first."""
        return (self.node, *self.also)

    @property
    def registrars(self) -> tuple[str, ...]:
        """Where it registers, in the order in which it turns to them."""
        return (*([self.registrar] if self.registrar else []), *self.known_to)

    @property
    def shown_as(self) -> tuple[str, str]:
        """By what it may be shown to whom it calls."""
        return self.name, self.extension


@dataclass(frozen=True)
class OwnHint:
    """A hint of the user's own, on every node: an extension, and the device whose state it has (`Queue:support`)."""

    extension: str
    device: str


@dataclass(frozen=True)
class Mailbox:
    """A voicemail box and a node that stores it. Of several of one number the first has the messages, others copies."""

    number: str
    node: str


@dataclass(frozen=True)
class Totem:
    """corosync.conf, totem: `token_ms` is the time after which a silent member of two counts as lost; with each node
    more it is longer by `coefficient_ms`. None where Corosync's own rule holds (corosync/totem.py)."""

    token_ms: int
    transport: str
    encryption: bool
    coefficient_ms: int | None = None
    consensus_ms: int | None = None


@dataclass(frozen=True)
class ExtraConfig:
    """What is done to a configuration file: text that is added, or edits of its sections (configfile/edit.py).

    `scope` is a node's name or EVERY_NODE; `path` is below /etc; one from `/` on is that of a whole file
    of another program's.
    """

    scope: str
    path: str
    text: str = ""
    edits: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True)
class Service:
    """A server beside the nodes. `number` is its place among them, from 1.

    It runs `image`, or one that is made of Debian's `packages`. `command` is what runs in it; the image's own where
    there is none. `ready` is a line of shell in it that ends with 0 once it is, within `ready_s` seconds.
    """

    name: str
    number: int
    image: str = ""
    packages: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    ready: str = ""
    ready_s: float = 60.0
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lab:
    """A whole lab.

    `devices` are Custom devices without a phone, each with a hint of its own name; `hints` are others. `modules` is
    `used` (Asterisk loads what the lab uses) or `all` (what is installed). `via` carries the state between the nodes of
    a site; between sites it is asked for by DUNDi, whose answers are kept for `cache_s` seconds. `follows_corosync`:
    Asterisk is restarted when Corosync was. `without`: nodes that are part of the lab, and not started at first.
    `services` are servers of other kinds beside the nodes. `docker_hosts`: those that it is to be made over.
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
    hints: tuple[OwnHint, ...] = ()
    without: tuple[str, ...] = ()
    services: tuple[Service, ...] = ()
    docker_hosts: tuple[str, ...] = ()

    @property
    def rings(self) -> bool:
        """Whether its nodes are members of a ring."""
        return self.via == "corosync"

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of its sites; none where all nodes are one cluster."""
        return tuple(dict.fromkeys(node.site for node in self.nodes if node.site))

    @property
    def versions(self) -> dict[str, Version]:
        """What nodes run that is other than what the lab runs, by their names."""
        return {node.name: node.version for node in self.nodes if node.version}

    def cluster_of(self, node: str) -> tuple[Node, ...]:
        """The nodes of a node's cluster, itself among them: those of its site, or all. Raises KeyError."""
        site = self.node(node).site
        return tuple(other for other in self.nodes if other.site == site)

    def phones_at(self, site: str) -> tuple[Phone, ...]:
        """The phones that register with nodes of a site; its nodes have hints for these alone."""
        return tuple(phone for phone in self.phones if self.node(phone.node).site == site)

    def extensions_of(self, node: str) -> tuple[str, ...]:
        """What a node has hints for. Raises KeyError."""
        phones = (phone.extension for phone in self.phones_at(self.node(node).site))
        return (*phones, *self.devices, *(hint.extension for hint in self.hints))

    @property
    def extensions(self) -> tuple[str, ...]:
        """What nodes have hints for: the extensions of phones, Custom devices, and hints of the user's own."""
        phones = (phone.extension for phone in self.phones)
        return (*phones, *self.devices, *(hint.extension for hint in self.hints))

    def node(self, name: str) -> Node:
        """The node of that name. Raises KeyError."""
        return {node.name: node for node in self.nodes}[name]

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of its nodes and its services."""
        return (*(node.name for node in self.nodes), *(service.name for service in self.services))

    @property
    def fronts(self) -> tuple[str, ...]:
        """What phones can register with that is no node: its services, and its virtual address."""
        return (*(service.name for service in self.services), VIRTUAL)

    def service(self, name: str) -> Service | None:
        """The service of that name, if there is one."""
        return next((service for service in self.services if service.name == name), None)

    def phone(self, name: str) -> Phone:
        """The phone of that name. Raises KeyError."""
        return {phone.name: phone for phone in self.phones}[name]

    def phone_at(self, dialed: str) -> Phone | None:
        """The phone of that name or extension; None for any other number."""
        return next((phone for phone in self.phones if dialed in (phone.name, phone.extension)), None)

    def is_mailbox(self, dialed: str) -> bool:
        """Whether `*` and a number is a mailbox, or the echo test, and no hint's extension."""
        return dialed.startswith("*") and dialed not in [hint.extension for hint in self.hints]

    def mailbox(self, number: str) -> Mailbox:
        """The mailbox of that number, the first of several. Raises KeyError."""
        return {mailbox.number: mailbox for mailbox in reversed(self.mailboxes)}[number]

    def keepers(self, number: str) -> tuple[str, ...]:
        """The nodes that store a mailbox of that number, the first one first."""
        return tuple(mailbox.node for mailbox in self.mailboxes if mailbox.number == number)

    @property
    def mailbox_numbers(self) -> tuple[str, ...]:
        """The number of every mailbox, each once."""
        return tuple(dict.fromkeys(mailbox.number for mailbox in self.mailboxes))

    def phones_on(self, node: Node) -> tuple[Phone, ...]:
        """The phones that register with the node."""
        return tuple(phone for phone in self.phones if phone.node == node.name)

    def phones_known_to(self, node: Node) -> tuple[Phone, ...]:
        """The phones that may register with the node."""
        return tuple(phone for phone in self.phones if node.name in phone.known_to)


@dataclass(frozen=True)
class Overrides:
    """What the flags of a command say, which goes before what the file says. None where a flag is not there."""

    name: str | None = None
    stack: str | None = None
    nodes: int | None = None
    via: Carrier | None = None
    without: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None
