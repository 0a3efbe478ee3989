"""(Lab, Stack, what is fixed at the first `up`) -> the network and containers that make the lab. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from dataclasses import asdict, dataclass
from functools import cache

from jinja2 import Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined

from labctl.blueprint import record
from labctl.blueprint.addresses import address, multicast, phones_address
from labctl.blueprint.record import Request
from labctl.blueprint.secrets import Secrets
from labctl.engine.actions import ContainerSpec, File
from labctl.images.recipes import Images
from labctl.lab import EVERY_NODE, Lab, Node
from labctl.names import (
    LABEL_CONFIG,
    LABEL_LAB,
    LABEL_NODE,
    LABEL_ROLE,
    LABEL_SEED,
    LABEL_SPEC,
    LABEL_SUBNET,
    PHONES_HOST,
    ROLE_NODE,
    ROLE_PHONES,
    container_name,
    network_name,
)
from labctl.stack.model import Extra, Stack

SHM_BYTES = 256 << 20
"""Corosync's IPC buffers lie in /dev/shm; Docker's own 64 MiB are too tight for many clients."""

MULTICAST_TRANSPORT = "udp"
"""corosync.conf(5), totem, transport: the one that sends by multicast; udpu and knet send to each member."""

ASTERISK_GROUP = "asterisk"
"""The group that Asterisk runs as in a node (images/README.md, Users)."""

STRANGER = "stranger"
"""A key of which every node has the private half, and nobody the public one: whoever signs with it is not known."""

FINISH = "service/asterisk/finish"
"""Run by Asterisk's supervisor when that has ended, with how it did (runsv(8))."""

_SECRET = re.compile(r"corosync/authkey|asterisk/keys/.*\.key")


@dataclass(frozen=True)
class Blueprint:
    """A lab as Docker is to hold it. `internal` as in CreateNetwork."""

    lab: Lab
    network: str
    subnet: str
    labels: tuple[tuple[str, str], ...]
    containers: tuple[ContainerSpec, ...]
    internal: bool = True


def draw(lab: Lab, stack: Stack, images: Images, subnet: str, seed: str, request: Request | None = None) -> Blueprint:
    """The network and containers of a lab.

    `images` are those it runs on, `seed` is what its secrets are made from, `request` what the user asked for, which
    is kept with the lab; without it, the lab itself.
    """
    secrets = Secrets(seed)
    nodes = tuple(_node(lab, stack, node, images, subnet, secrets) for node in lab.nodes)
    labels = ((LABEL_LAB, lab.name), (LABEL_SEED, seed), (LABEL_SUBNET, subnet))
    phones = _phones(lab, stack, images, subnet, record.dump(lab, stack, request or Request.of(lab)))
    return Blueprint(lab, network_name(lab.name), subnet, labels, (*nodes, phones), internal=not needs_multicast(lab))


def needs_multicast(lab: Lab) -> bool:
    """Whether the nodes find each other by multicast.

    Docker drops that on an internal network: all that is addressed elsewhere than to its subnet is dropped, and on
    hosts where bridged packets go through iptables (net.bridge.bridge-nf-call-iptables), the bridge does not pass it.
    """
    return lab.rings and lab.totem.transport == MULTICAST_TRANSPORT


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
        "address": {other.name: address(subnet, other.nodeid) for other in lab.nodes},
    }
    templates = dict(stack.files)
    for extra in _extras(lab, stack):
        templates |= extra.files
    templates[FINISH] = "asterisk-finish.j2"
    texts = {path: _environment().get_template(name).render(context) for path, name in sorted(templates.items())}
    if lab.totem.encryption and lab.rings:
        texts["corosync/authkey"] = secrets.authkey
    if lab.sites:
        texts |= _keys(lab, node, secrets)
    for added in lab.config:
        if added.scope in (EVERY_NODE, node.name):
            texts[added.path] = texts.get(added.path, "") + added.text.rstrip("\n") + "\n"
    return tuple(_file(path, text) for path, text in texts.items())


def _file(path: str, text: str) -> File:
    """A file below /etc. Asterisk's are for its own group, as Debian has them: passwords are in some."""
    if _SECRET.fullmatch(path):
        return File(f"/etc/{path}", text, 0o400)
    if path == FINISH:
        return File(f"/etc/{path}", text, 0o755)
    if path.startswith("asterisk/"):
        return File(f"/etc/{path}", text, 0o640, ASTERISK_GROUP)
    return File(f"/etc/{path}", text)


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
            processes=stack.limits.processes,
            memory_bytes=stack.limits.memory << 20,
        ),
    )


def _phones(lab: Lab, stack: Stack, images: Images, subnet: str, lab_record: str) -> ContainerSpec:
    """The container of the SIP user agents. It also carries the lab's record: Docker is the only state."""
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
            labels=((LABEL_SPEC, lab_record),),
            init=True,
            starts=False,
            processes=stack.limits.processes,
            memory_bytes=stack.limits.memory << 20,
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
