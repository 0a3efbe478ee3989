"""Capture files as packets: pcapng (draft-ietf-opsawg-pcapng) and pcap (draft-ietf-opsawg-pcap). Pure.

Files come from strangers: every length is held against what is there before it is believed, and a file is read as far
as it is whole.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
_PCAP = {
    b"\xa1\xb2\xc3\xd4": (">", 1_000_000),
    b"\xd4\xc3\xb2\xa1": ("<", 1_000_000),
    b"\xa1\xb2\x3c\x4d": (">", 1_000_000_000),
    b"\x4d\x3c\xb2\xa1": ("<", 1_000_000_000),
}
"""The first four bytes of a pcap file: the order of its bytes, and the parts of a second in its times."""

_RESOLUTION, _OFFSET = 9, 14
"""Options of an interface: if_tsresol and if_tsoffset."""

_MICROSECONDS = 1_000_000
_MOST_INTERFACES = 1000
_LONGEST_PACKET = 262_144
"""Bytes; what tcpdump and dumpcap take at most of a packet."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A packet as it was seen: its number in the file, from 1; when, in seconds since 1970; at which of the file's
    interfaces; what its first bytes are (LINKTYPE_ of pcap); and as much of it as was kept."""

    number: int
    at_s: float
    interface: int
    link: int
    data: bytes


@dataclass(frozen=True)
class _Interface:
    link: int
    parts: int
    offset_s: int


class Broken(Exception):
    """The file cannot be read from here on; the message says what is wrong, and at which byte."""


def frames(data: bytes) -> Iterator[Frame]:
    """The packets of a file, in order. Raises Broken where it is none, or where it breaks off."""
    start = data[:4]
    if start == b"\x0a\x0d\x0d\x0a":
        yield from _of_pcapng(data)
    elif start in _PCAP:
        yield from _of_pcap(data, *_PCAP[start])
    else:
        raise Broken("neither a pcapng nor a pcap file, by its first four bytes")


def _of_pcap(data: bytes, order: str, parts: int) -> Iterator[Frame]:
    if len(data) < 24:
        raise Broken(f"the file ends after {len(data)} bytes, in its header")
    link = struct.unpack_from(f"{order}I", data, 20)[0] & 0xFFFF
    header = struct.Struct(f"{order}IIII")
    at, number = 24, 0
    while at < len(data):
        if len(data) - at < 16:
            raise Broken(f"byte {at}: the file ends in the header of a packet")
        seconds, part, kept, _ = header.unpack_from(data, at)
        if kept > _LONGEST_PACKET:
            raise Broken(f"byte {at}: a packet says that it has {kept} bytes; no packet has")
        if kept > len(data) - at - 16:
            raise Broken(f"byte {at}: a packet says that it has {kept} bytes, and {len(data) - at - 16} are left")
        number += 1
        yield Frame(number, seconds + part / parts, 0, link, data[at + 16 : at + 16 + kept])
        at += 16 + kept


def _of_pcapng(data: bytes) -> Iterator[Frame]:
    order = "<"
    interfaces: list[_Interface] = []
    first, number = 0, 0  # the number of a section's first interface: numbers go on through all sections
    for at, kind, order, body in _blocks(data):
        if kind == _SECTION:
            first += len(interfaces)
            interfaces = []
        elif kind == _INTERFACE:
            interfaces.append(_interface(body, order, at))
            if first + len(interfaces) > _MOST_INTERFACES:
                raise Broken(f"byte {at}: more than {_MOST_INTERFACES} interfaces")
        elif kind in (_ENHANCED, _OLD_PACKET, _SIMPLE):
            index, ticks, content = _content(kind, body, order, at)
            if index >= len(interfaces):
                raise Broken(f"byte {at}: a packet of interface {index}, and the file has named {len(interfaces)}")
            interface = interfaces[index]
            number += 1
            at_s = interface.offset_s + ticks / interface.parts
            yield Frame(number, at_s, first + index, interface.link, content)


def _blocks(data: bytes) -> Iterator[tuple[int, int, str, bytes]]:
    """Each block: where it begins, its kind, the order of bytes there, and its body."""
    at, order = 0, "<"
    while at < len(data):
        left = len(data) - at
        if left < 12:
            raise Broken(f"byte {at}: the file ends in the header of a block")
        if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            magic = data[at + 8 : at + 12]
            if magic not in _ORDERS:
                raise Broken(f"byte {at}: a section that does not say in which order its bytes are")
            order = _ORDERS[magic]
        kind, length = struct.unpack_from(f"{order}II", data, at)
        if length < 12 or length % 4:
            raise Broken(f"byte {at}: a block says that it has {length} bytes; no block has")
        if length > left:
            raise Broken(f"byte {at}: a block says that it has {length} bytes, and {left} are left")
        if struct.unpack_from(f"{order}I", data, at + length - 4)[0] != length:
            raise Broken(f"byte {at}: a block says two lengths, one before and one after its body")
        yield at, kind, order, data[at + 8 : at + length - 4]
        at += length


def _interface(body: bytes, order: str, at: int) -> _Interface:
    if len(body) < 8:
        raise Broken(f"byte {at}: an interface of {len(body)} bytes")
    parts, offset_s, place = _MICROSECONDS, 0, 8
    while place + 4 <= len(body):
        code, length = struct.unpack_from(f"{order}HH", body, place)
        value = body[place + 4 : place + 4 + length]
        if code == 0:
            break
        if code == _RESOLUTION and len(value) == 1:
            parts = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        if code == _OFFSET and len(value) == 8:
            offset_s = struct.unpack(f"{order}q", value)[0]
        place += 4 + length + -length % 4
    return _Interface(struct.unpack_from(f"{order}H", body)[0], parts, offset_s)


def _content(kind: int, body: bytes, order: str, at: int) -> tuple[int, int, bytes]:
    """Of a block that holds a packet: its interface, its time in parts of a second, and the packet."""
    if kind == _SIMPLE:  # it has no time, and what is kept of it ends with the block
        size = struct.unpack_from(f"{order}I", body)[0] if len(body) >= 4 else 0
        return 0, 0, body[4 : 4 + size]
    if len(body) < 20:
        raise Broken(f"byte {at}: a block for a packet, too short for one")
    form = f"{order}IIII" if kind == _ENHANCED else f"{order}HxxIII"
    index, high, low, kept = struct.unpack_from(form, body)
    if kept > len(body) - 20:
        raise Broken(f"byte {at}: a packet says that it has {kept} bytes, in a block that has {len(body) - 20} for it")
    return index, high << 32 | low, body[20 : 20 + kept]
