"""Packets as what UDP and TCP carry: link layers, VLANs, IPv4 with its fragments put together, IPv6. Pure.

What is no such packet, or is cut within its headers, is nothing here, and is not counted.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from labctl.capture.frames import Frame

UDP, TCP = 17, 6
"""Protocols of IP (RFC 790)."""

_IPV4, _IPV6 = 0x0800, 0x86DD
_VLANS = (0x8100, 0x88A8, 0x9100)
_VLANS_AT_MOST = 4
_EXTENSIONS = (0, 43, 60, 135)
"""Headers between IPv6's and what it carries, all of one form: options, routing, mobility (RFC 8200, 4; RFC 6275)."""

_FRAGMENT = 44
_EXTENSIONS_AT_MOST = 8
_UNFINISHED, _FRAGMENTS, _LARGEST = 64, 128, 65_535
"""How many datagrams that are not whole are kept, how many fragments of one, and bytes of one at most."""


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An address and a port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Datagram:
    """What UDP, or a segment of TCP, carries.

    `seen_at`: the interface, and on "any" which of the machine's: two sights of one packet differ in it. `cut`: not all
    of it was kept. `sequence` and `flags` are TCP's.
    """

    frame: int
    at_s: float
    seen_at: tuple[int, ...]
    protocol: int
    source: Endpoint
    target: Endpoint
    payload: bytes
    cut: bool = False
    sequence: int = 0
    flags: int = 0


@dataclass(slots=True)
class _Pieces:
    """The fragments of a datagram so far, by where they belong; `size` is known with the last."""

    parts: dict[int, bytes]
    size: int | None = None
    held: int = 0


class Reader:
    """Takes packets apart, one after the other: fragments wait here until their datagram is whole."""

    def __init__(self) -> None:
        self._unfinished: dict[tuple[object, ...], _Pieces] = {}

    def take(self, packet: Frame) -> Datagram | None:
        """What a packet carries, or completes; None where that is neither UDP nor TCP."""
        layer = _LINKS.get(packet.link, _nothing)(packet.data)
        if layer is None:
            return None
        kind, seen_at, data = layer
        seen_at = (packet.interface, *seen_at)
        if kind == _IPV4:
            return self._ipv4(packet, seen_at, data)
        return self._ipv6(packet, seen_at, data) if kind == _IPV6 else None

    def _ipv4(self, packet: Frame, seen_at: tuple[int, ...], data: bytes) -> Datagram | None:
        """RFC 791, 3.1. A length of 0 is that of a packet which the network card would have cut up."""
        if len(data) < 20 or data[0] >> 4 != 4:
            return None
        header = (data[0] & 15) * 4
        length, number, place = struct.unpack_from(">HHH", data, 2)
        length = length or len(data)
        if header < 20 or length < header:
            return None
        addresses = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
        body, cut = data[header:length], len(data) < length
        if place & 0x3FFF:
            key = (seen_at, addresses, number, data[9])
            whole = self._piece(key, (place & 0x1FFF) * 8, bool(place & 0x2000), body) if not cut else None
            if whole is None:
                return None
            body = whole
        return _transport(packet, seen_at, data[9], addresses, body, cut)

    def _ipv6(self, packet: Frame, seen_at: tuple[int, ...], data: bytes) -> Datagram | None:
        """RFC 8200, 3 and 4."""
        if len(data) < 40 or data[0] >> 4 != 6:
            return None
        length = struct.unpack_from(">H", data, 4)[0] or len(data) - 40
        addresses = socket.inet_ntop(socket.AF_INET6, data[8:24]), socket.inet_ntop(socket.AF_INET6, data[24:40])
        kind, body, cut = data[6], data[40 : 40 + length], len(data) - 40 < length
        for _ in range(_EXTENSIONS_AT_MOST):
            if kind not in (*_EXTENSIONS, _FRAGMENT) or len(body) < 8:
                break
            if kind == _FRAGMENT:
                place, number = struct.unpack_from(">HI", body, 2)
                key = (seen_at, addresses, number, body[0])
                whole = self._piece(key, place & 0xFFF8, bool(place & 1), body[8:]) if not cut else None
                if whole is None:
                    return None
                kind, body = body[0], whole
            else:
                kind, body = body[0], body[(body[1] + 1) * 8 :]
        return _transport(packet, seen_at, kind, addresses, body, cut)

    def _piece(self, key: tuple[object, ...], place: int, more: bool, data: bytes) -> bytes | None:
        """Keep a fragment; the datagram, once it is whole. Those that wait longest make room for others."""
        pieces = self._unfinished.get(key)
        if pieces is None:
            if len(self._unfinished) >= _UNFINISHED:
                self._unfinished.pop(next(iter(self._unfinished)))
            pieces = self._unfinished[key] = _Pieces({})
        if place + len(data) > _LARGEST or len(pieces.parts) >= _FRAGMENTS:
            del self._unfinished[key]
            return None
        if not more:
            pieces.size = place + len(data)
        if place not in pieces.parts:
            pieces.parts[place] = data
            pieces.held += len(data)
        if pieces.size is None or pieces.held < pieces.size:
            return None
        whole = bytearray()
        for start in sorted(pieces.parts):
            if start > len(whole):
                return None
            whole += pieces.parts[start][len(whole) - start :]
        del self._unfinished[key]
        return bytes(whole[: pieces.size])


def _transport(
    packet: Frame, seen_at: tuple[int, ...], protocol: int, addresses: tuple[str, str], body: bytes, cut: bool
) -> Datagram | None:
    """UDP (RFC 768) or TCP (RFC 9293, 3.1)."""
    if protocol not in (UDP, TCP) or len(body) < (8 if protocol == UDP else 20):
        return None
    ports = struct.unpack_from(">HH", body)
    source, target = Endpoint(addresses[0], ports[0]), Endpoint(addresses[1], ports[1])
    if protocol == UDP:
        length = struct.unpack_from(">H", body, 4)[0] or len(body)
        cut = cut or len(body) < length
        return Datagram(packet.number, packet.at_s, seen_at, UDP, source, target, body[8:length], cut)
    sequence = struct.unpack_from(">I", body, 4)[0]
    payload = body[max(20, (body[12] >> 4) * 4) :]
    return Datagram(
        packet.number, packet.at_s, seen_at, TCP, source, target, payload, cut, sequence=sequence, flags=body[13]
    )


# Link layers: what is in it (an EtherType), on which of the machine's interfaces it was seen, and what it carries.

_Layer = tuple[int, tuple[int, ...], bytes]


def _nothing(_data: bytes) -> _Layer | None:
    return None


def _ethernet(data: bytes) -> _Layer | None:
    return _after_vlans(data, 12, ()) if len(data) >= 14 else None


def _cooked(data: bytes) -> _Layer | None:
    """LINKTYPE_LINUX_SLL: the kind of packet (to us, from us, …) is what tells two sights of one apart."""
    return _after_vlans(data, 14, (struct.unpack_from(">H", data)[0],)) if len(data) >= 16 else None


def _cooked_2(data: bytes) -> _Layer | None:
    """LINKTYPE_LINUX_SLL2, which has the interface."""
    if len(data) < 20:
        return None
    kind, interface = struct.unpack_from(">HxxI", data)
    return _after_vlans(data[:2] + data[20:], 0, (interface, data[10])) if kind else None


def _after_vlans(data: bytes, place: int, seen_at: tuple[int, ...]) -> _Layer | None:
    """What begins with an EtherType at `place`, behind any tags of VLANs (IEEE 802.1Q)."""
    for _ in range(_VLANS_AT_MOST + 1):
        if len(data) < place + 2:
            return None
        kind = struct.unpack_from(">H", data, place)[0]
        if kind not in _VLANS:
            return kind, seen_at, data[place + 2 :]
        place += 4
    return None


def _raw(data: bytes) -> _Layer | None:
    """LINKTYPE_RAW and its likes: IP at once, which says its version itself."""
    kind = {4: _IPV4, 6: _IPV6}.get(data[0] >> 4) if data else None
    return (kind, (), data) if kind else None


def _loopback(data: bytes) -> _Layer | None:
    """LINKTYPE_NULL and LINKTYPE_LOOP: four bytes that name a family by the number of some system."""
    return _raw(data[4:])


_LINKS: dict[int, Callable[[bytes], _Layer | None]] = {
    **{0: _loopback, 108: _loopback, 1: _ethernet, 113: _cooked, 276: _cooked_2},
    **{12: _raw, 14: _raw, 101: _raw, 228: _raw, 229: _raw},
}
