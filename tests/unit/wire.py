"""Captures made by hand: SIP in UDP and TCP, in IPv4 and IPv6, in Ethernet and its likes, in pcapng and pcap."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from labctl.capture.datagrams import Endpoint

T0_S = 1_795_717_700.0
ALICE, N1, N2, BOB = ("198.18.7.9", 6000), ("198.18.7.11", 5060), ("198.18.7.12", 5060), ("198.18.7.9", 6100)
End = tuple[str, int]

ETHERNET, COOKED, COOKED_2, RAW = 1, 113, 276, 101


def sip(start: str, call_id: str = "a", cseq: str = "1 INVITE", body: str = "", **headers: str) -> bytes:
    """A SIP message; further headers by name, `_` for `-`."""
    fields = {
        "Via": "SIP/2.0/UDP 198.18.7.9:6000;branch=z9hG4bK1",
        "From": "<sip:alice@198.18.7.11>;tag=1",
        "To": "<sip:102@198.18.7.11>",
        "Call-ID": call_id,
        "CSeq": cseq,
        **{name.replace("_", "-"): value for name, value in headers.items()},
        "Content-Length": str(len(body)),
    }
    lines = [start, *(f"{name}: {value}" for name, value in fields.items()), "", body]
    return "\r\n".join(lines).encode()


def udp(source: End, target: End, payload: bytes) -> bytes:
    return struct.pack(">HHHH", source[1], target[1], 8 + len(payload), 0) + payload


def tcp(source: End, target: End, sequence: int, payload: bytes = b"", flags: int = 0x18) -> bytes:
    return struct.pack(">HHIIBBHHH", source[1], target[1], sequence % 2**32, 0, 0x50, flags, 65535, 0, 0) + payload


def ipv4(source: End, target: End, protocol: int, body: bytes, number: int = 0, place: int = 0) -> bytes:
    """An IPv4 packet, or a fragment: `place` as on the wire, with its flags."""
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), number, place, 64, protocol, 0)
    return header + socket.inet_aton(source[0]) + socket.inet_aton(target[0]) + body


def ipv6(source: End, target: End, protocol: int, body: bytes) -> bytes:
    addresses = b"".join(socket.inet_pton(socket.AF_INET6, end[0]) for end in (source, target))
    return struct.pack(">IHBB", 6 << 28, len(body), protocol, 64) + addresses + body


def fragments(source: End, target: End, datagram: bytes, size: int, number: int = 7) -> list[bytes]:
    """A UDP datagram in IPv4 packets of so many bytes of it each (a multiple of 8)."""
    starts = range(0, len(datagram), size)
    return [
        ipv4(
            source, target, 17, datagram[at : at + size], number, at // 8 | (0x2000 if at + size < len(datagram) else 0)
        )
        for at in starts
    ]


def ethernet(packet: bytes, tags: bytes = b"") -> bytes:
    return bytes(12) + tags + (b"\x86\xdd" if packet[:1] >= b"\x60" else b"\x08\x00") + packet


def cooked(packet: bytes, kind: int = 0) -> bytes:
    return struct.pack(">HHH8xH", kind, 1, 6, 0x0800) + packet


def cooked_2(packet: bytes, interface: int = 1, kind: int = 0) -> bytes:
    return struct.pack(">HHIHBB8x", 0x0800, 0, interface, 1, kind, 6) + packet


def frame(source: End, target: End, payload: bytes) -> bytes:
    """UDP in IPv4 in Ethernet."""
    return ethernet(ipv4(source, target, 17, udp(source, target, payload)))


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", 12 + len(body))
    return struct.pack(f"{order}I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int = ETHERNET, options: bytes = b"", order: str = "<") -> bytes:
    return block(1, struct.pack(f"{order}HHI", link, 0, 0) + options, order)


def enhanced(data: bytes, at_s: float, index: int = 0, order: str = "<", parts: int = 1_000_000) -> bytes:
    ticks = round(at_s * parts)
    head = struct.pack(f"{order}IIIII", index, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(6, head + data, order)


def pcapng(frames: Iterable[bytes], link: int = ETHERNET, step_s: float = 0.01) -> bytes:
    """A file with these frames, so far apart in time."""
    blocks = [enhanced(data, T0_S + number * step_s) for number, data in enumerate(frames)]
    return b"".join([section(), interface(link), *blocks])


def pcap(frames: Iterable[bytes], link: int = ETHERNET, order: str = "<", step_s: float = 0.01) -> bytes:
    head = struct.pack(f"{order}IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link)
    records = []
    for number, data in enumerate(frames):
        seconds, part = divmod(T0_S + number * step_s, 1)
        records.append(struct.pack(f"{order}IIII", int(seconds), int(part * 1e6), len(data), len(data)) + data)
    return head + b"".join(records)


def setup() -> list[tuple[End, End, bytes]]:
    """A call that alice makes to bob over two switches, as far as it rings; each leg has a Call-ID of its own."""
    offer = {"Content_Type": "application/sdp", "body": "v=0\r\nm=audio 20000 RTP/AVP 0\r\n"}
    by_n1 = {"From": '"alice" <sip:101@198.18.7.11>;tag=2', "Via": "SIP/2.0/UDP 198.18.7.11:5060;branch=z9hG4bK2"}
    by_n2 = {"From": '"alice" <sip:101@198.18.7.12>;tag=3', "Via": "SIP/2.0/UDP 198.18.7.12:5060;branch=z9hG4bK3"}
    return [
        (ALICE, N1, sip("INVITE sip:102@198.18.7.11 SIP/2.0", "a", **offer)),
        (N1, ALICE, sip("SIP/2.0 401 Unauthorized", "a")),
        (ALICE, N1, sip("ACK sip:102@198.18.7.11 SIP/2.0", "a", "1 ACK")),
        (ALICE, N1, sip("INVITE sip:102@198.18.7.11 SIP/2.0", "a", "2 INVITE", Authorization="Digest x", **offer)),
        (N1, ALICE, sip("SIP/2.0 100 Trying", "a", "2 INVITE")),
        (N1, N2, sip("INVITE sip:102@198.18.7.12 SIP/2.0", "b", **by_n1, **offer)),
        (N2, N1, sip("SIP/2.0 100 Trying", "b", **by_n1)),
        (N2, BOB, sip("INVITE sip:bob@198.18.7.9:6100 SIP/2.0", "c", **by_n2, **offer)),
        (BOB, N2, sip("SIP/2.0 180 Ringing", "c", **by_n2)),
        (N2, N1, sip("SIP/2.0 180 Ringing", "b", **by_n1)),
        (N1, ALICE, sip("SIP/2.0 180 Ringing", "a", "2 INVITE")),
    ]


def frames(messages: Iterable[tuple[End, End, bytes]]) -> list[bytes]:
    return [frame(*message) for message in messages]


def endpoint(end: End) -> Endpoint:
    return Endpoint(*end)
