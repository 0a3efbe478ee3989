"""(Lab, Stack, what is fixed at the first `up`) -> the network and containers that make the lab. Pure."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import itertools
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache

from jinja2 import Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined

from labctl import labfile
from labctl.spec import EVERY_NODE, Lab, Node
from labctl.stack import Extra, Stack
from labctl.steps import ContainerSpec, File

LABEL_LAB = "labctl.lab"
LABEL_ROLE = "labctl.role"
LABEL_NODE = "labctl.node"
LABEL_CONFIG = "labctl.config"
LABEL_SEED = "labctl.seed"
LABEL_SPEC = "labctl.spec"
LABEL_SUBNET = "labctl.subnet"
ROLE_NODE = "node"
ROLE_PHONES = "phones"
PREFIX = "labctl"
PHONES_HOST = "phones"

SHM_BYTES = 256 << 20
"""Corosync's IPC buffers lie in /dev/shm; Docker's own 64 MiB are too tight for many clients."""

TOTEM_PORT = 5405
"""corosync.conf(5), mcastport."""

DUNDI_KEY_BITS = 1024
STRANGER = "stranger"
"""A key of which every node has the private half, and nobody the public one: whoever signs with it is not known."""

_FIRST_HOST = 11
_SECRET = re.compile(r"corosync/authkey|asterisk/keys/.*\.key")


@dataclass(frozen=True)
class Secrets:
    """All of a lab's secrets, made from one random seed so that they stay the same as long as the lab."""

    seed: str

    def _derive(self, purpose: str, length: int) -> str:
        key = hmac.new(self.seed.encode(), purpose.encode(), hashlib.sha256).digest()
        return hashlib.shake_256(key).hexdigest(length)

    @property
    def ami(self) -> str:
        """The password of AMI's user `labctl`."""
        return self._derive("ami", 16)

    @property
    def authkey(self) -> str:
        """Corosync's key: 256 hexadecimal digits, 1024 bits (corosync-keygen(8) makes at least as many)."""
        return self._derive("authkey", 128)

    def sip(self, phone: str) -> str:
        """A phone's SIP password."""
        return self._derive(f"sip/{phone}", 16)

    def rsa(self, owner: str) -> tuple[str, str]:
        """A pair of RSA keys, private and public, in PEM. DUNDi takes 1024 bits and no other number (pbx_dundi.c)."""
        return _rsa(self.seed, owner)

    def pin(self, mailbox: str) -> str:
        """A mailbox's PIN, four digits."""
        return f"{int(self._derive(f'pin/{mailbox}', 4), 16) % 10000:04d}"


@dataclass(frozen=True)
class Images:
    """The images that a lab's containers are made from: references, and ids where they are present."""

    node: str
    phone: str
    node_id: str = ""
    phone_id: str = ""


@dataclass(frozen=True)
class Blueprint:
    """A lab as Docker is to hold it."""

    lab: Lab
    network: str
    subnet: str
    labels: tuple[tuple[str, str], ...]
    containers: tuple[ContainerSpec, ...]


def draw(lab: Lab, stack: Stack, images: Images, subnet: str, seed: str) -> Blueprint:
    """The network and containers of a lab."""
    secrets = Secrets(seed)
    nodes = tuple(_node(lab, stack, node, images, subnet, secrets) for node in lab.nodes)
    labels = ((LABEL_LAB, lab.name), (LABEL_SEED, seed), (LABEL_SUBNET, subnet))
    phones = _phones(lab, stack, images, subnet)
    return Blueprint(lab, network_name(lab.name), subnet, labels, (*nodes, phones))


def network_name(lab: str) -> str:
    """The name of a lab's Docker network."""
    return f"{PREFIX}-{lab}"


def container_name(lab: str, node: str) -> str:
    """The name of a node's container."""
    return f"{PREFIX}-{lab}-{node}"


def address(subnet: str, nodeid: int) -> str:
    """A node's address, from its Corosync node id."""
    return str(ipaddress.ip_network(subnet)[_FIRST_HOST - 1 + nodeid])


def phones_address(subnet: str) -> str:
    """The address of the container that holds the phones."""
    return str(ipaddress.ip_network(subnet)[_FIRST_HOST - 2])


@cache
def _rsa(seed: str, owner: str) -> tuple[str, str]:
    """A key takes tenths of a second to make, and each node of a lab has it."""
    from Crypto.PublicKey import RSA  # noqa: PLC0415 - only labs of several sites need it

    numbers = itertools.count()

    def random(length: int) -> bytes:
        return hashlib.shake_256(f"{seed}/rsa/{owner}/{next(numbers)}".encode()).digest(length)

    key = RSA.generate(DUNDI_KEY_BITS, randfunc=random)
    return f"{key.export_key().decode()}\n", f"{key.public_key().export_key().decode()}\n"


def free_subnet(name: str, taken: Iterable[str]) -> str:
    """A /24 of the lab networks that meets none of `taken`; the same name tends to get the same one.

    Raises LookupError if none is left.
    """
    networks = [ipaddress.ip_network(each, strict=False) for each in taken]
    others = [network for network in networks if isinstance(network, ipaddress.IPv4Network)]
    candidates = list(labfile.LAB_NETWORKS.subnets(new_prefix=24))
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % len(candidates)
    for candidate in candidates[first:] + candidates[:first]:
        if not any(candidate.overlaps(other) for other in others):
            return str(candidate)
    raise LookupError(f"no /24 of {labfile.LAB_NETWORKS} is free")


def node_files(lab: Lab, stack: Stack, node: Node, subnet: str, secrets: Secrets) -> tuple[File, ...]:
    """Every configuration file of a node, with what the lab file adds to it."""
    context = {
        "lab": lab,
        "stack": stack,
        "node": node,
        "cluster": lab.cluster_of(node.name),
        "subnet": ipaddress.ip_network(subnet),
        "multicast": multicast(subnet, lab.sites.index(node.site) if node.site else 0),
        "modules": modules(lab, stack, node),
        "secrets": secrets,
        "address": {each.name: address(subnet, each.nodeid) for each in lab.nodes},
    }
    templates = dict(stack.files)
    for extra in _extras(lab, stack):
        templates |= extra.files
    texts = {path: _environment().get_template(name).render(context) for path, name in sorted(templates.items())}
    if lab.totem.encryption and lab.rings:
        texts["corosync/authkey"] = secrets.authkey
    if lab.sites:
        texts |= _keys(lab, node, secrets)
    for added in lab.config:
        if added.scope in (EVERY_NODE, node.name):
            texts[added.path] = texts.get(added.path, "") + added.text.rstrip("\n") + "\n"
    return tuple(
        File(f"/etc/{path}", text, 0o400 if _SECRET.fullmatch(path) else 0o644) for path, text in texts.items()
    )


def _extras(lab: Lab, stack: Stack) -> tuple[Extra, ...]:
    """What the lab's ways for state need; nodes that tell each other nothing are members of a ring all the same."""
    return (stack.carriers[lab.via], *([stack.dundi] if lab.sites and stack.dundi else []))


def _keys(lab: Lab, node: Node, secrets: Secrets) -> dict[str, str]:
    """The private key of a node's site, and the public ones of all."""
    pairs = {site: secrets.rsa(site) for site in lab.sites}
    private = {node.site: pairs[node.site][0], STRANGER: secrets.rsa(STRANGER)[0]}
    return {f"asterisk/keys/{name}.key": key for name, key in private.items()} | {
        f"asterisk/keys/{site}.pub": public for site, (_, public) in pairs.items()
    }


def multicast(subnet: str, site: int = 0) -> tuple[str, int]:
    """Address and port of a lab's own for Corosync where that finds its members by multicast.

    The address is of the organization's own scope (RFC 2365, 6.2), and of the site alone: sites are on one network,
    but each has a ring of its own. Corosync also uses the port before it.
    """
    network = ipaddress.ip_network(subnet).network_address.packed
    return f"239.192.{network[1] + 2 * site}.{network[2]}", TOTEM_PORT + 2 * network[2]


def modules(lab: Lab, stack: Stack, node: Node) -> tuple[str, ...]:
    """The Asterisk modules that this lab uses on this node, but for the cluster module, in the order of loading."""
    wanted = list(stack.modules.core)
    if lab.phones or lab.via == "pjsip-publish":
        wanted += stack.modules.sip
    if any(mailbox.node == node.name for mailbox in lab.mailboxes):
        wanted += stack.modules.voicemail
    wanted += [module for extra in _extras(lab, stack) for module in extra.modules]
    return tuple(dict.fromkeys(wanted))


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("labctl"),
        bytecode_cache=FileSystemBytecodeCache(),  # compiling them takes longer than all the rest of this module
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - configuration files, not HTML
    )


def _node(lab: Lab, stack: Stack, node: Node, images: Images, subnet: str, secrets: Secrets) -> ContainerSpec:
    return _labelled(
        lab.name,
        ROLE_NODE,
        ContainerSpec(
            name=container_name(lab.name, node.name),
            image=images.node,
            image_id=images.node_id,
            hostname=node.name,
            network=network_name(lab.name),
            address=address(subnet, node.nodeid),
            files=node_files(lab, stack, node, subnet, secrets),
            labels=(),
            capabilities=stack.capabilities,
            shm_bytes=SHM_BYTES,
        ),
    )


def _phones(lab: Lab, stack: Stack, images: Images, subnet: str) -> ContainerSpec:
    """The container of the SIP user agents. It also carries what the lab is: Docker is the only state."""
    spec = json.dumps({"lab": labfile.to_data(lab), "stack": stack.model_dump(mode="json")})
    return _labelled(
        lab.name,
        ROLE_PHONES,
        ContainerSpec(
            name=container_name(lab.name, PHONES_HOST),
            image=images.phone,
            image_id=images.phone_id,
            hostname=PHONES_HOST,
            network=network_name(lab.name),
            address=phones_address(subnet),
            files=(),
            labels=((LABEL_SPEC, spec),),
            init=True,
            starts=False,
        ),
    )


def _labelled(lab: str, role: str, container: ContainerSpec) -> ContainerSpec:
    """The container with labels to find it by, and a hash of all that it is, to see when that changes."""
    content = json.dumps(asdict(container), sort_keys=True)
    labels = (
        *container.labels,
        (LABEL_LAB, lab),
        (LABEL_ROLE, role),
        (LABEL_NODE, container.hostname),
        (LABEL_CONFIG, hashlib.sha256(content.encode()).hexdigest()[:16]),
    )
    return ContainerSpec(**(vars(container) | {"labels": labels}))
