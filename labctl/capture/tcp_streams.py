"""SIP over TCP: segments in order, and the messages of a stream told apart by their lengths (RFC 3261, 18.3). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from labctl.capture.datagrams import Datagram
from labctl.capture.sip_text import starts_message

_STREAMS, _WAITING, _LONGEST = 512, 64, 131_072
"""How many streams are followed at a time, how many segments of one may wait, and bytes that a message may take."""

_FIN, _SYN, _RST = 1, 2, 4
_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:[ \t]*(\d{1,6})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


@dataclass(slots=True)
class _Stream:
    """One direction of a connection: the sequence number that is next, what is no whole message yet, what waits for
    segments before it, and from where in `held` the end of the headers is still to be looked for."""

    next: int
    held: bytearray = field(default_factory=bytearray)
    waiting: dict[int, bytes] = field(default_factory=dict)
    searched: int = 0

    def append(self, data: bytes) -> None:
        """Take what is next."""
        self.held += data
        self.next = (self.next + len(data)) & 0xFFFFFFFF

    def go_on(self) -> None:
        """Take what has waited for that."""
        while (data := self.waiting.pop(self.next, None)) is not None:
            self.append(data)

    def restart(self, sequence: int) -> None:
        """Go on from there: what is before it, or was held, will never be whole."""
        self.held.clear()
        self.searched = 0
        self.waiting = {at: data for at, data in self.waiting.items() if (at - sequence) & 0xFFFFFFFF < 1 << 31}
        self.next = sequence & 0xFFFFFFFF
        self.go_on()


class Streams:
    """Takes segments, one after the other, and gives the SIP messages that they complete."""

    def __init__(self) -> None:
        self._streams: dict[tuple[object, ...], _Stream] = {}

    def take(self, segment: Datagram) -> Iterator[bytes]:
        """The messages that a segment completes.

        What is not SIP is passed over; where a segment is lost, reading goes on with the next that begins a message.
        """
        key = (segment.seen_at, segment.source, segment.target)
        if segment.flags & (_SYN | _RST):
            self._streams.pop(key, None)
        if segment.flags & _SYN or not segment.payload:
            return
        stream = self._streams.get(key)
        if stream is None:
            if not starts_message(segment.payload):
                return
            if len(self._streams) >= _STREAMS:
                self._streams.pop(next(iter(self._streams)))
            stream = self._streams[key] = _Stream(segment.sequence)
        self._put(stream, segment)
        yield from _messages(stream)
        if segment.flags & _FIN or len(stream.held) > _LONGEST or (segment.cut and stream.held):
            self._streams.pop(key, None)

    @staticmethod
    def _put(stream: _Stream, segment: Datagram) -> None:
        """Add a segment in its place. One that was sent again adds nothing."""
        ahead = _ahead(segment.sequence, stream)
        if ahead >= 1 << 31:
            stream.append(segment.payload[(1 << 32) - ahead :])
        else:
            stream.waiting.setdefault(segment.sequence, segment.payload)
        stream.go_on()
        if len(stream.waiting) > _WAITING:  # what they wait for is lost
            begins = [sequence for sequence, data in stream.waiting.items() if starts_message(data)]
            after = segment.sequence + len(segment.payload)
            stream.restart(min(begins, key=lambda sequence: _ahead(sequence, stream), default=after))


def _ahead(sequence: int, stream: _Stream) -> int:
    """How far a sequence number is ahead of what is next; of what was, almost 2**32."""
    return (sequence - stream.next) & 0xFFFFFFFF


def _messages(stream: _Stream) -> Iterator[bytes]:
    """Take the whole messages from what a stream holds."""
    while True:
        while stream.held.startswith(b"\r\n"):  # keep-alives (RFC 5626, 3.5.1)
            del stream.held[:2]
            stream.searched = 0
        end = stream.held.find(b"\r\n\r\n", stream.searched)
        if end < 0:
            stream.searched = max(0, len(stream.held) - 3)
            return
        stream.searched = end
        length = _LENGTH.search(stream.held, 0, end + 2)
        size = end + 4 + (int(length[1]) if length else 0)
        if len(stream.held) < size:
            return
        yield bytes(stream.held[:size])
        del stream.held[:size]
        stream.searched = 0
