"""A pcapng file as it comes, cut into whole blocks, so that it can end after any of them; and blocks of a file that is
put together from several. Pure.

PCAP Next Generation, draft-ietf-opsawg-pcapng: 3.1 General Block Structure, 4.1 Section Header, 4.2 Interface
Description, 4.3 Enhanced Packet.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
"""Types of blocks."""

ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
"""The Byte-Order Magic of a section, as struct has byte orders."""

ORDERS_OF_PACKETS = {PACKET.to_bytes(4, "little"): "<", PACKET.to_bytes(4, "big"): ">"}
"""The first bytes of a packet's block, as struct has byte orders."""

LONGEST = 1 << 20
"""More bytes than a block of packets that a lab sends can have: whatever says so is no pcapng."""

_HEAD = 12
_ETHERNET = 1
"""LINKTYPE_ETHERNET of pcap."""

_NAME, _TSRESOL = 2, 9
"""Options if_name, and if_tsresol: the unit of time, 10 to the minus so many seconds, or 2 with the highest bit set."""

_MICROSECOND = Fraction(1000)
"""In nanoseconds."""


@dataclass(frozen=True)
class Block:
    """A block, with its head and its end. Of a packet: its `interface`, by number, and when it came, in nanoseconds
    since 1970."""

    data: bytes
    interface: int = -1
    at_ns: int = 0

    @property
    def at_s(self) -> float:
        """When it came, in seconds since 1970."""
        return self.at_ns / 1e9

    def moved(self, interface: int, at_ns: int) -> Block:
        """The same packet in a file that `head` begins, at one of its interfaces, at another time; options are left
        out."""
        order = ORDERS_OF_PACKETS[self.data[:4]]
        kept, size = struct.unpack_from(order + "II", self.data, 20)
        content = self.data[28 : 28 + kept] + bytes(-kept % 4)
        body = struct.pack("<IIIII", interface, at_ns >> 32, at_ns & 0xFFFFFFFF, kept, size) + content
        return Block(_framed(PACKET, body), interface, at_ns)


class BlockReader:
    """Takes bytes as they come, and gives the blocks that are whole. Raises ValueError for what is no pcapng."""

    def __init__(self) -> None:
        self._rest = b""
        self._order = ""
        self._units: list[Fraction] = []

    def feed(self, data: bytes) -> Iterator[Block]:
        """The blocks that are whole with these bytes."""
        self._rest += data
        start = 0
        while (length := self._length(start)) and start + length <= len(self._rest):
            yield self._block(self._rest[start : start + length])
            start += length
        self._rest = self._rest[start:]

    def _length(self, start: int) -> int:
        """How long the block is that begins there; 0 where not enough of it has come to tell."""
        head = self._rest[start : start + _HEAD]
        if len(head) < _HEAD:
            return 0
        if head[:4] == SECTION.to_bytes(4, "little"):  # the same in either order
            self._order, self._units = ORDERS.get(head[8:12], ""), []
        if not self._order:
            raise ValueError("this is no pcapng")
        length = int(struct.unpack_from(self._order + "I", head, 4)[0])
        if not _HEAD <= length <= LONGEST:
            raise ValueError(f"a block of {length} bytes")
        return length

    def _block(self, data: bytes) -> Block:
        (kind,) = struct.unpack_from(self._order + "I", data)
        if kind == INTERFACE:
            self._units.append(self._unit(data))
        if kind != PACKET:
            return Block(data)
        interface, high, low = struct.unpack_from(self._order + "III", data, 8)
        unit = self._units[interface] if interface < len(self._units) else _MICROSECOND
        return Block(data, interface, int(((high << 32) + low) * unit))

    def _unit(self, data: bytes) -> Fraction:
        """The unit of time of an interface, in nanoseconds: 3.5 Options; a millionth of a second where it says
        nothing."""
        place = 16
        while place + 5 <= len(data) - 4:
            option, length = struct.unpack_from(self._order + "HH", data, place)
            if option == _TSRESOL and length == 1:
                resolution = data[place + 4]
                return Fraction(10**9, 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution)
            place += 4 + length + -length % 4
        return _MICROSECOND


def head(interfaces: Sequence[tuple[str, int]]) -> Block:
    """How a file begins that has Ethernet interfaces of these names, which keep so many bytes of a packet at most (0:
    all), and times in nanoseconds."""
    section = _framed(SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    return Block(section + b"".join(_interface(name, size) for name, size in interfaces))


def _interface(name: str, size: int) -> bytes:
    text = name.encode()
    options = (
        struct.pack("<HH", _NAME, len(text)) + text + bytes(-len(text) % 4) + struct.pack("<HHBxxx", _TSRESOL, 1, 9)
    )
    return _framed(INTERFACE, struct.pack("<HHI", _ETHERNET, 0, size) + options + bytes(4))


def _framed(kind: int, body: bytes) -> bytes:
    """3.1 General Block Structure, around what is a multiple of four bytes."""
    length = struct.pack("<I", len(body) + _HEAD)
    return struct.pack("<I", kind) + length + body + length
