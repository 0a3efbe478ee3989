"""Blocks of pcapng files, made by hand from draft-ietf-opsawg-pcapng, sections 4.1 to 4.3."""

from __future__ import annotations

import struct


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """Any block: its type, its length, what it holds, its length again."""
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def section(order: str = "<") -> bytes:
    """How a file begins."""
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(resolution: int | None = None, order: str = "<") -> bytes:
    """An Ethernet interface; `resolution` is its if_tsresol."""
    name = struct.pack(order + "HH", 2, 6) + b"br-one" + bytes(2)
    unit = struct.pack(order + "HHB", 9, 1, resolution) + bytes(3) if resolution is not None else b""
    return block(1, struct.pack(order + "HHI", 1, 0, 262144) + name + unit + bytes(4), order)


def packet(time: int, data: bytes = b"frame", number: int = 0, order: str = "<") -> bytes:
    """A packet of an interface, at a time in that one's units."""
    head = struct.pack(order + "IIIII", number, time >> 32, time & 0xFFFFFFFF, len(data), len(data))
    return block(6, head + data + bytes(-len(data) % 4), order)
