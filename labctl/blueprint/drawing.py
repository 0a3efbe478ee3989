"""(Lab, Stack, what is fixed at the first `up`) -> the network and containers that make the lab. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from labctl.blueprint import node_config, placement, record
from labctl.blueprint.addresses import PHONES_CONTAINERS, address, multicast, phones_address, service_address
from labctl.blueprint.node_config import Missed
from labctl.blueprint.record import Request
from labctl.blueprint.secrets import Secrets
from labctl.corosync.totem import COEFFICIENT_MS, FORMING_COEFFICIENT_MS, is_large, timers
from labctl.engine.actions import ContainerSpec, File
from labctl.engine.host import Host, dump
from labctl.errors import UsageError
from labctl.images.recipes import Images
from labctl.lab import Lab, Node, Service
from labctl.labfile.node_versions import stack_of
from labctl.names import (
    LABEL_CONFIG,
    LABEL_HOSTS,
    LABEL_LAB,
    LABEL_NODE,
    LABEL_ROLE,
    LABEL_SEED,
    LABEL_SPEC,
    LABEL_SUBNET,
    ROLE_NODE,
    ROLE_PHONES,
    ROLE_SERVICE,
    container_name,
    network_name,
    phones_host,
)
from labctl.stack.model import Extra, Stack
from labctl.templating import environment

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

FORMS = "service/corosync/before-start"
JOINS = "service/asterisk/before-start"
"""What the services of Corosync and Asterisk do before they start; Asterisk's, before its module waits for its ring."""

CORES = {"asterisk": ("asterisk", "/var/crash/asterisk"), "corosync": ("root", "/var/lib/corosync")}
"""Each daemon: the user that it runs as, and where it runs, and so leaves its core; Corosync goes there by itself."""

_SECRET = re.compile(r"corosync/authkey|asterisk/keys/.*\.key")


@dataclass(frozen=True)
class Blueprint:
    """A lab as Docker is to hold it. `internal` as in CreateNetwork; `waiting` are the names of the containers that are
    made, and not started. `overlay`: it is over several hosts."""

    lab: Lab
    network: str
    subnet: str
    labels: tuple[tuple[str, str], ...]
    containers: tuple[ContainerSpec, ...]
    internal: bool = True
    waiting: frozenset[str] = frozenset()
    overlay: bool = False


def draw(
    lab: Lab,
    stack: Stack,
    images: Images,
    subnet: str,
    seed: str,
    request: Request | None = None,
    hosts: Sequence[Host] = (),
) -> Blueprint:
    """The network and containers of a lab.

    `images` are those it runs on, `seed` is what its secrets are made from, `request` what the user asked for, which
    is kept with the lab; without it, the lab itself. `hosts` are those that it is over. Raises UsageError for what
    several hosts cannot do.
    """
    secrets = Secrets(seed)
    nodes = tuple(_node(lab, stack, node, images, subnet, secrets) for node in lab.nodes)
    labels = ((LABEL_LAB, lab.name), (LABEL_SEED, seed), (LABEL_SUBNET, subnet))
    services = tuple(_service(lab, stack, service, images, subnet) for service in lab.services)
    phones = _phones(lab, stack, images, subnet, record.dump(lab, stack, request or Request.of(lab)))
    waiting = frozenset(container_name(lab.name, node) for node in lab.without)
    internal = not needs_multicast(lab)
    blueprint = Blueprint(lab, network_name(lab.name), subnet, labels, (*nodes, *services, phones), internal, waiting)
    places = placement.spread(lab, [host.name for host in hosts])
    if not hosts:
        return blueprint
    further = (number for number in range(2, PHONES_CONTAINERS + 1) if phones_host(number) in places)
    more_phones = tuple(_phones(lab, stack, images, subnet, number=number) for number in further)
    return _over(replace(blueprint, containers=(*blueprint.containers, *more_phones)), hosts, places)


def _over(blueprint: Blueprint, hosts: Sequence[Host], places: Mapping[str, str]) -> Blueprint:
    """The same, over these hosts: each container says where it is, and where all others are."""
    if not blueprint.internal:
        raise UsageError(
            f"the lab {blueprint.lab.name} finds its nodes by multicast, which Docker's overlay network does not carry",
            "`totem: {transport: udpu}`, or knet where the stack has it",
        )
    with_parts = (
        replace(host, parts=tuple(part for part, place in places.items() if place == host.name)) for host in hosts
    )
    label = (LABEL_HOSTS, dump(with_parts))
    record_label = next(pair for spec in blueprint.containers for pair in spec.labels if pair[0] == LABEL_SPEC)

    def put(spec: ContainerSpec) -> ContainerSpec:
        own = tuple(pair for pair in spec.labels if pair[0] == LABEL_SPEC)
        role = dict(spec.labels)[LABEL_ROLE]
        bare = replace(spec, labels=(*own, label), host=places[spec.hostname])
        placed = _labelled(blueprint.lab.name, role, bare)
        # Whichever host is lost, the others still tell what the lab is; no container is made anew for that.
        return placed if own else replace(placed, labels=(*placed.labels, record_label))

    containers = tuple(map(put, blueprint.containers))
    return replace(blueprint, labels=(*blueprint.labels, label), containers=containers, overlay=True)


def needs_multicast(lab: Lab) -> bool:
    """Whether the nodes find each other by multicast.

    Docker drops that on an internal network: all that is addressed elsewhere than to its subnet is dropped, and on
    hosts where bridged packets go through iptables (net.bridge.bridge-nf-call-iptables), the bridge does not pass it.
    """
    return lab.rings and lab.totem.transport == MULTICAST_TRANSPORT


def node_files(lab: Lab, stack: Stack, node: Node, subnet: str, secrets: Secrets) -> tuple[File, ...]:
    """Every configuration file of a node, with what the lab file adds to it."""
    texts, _ = node_texts(lab, stack, node, subnet, secrets)
    return tuple(file_of(path, text) for path, text in texts.items())


def node_texts(
    lab: Lab, stack: Stack, node: Node, subnet: str, secrets: Secrets
) -> tuple[dict[str, str], tuple[Missed, ...]]:
    """The text of every such file by its path below /etc, and the edits of the lab file that could not be made.

    `stack` is the lab's.
    """
    context = _context(lab, stack, node, subnet, secrets)
    stack = stack_of(node, stack)
    templates = dict(stack.files)
    for extra in _extras(lab, stack):
        templates |= extra.files
    templates[FINISH] = "asterisk-finish.j2"
    ours = environment(ends_line=True)
    texts = {path: ours.get_template(name).render(context) for path, name in sorted(templates.items())}
    if lab.rings and is_large(len(lab.cluster_of(node.name))):
        for path, template in ((JOINS, "join-patiently.j2"), (FORMS, "form-quickly.j2")):
            texts[path] = texts.get(path, "") + ours.get_template(template).render(context)
    for daemon, (user, folder) in CORES.items():
        path = f"service/{daemon}/before-start"
        keep_core = ours.get_template("keep-core.j2").render(user=user, folder=folder)
        texts[path] = texts.get(path, "") + keep_core
    if lab.totem.encryption and lab.rings:
        texts["corosync/authkey"] = secrets.authkey
    if lab.sites:
        texts |= _keys(lab, node, secrets)
    return texts, tuple(node_config.add(texts, lab, node, subnet))


def _context(lab: Lab, stack: Stack, node: Node, subnet: str, secrets: Secrets) -> dict[str, Any]:
    """What the templates of a node's files are filled with. `trunk`: all other nodes are one SIP endpoint."""
    own, cluster, totem = stack_of(node, stack), lab.cluster_of(node.name), lab.totem
    return {
        "timers": timers(totem.token_ms, len(cluster), totem.coefficient_ms, totem.consensus_ms),
        "coefficient": COEFFICIENT_MS,
        "forming_coefficient": FORMING_COEFFICIENT_MS,
        "channels": {phone.name: stack_of(lab.node(phone.node), stack).sip_channel for phone in lab.phones},
        "lab": lab,
        "stack": own,
        "node": node,
        "cluster": cluster,
        "trunk": own.sip_channel == "PJSIP" and is_large(len(cluster)) and not lab.sites,
        "subnet": ipaddress.ip_network(subnet),
        "multicast": multicast(subnet, lab.sites.index(node.site) if node.site else 0),
        "modules": modules(lab, stack, node),
        "secrets": secrets,
        "address": {other.name: address(subnet, other.nodeid) for other in lab.nodes},
    }


def file_of(path: str, text: str) -> File:
    """A file by its path below /etc. Asterisk's are for its own group, as Debian has them: passwords are in some. A
    whole path is that of a file of the user's own, which runs where it begins as a script does."""
    if path.startswith("/"):
        return File(path, text, 0o755 if text.startswith("#!") else 0o644)
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
    """The Asterisk modules that this lab uses on this node, but for the cluster module, in the order of loading.

    `stack` is the lab's.
    """
    stack = stack_of(node, stack)
    wanted = list(stack.modules.core)
    if lab.phones or lab.via == "pjsip-publish":
        wanted += stack.modules.sip
    if any(mailbox.node == node.name for mailbox in lab.mailboxes):
        wanted += stack.modules.voicemail
    wanted += [module for extra in _extras(lab, stack) for module in extra.modules]
    return tuple(dict.fromkeys(wanted))


def _node(lab: Lab, stack: Stack, node: Node, images: Images, subnet: str, secrets: Secrets) -> ContainerSpec:
    own, (image, image_id) = stack_of(node, stack), images.of(node.name)
    return _labelled(
        lab.name,
        ROLE_NODE,
        ContainerSpec(
            name=container_name(lab.name, node.name),
            image=image,
            image_id=image_id,
            hostname=node.name,
            network=network_name(lab.name),
            address=address(subnet, node.nodeid),
            files=node_files(lab, stack, node, subnet, secrets),
            labels=(),
            capabilities=own.capabilities,
            shm_bytes=SHM_BYTES,
            processes=own.limits.processes,
            memory_bytes=own.limits.memory << 20,
        ),
    )


def _service(lab: Lab, stack: Stack, service: Service, images: Images, subnet: str) -> ContainerSpec:
    """A server beside the nodes, held to the same limits as they are."""
    image = images.of_service(service.name)
    named = node_config.named_in(service, lab, subnet)
    return _labelled(
        lab.name,
        ROLE_SERVICE,
        ContainerSpec(
            name=container_name(lab.name, service.name),
            image=image.reference,
            image_id=image.id,
            hostname=service.name,
            network=network_name(lab.name),
            address=service_address(subnet, service.number),
            files=tuple(File(path, text) for path, text in named.files),
            labels=(),
            capabilities=service.capabilities,
            shm_bytes=SHM_BYTES,
            init=True,
            processes=stack.limits.processes,
            memory_bytes=stack.limits.memory << 20,
            command=named.command,
            environment=named.environment,
        ),
    )


def _phones(
    lab: Lab, stack: Stack, images: Images, subnet: str, lab_record: str = "", number: int = 1
) -> ContainerSpec:
    """A container of the SIP user agents. The first also carries the lab's record: Docker is the only state."""
    return _labelled(
        lab.name,
        ROLE_PHONES,
        ContainerSpec(
            name=container_name(lab.name, phones_host(number)),
            image=images.phone,
            image_id=images.phone_id,
            hostname=phones_host(number),
            network=network_name(lab.name),
            address=phones_address(subnet, number),
            files=(),
            labels=((LABEL_SPEC, lab_record),) if lab_record else (),
            init=True,
            starts=False,
            processes=stack.limits.processes,
            memory_bytes=stack.limits.memory << 20,
        ),
    )


def _labelled(lab: str, role: str, container: ContainerSpec) -> ContainerSpec:
    """The container with labels to find it by, and a hash of all that it is, to see when that changes."""
    later = ("command", "environment", "host")  # a container without these is what it was before there were any
    values = {name: value for name, value in asdict(container).items() if value or name not in later}
    content = json.dumps(values, sort_keys=True)
    labels = (
        *container.labels,
        (LABEL_LAB, lab),
        (LABEL_ROLE, role),
        (LABEL_NODE, container.hostname),
        (LABEL_CONFIG, hashlib.sha256(content.encode()).hexdigest()[:16]),
    )
    return ContainerSpec(**(vars(container) | {"labels": labels}))
