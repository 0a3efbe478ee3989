"""The SIP messages of a capture, each once, and how much else there was. Pure.

A capture may have seen one packet at several places: on each node, or at each port of a bridge. Such a copy is told
from a message that was really sent again by where it was seen: what one place saw twice was sent twice.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from labctl.capture.datagrams import TCP, Datagram, Endpoint, Reader
from labctl.capture.frames import Broken, Frame, frames
from labctl.capture.sip_text import starts_message, text_of
from labctl.capture.tcp_streams import Streams
from labctl.errors import InvalidFile, Problem
from labctl.sip_message import SipMessage, parse_message

DUNDI_PORT = 4520
"""DUNDi's (draft-mspencer-dundi-01, 3)."""

TOTEM_PORTS = range(5404, 5916)
"""Corosync's: 5405 and the port before it; where labs find members by multicast, those that follow."""

COPY_S = 0.25
"""Within which a packet is seen at all places that it passes. SIP sends nothing again in less than 0.5 s (RFC 3261,
17.1.1.1), but at one place twice is twice, however soon."""

MOST_MESSAGES = 100_000
LARGEST_FILE = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """A SIP message on the wire: when, in seconds since 1970, from where to where, and its text.

    `frame`: its number in the file, as Wireshark counts. `again`: the same was sent before. `cut`: the capture did not
    keep all of it.
    """

    frame: int
    at_s: float
    source: Endpoint
    target: Endpoint
    transport: str
    sip: SipMessage
    text: str
    again: bool = False
    cut: bool = False


@dataclass(frozen=True)
class CaptureContents:
    """What a file held. `counts`: packets by what they were. `broken`: why it could be read no further, or ""."""

    messages: tuple[Message, ...]
    counts: Mapping[str, int]
    broken: str = ""


def read(data: bytes, source: str) -> CaptureContents:
    """What a capture holds, as far as it can be read. Raises InvalidFile where not one packet can."""
    reader = MessageReader()
    broken = ""
    try:
        for frame in frames(data):
            reader.take(frame)
            if len(reader.messages) >= MOST_MESSAGES:
                broken = f"it holds more than {MOST_MESSAGES} SIP messages; those after them are not read"
                break
    except Broken as error:
        if not reader.counts:
            fix = "labctl, dumpcap, tcpdump and tshark write such files"
            raise InvalidFile(source, [Problem(1, f"not a capture: {error}", fix)]) from None
        broken = f"it cannot be read to its end: {error}"
    ordered = sorted(reader.messages, key=lambda message: message.at_s)
    return CaptureContents(tuple(ordered), dict(reader.counts), broken)


class MessageReader:
    """Takes packets as they come. `messages`: those of SIP so far; `counts`: packets by what they were."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._datagrams, self._streams, self._found = Reader(), Streams(), _Messages()

    @property
    def messages(self) -> list[Message]:
        """Each message so far, once, in the order in which they were seen."""
        return self._found.messages

    def take(self, frame: Frame) -> None:
        """Take a packet."""
        for datagram, text in self._texts(frame):
            self._found.add(datagram, text)

    def _texts(self, frame: Frame) -> Iterator[tuple[Datagram, bytes]]:
        """Each SIP message that a packet ends."""
        datagram = self._datagrams.take(frame)
        if datagram is None:
            self.counts["other"] += 1
        elif datagram.protocol == TCP:
            texts = list(self._streams.take(datagram))
            self.counts["SIP" if texts or starts_message(datagram.payload) else "other"] += 1
            yield from ((datagram, text) for text in texts)
        else:
            kind = _kind(datagram)
            self.counts[kind] += 1
            if kind == "SIP":
                yield datagram, datagram.payload


def _kind(datagram: Datagram) -> str:
    """What a datagram of UDP is: by its text, else by its port, else by its first bits (RFC 3550, 5.1)."""
    payload, ports = datagram.payload, (datagram.source.port, datagram.target.port)
    if starts_message(payload):
        return "SIP"
    if DUNDI_PORT in ports:
        return "DUNDi"
    if any(port in TOTEM_PORTS for port in ports):
        return "Totem"
    if payload and payload[0] >> 6 == 2 and min(ports) >= 1024:
        return "RTCP" if len(payload) > 1 and 200 <= payload[1] <= 204 else "RTP"
    return "other"


@dataclass(slots=True)
class _Sent:
    """A message that was sent, and where it has been seen."""

    at_s: float
    seen_at: set[tuple[int, ...]]


@dataclass
class _Messages:
    """The messages so far: each once, and those that were sent before marked."""

    messages: list[Message] = field(default_factory=list)
    _sights: dict[tuple[Endpoint, Endpoint, bytes], deque[_Sent]] = field(default_factory=dict)
    _before: set[tuple[object, ...]] = field(default_factory=set)

    def add(self, datagram: Datagram, data: bytes) -> None:
        """Take a message, unless it is the copy of one."""
        if self._is_copy(datagram, data):
            return
        text = text_of(data)
        sip = parse_message(text, datagram.at_s, sent=True)
        ends = datagram.source, datagram.target
        key = (*ends, sip.start, sip.header("Via"), sip.header("To"), *sip.request_key)
        transport = "TCP" if datagram.protocol == TCP else "UDP"
        again = key in self._before
        self._before.add(key)
        self.messages.append(Message(datagram.frame, datagram.at_s, *ends, transport, sip, text, again, datagram.cut))

    def _is_copy(self, datagram: Datagram, data: bytes) -> bool:
        """Whether this is another sight of a message that was sent just now. Each place sees what is sent in order."""
        sent = self._sights.setdefault((datagram.source, datagram.target, data), deque(maxlen=16))
        for one in sent:
            if abs(datagram.at_s - one.at_s) <= COPY_S and datagram.seen_at not in one.seen_at:
                one.seen_at.add(datagram.seen_at)
                return True
        sent.append(_Sent(datagram.at_s, {datagram.seen_at}))
        return False
