"""A pcapng file as it comes, cut into whole blocks: so it can end after any of them. Pure.

PCAP Next Generation, draft-ietf-opsawg-pcapng: 3.1 General Block Structure, 4.1 Section Header, 4.2 Interface
Description, 4.3 Enhanced Packet.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
"""Types of blocks."""

ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
"""The Byte-Order Magic of a section, as struct has byte orders."""

LONGEST = 1 << 20
"""More bytes than a block of packets that a lab sends can have: whatever says so is no pcapng."""

_HEAD = 12
_TSRESOL = 9
"""Option if_tsresol: the unit of time, 10 to the minus so many seconds, or 2 with the highest bit set."""


@dataclass(frozen=True)
class Block:
    """A block, with its head and its end. Of a packet: its `interface`, by number, and when it came, in seconds since
    1970."""

    data: bytes
    interface: int = -1
    at_s: float = 0.0


class BlockReader:
    """Takes bytes as they come, and gives the blocks that are whole. Raises ValueError for what is no pcapng."""

    def __init__(self) -> None:
        self._rest = b""
        self._order = ""
        self._units: list[float] = []

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
        unit = self._units[interface] if interface < len(self._units) else 1e-6
        return Block(data, interface, ((high << 32) + low) * unit)

    def _unit(self, data: bytes) -> float:
        """The unit of time of an interface, in seconds: 3.5 Options; a millionth where it says nothing."""
        place = 16
        while place + 5 <= len(data) - 4:
            option, length = struct.unpack_from(self._order + "HH", data, place)
            if option == _TSRESOL and length == 1:
                resolution = data[place + 4]
                return 2.0 ** -(resolution & 0x7F) if resolution & 0x80 else 10.0**-resolution
            place += 4 + length + -length % 4
        return 1e-6
