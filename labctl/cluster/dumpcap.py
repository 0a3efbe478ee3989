"""What captures packets: dumpcap, in a container beside a lab."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from labctl.blueprint.running_lab import Running
from labctl.capture.messages import DUNDI_PORT, TOTEM_PORTS
from labctl.cluster.packet_blocks import Block
from labctl.engine.observation import Container
from labctl.engine.side_container import SideContainer
from labctl.errors import LabError
from labctl.names import LABEL_LAB, LABEL_ROLE, PREFIX, ROLE_CAPTURE, ROLE_PHONES
from labctl.paths import SCRIPTS

TOTEM = f"udp portrange {TOTEM_PORTS[0]}-{TOTEM_PORTS[-1]}"
"""What a reader of captures counts as Totem."""

RTP = f"udp and udp[8] & 0xc0 = 0x80 and udp[9] & 0xf8 != 0xc8 and not port {DUNDI_PORT} and not ({TOTEM})"
"""Version 2 (RFC 3550, 5.1), and no RTCP (RFC 5761, 4); SIP begins with a letter, DUNDi has a port of its own. What is
no first fragment has no ports, and matches neither this nor TOTEM."""

TOTEM_BYTES = 112
"""Ethernet, IP and UDP take 42, knet's header and Totem's own about 30; what a token says of its ring follows."""

RTP_BYTES = 54
"""42, and RTP's own 12."""

KERNEL_HOLDS_MS = 100
"""How long the kernel keeps a packet before the reader is woken (dumpcap(1), --update-interval)."""

KINDS = 3
"""What is whole, Totem, RTP: each has an interface of its own at each place, in that order."""

INTERFACE = "eth0"
"""Of a container on one network, as Docker names it."""

SENT = "ether src OWN_MAC"
"""The packets that a container sends, as its own network sees them (record-packets.sh). pcap's `outbound` loses what
comes first: libpcap looks at the first packets itself, after the kernel, and cannot tell there which way they went."""

PROCESSES, MEMORY_BYTES = 16, 128 << 20
"""Of one container that captures, at most."""


@dataclass(frozen=True)
class Selection:
    """What is to be captured: all that passes, or what is sent by or to these addresses. SIP, DUNDi and all else is
    whole; of Totem and RTP there are the headers alone, unless `every_byte` is wanted."""

    addresses: tuple[str, ...] = ()
    every_byte: bool = False

    @property
    def kinds(self) -> tuple[tuple[str, int], ...]:
        """What is captured at each place, each kind at an interface of its own: its filter, and how many bytes of a
        packet are kept; 0: all."""
        if self.every_byte:
            return (("", 0),)
        return (f"not ({TOTEM}) and not ({RTP})", 0), (TOTEM, TOTEM_BYTES), (RTP, RTP_BYTES)


def command(interfaces: Sequence[str], wanted: Selection, only: str = "") -> tuple[str, ...]:
    """The command that captures what passes at these network interfaces, or of that `only` what a filter lets by."""
    of_hosts = f"({' or '.join(f'host {address}' for address in wanted.addresses)})" if wanted.addresses else ""

    def at(interface: str, matching: str, size: int) -> list[str]:
        filter_ = " and ".join(part for part in (only, of_hosts, matching) if part)
        return ["-i", interface, *(["-f", filter_] if filter_ else []), *(["-s", str(size)] if size else [])]

    words = [word for interface in interfaces for kind in wanted.kinds for word in at(interface, *kind)]
    script = (SCRIPTS / "record-packets.sh").read_text("utf-8")
    dumpcap = ("dumpcap", "-q", "--update-interval", str(KERNEL_HOLDS_MS), *words, "-w", "-")
    return ("bash", "-c", script, "record-packets", *dumpcap)


def is_header_alone(block: Block) -> bool:
    """Whether a block is a packet of Totem or RTP, by a capture of `command` that has their headers alone."""
    return block.interface >= 0 and block.interface % KINDS > 0


def image(running: Running) -> str:
    """The image that has dumpcap: the phones'. Raises LabError where the lab is not whole."""
    images = [part.image for part in running.observation.containers if part.role == ROLE_PHONES]
    if not images:
        name = running.lab.name
        raise LabError(f"the phones' container of {name} is gone", f"labctl up --name {name} mends it")
    return images[0]


def at_bridges(running: Running, wanted: Selection) -> SideContainer:
    """The container that captures at the bridges of a lab's networks. Raises LabError where the lab is not whole."""
    return _side_container(running, command(running.bridges, wanted))


def beside(running: Running, container: Container, wanted: Selection) -> SideContainer:
    """The container that captures what another sends. Raises LabError where the lab is not whole."""
    return _side_container(running, command([INTERFACE], wanted, SENT), container)


def _side_container(running: Running, words: tuple[str, ...], beside: Container | None = None) -> SideContainer:
    name = running.lab.name
    part = f"-{beside.node}" if beside else ""
    return SideContainer(
        name=f"{PREFIX}-{name}-{ROLE_CAPTURE}{part}-{time.time_ns():x}",
        image=image(running),
        command=words,
        labels=((LABEL_LAB, name), (LABEL_ROLE, ROLE_CAPTURE)),
        capabilities=("NET_RAW",),
        processes=PROCESSES,
        memory_bytes=MEMORY_BYTES,
        beside=beside.name if beside else "",
    )
