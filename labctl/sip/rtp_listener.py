"""What the phones of a lab hear: every RTP packet that comes in at their media ports."""

from __future__ import annotations

import threading

from labctl.engine.streams import ExecStream
from labctl.sip import tshark
from labctl.timing import Signal

PACKETS_A_SECOND = 50
"""G.711 in packets of 20 ms (RFC 3551, section 4.2)."""


class RtpListener:
    """Counts all RTP that comes in at the phones' media ports, from a tshark in each of their containers.

    `trouble` is the last line of a tshark that is no packet.
    """

    def __init__(self, signal: Signal) -> None:
        self._counts: dict[tuple[int, str], int] = {}
        self._said_all: set[ExecStream] = set()
        self.trouble = ""
        self._signal = signal
        self._streams: list[tuple[ExecStream, threading.Thread]] = []

    def start(self, stream: ExecStream) -> None:
        """Follow the tshark that the stream leads to, one of a container of phones."""
        thread = threading.Thread(target=self._read, args=(stream,), name="phones-rtp", daemon=True)
        self._streams.append((stream, thread))
        thread.start()

    @property
    def ended(self) -> bool:
        """Whether none of them says any more."""
        return bool(self._streams) and len(self._said_all) == len(self._streams)

    @property
    def counts(self) -> dict[tuple[int, str], int]:
        """How many packets came in so far, by port and by the address that they came from."""
        return dict(self._counts)

    def _read(self, stream: ExecStream) -> None:
        """Read to the end. However that comes, it is told: others wait for packets."""
        rest = ""
        try:
            for data in stream:
                *lines, rest = (rest + data.decode("utf-8", "replace")).split("\n")
                for line in lines:
                    self._add(line)
                self._signal.notify()
        finally:
            self._said_all.add(stream)
            self._signal.notify()

    def _add(self, line: str) -> None:
        try:
            packet = tshark.parse_packet(line)
        except ValueError:  # a line of as many fields, and other contents
            packet = None
        if packet:
            place = (packet.port, packet.source)
            self._counts[place] = self._counts.get(place, 0) + 1
        else:
            self.trouble = line

    def close(self) -> None:
        """Hang up, which ends each tshark."""
        for stream, _ in self._streams:
            stream.close()
        for _, thread in self._streams:
            thread.join(timeout=1)
