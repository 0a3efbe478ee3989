"""Captures that lie, that end early, or that want to be read for ever, made from ones that do not."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from tests.unit import wire
from tests.unit.wire import ALICE, N1

WHOLE = wire.pcapng(wire.frames(wire.setup()))
WHOLE_PCAP = wire.pcap(wire.frames(wire.setup()))
HEAD = wire.section() + wire.interface()
PACKET = wire.frame(ALICE, N1, wire.sip("OPTIONS sip:n1 SIP/2.0", cseq="1 OPTIONS"))

GIGA = 1_000_000_000


def put(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


def truncated() -> dict[str, bytes]:
    """A whole file, cut off: in its header, between and within packets."""
    cuts = {f"pcapng cut at {at}": WHOLE[:at] for at in (0, 1, 4, 11, 27, 30, 47, 50, 60, 100, 300, 1000, -1, -4, -7)}
    return cuts | {f"pcap cut at {at}": WHOLE_PCAP[:at] for at in (4, 23, 25, 39, 41, 100, 1000, -1)}


def lying() -> dict[str, bytes]:
    """Lengths and numbers that are not so."""
    first = len(HEAD)
    lengths = (1, 11, 13, 14, 0, GIGA, 0xFFFFFFFC, 0xFFFFFFFF, len(WHOLE))
    blocks = {f"block of {length}": put(WHOLE, first + 4, length) for length in lengths}
    sections = {f"section of {length}": put(WHOLE, 4, length) for length in (0, 8, GIGA, 0xFFFFFFFF)}
    interfaces = {f"interface block of {length}": put(WHOLE, 32, length) for length in (0, 8, GIGA)}
    packets = {f"packet of {size}": put(WHOLE, first + 20, size) for size in (GIGA, 0xFFFFFFFF, 100_000)}
    records = {f"record of {size}": put(WHOLE_PCAP, 32, size) for size in (GIGA, 0xFFFFFFFF, 262_144)}
    return (
        blocks
        | sections
        | interfaces
        | packets
        | records
        | {
            "block ends otherwise": put(WHOLE, len(WHOLE) - 4, 16),
            "interface that is not there": HEAD + wire.enhanced(PACKET, 1, index=9) + WHOLE,
            "packet before any interface": wire.section() + wire.enhanced(PACKET, 1),
            "interface too short": wire.section() + wire.block(1, b"\1\0"),
            "packet block too short": HEAD + wire.block(6, bytes(8)),
            "no order of bytes": WHOLE[:8] + b"\0\0\0\0" + WHOLE[12:],
            "a million interfaces": wire.section() + wire.interface() * 100_000,
            "simple packet of nothing": HEAD + wire.block(3, b"") + wire.block(0x0A0D0D0A, b""),
        }
    )


def ip(protocol: int, data: bytes, number: int = 0, offset: int = 0) -> bytes:
    """A packet from alice to n1, with the number of its datagram and where in that it belongs."""
    return wire.ethernet(wire.ipv4(ALICE, N1, protocol, data, number, offset))


def tcp(at: int, data: bytes, port: int = ALICE[1]) -> bytes:
    """A segment from a port of alice's to n1."""
    alice = (ALICE[0], port)
    return wire.ethernet(wire.ipv4(alice, N1, 6, wire.tcp(alice, N1, at, data)))


def endless() -> dict[str, Callable[[], bytes]]:
    """What fills whoever keeps it, and what has whoever looks for an end look for ever. No SIP is in it. Each is made
    when it is wanted: all of them are large."""
    more = 0x2000
    piece = bytes(8)
    start = b"INVITE sip:a SIP/2.0\r\n"
    begun = tcp(100 - len(start), start)
    extensions = bytes([0, 0]) + bytes(6)
    headers = wire.ethernet(wire.ipv6(("2001:db8::1", 1), ("2001:db8::2", 1), 0, extensions * 180))
    files: dict[str, Callable[[], Iterable[bytes]]] = {
        "fragments of datagrams that never end": lambda: (ip(17, piece, number, more) for number in range(20_000)),
        "fragments of one that never ends": lambda: (ip(17, piece, 1, more | at % 8000) for at in range(20_000)),
        "fragments beyond the end": lambda: [ip(17, bytes(1400), 2, 0x1FFF)] * 1000,
        "headers without end": lambda: [headers] * 1000,
        "a message by bytes": lambda: [begun, *(tcp(100 + number, b"x") for number in range(10_000))],
        "segments with holes": lambda: [begun, *(tcp(200 + 2 * number, b"x") for number in range(10_000))],
        "streams without end": lambda: (tcp(0, start, port) for port in range(1, 20_000)),
        "tags without end": lambda: [wire.ethernet(b"", b"\x81\x00\x00\x01" * 300)] * 1000,
        "IP in nothing": lambda: [wire.ethernet(b"\x45")] * 1000,
        "header longer than its packet": lambda: [wire.ethernet(b"\x4f" + bytes(19))] * 1000,
    }
    return {name: partial(_made, frames) for name, frames in files.items()}


def _made(frames: Callable[[], Iterable[bytes]]) -> bytes:
    return wire.pcapng(frames(), step_s=0.0001)


def random_bytes() -> dict[str, bytes]:
    """Nothing but chance, and chance behind a header that is right; and files of other kinds."""
    chance = random.Random(7)  # noqa: S311 - chance, not secrets
    files = {f"chance {number}": chance.randbytes(2000) for number in range(4)}
    files |= {f"chance in pcapng {number}": HEAD + chance.randbytes(2000) for number in range(4)}
    files |= {
        f"chance in packets {number}": wire.pcapng(chance.randbytes(200) for _ in range(2000)) for number in range(4)
    }
    return files | {
        "text": b"not a capture\n" * 100,
        "zeroes": bytes(100_000),
        "gzip": b"\x1f\x8b\x08" + bytes(100),
        "ELF": b"\x7fELF" + bytes(1000),
        "no packet": HEAD,
        "no packet in pcap": wire.pcap([]),
    }


HOSTILE: Mapping[str, bytes | Callable[[], bytes]] = {**truncated(), **lying(), **endless(), **random_bytes()}


def hostile(name: str) -> bytes:
    """The bytes of one of them."""
    made = HOSTILE[name]
    return made if isinstance(made, bytes) else made()
