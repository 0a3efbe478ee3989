"""What the phones of a lab hear: every RTP packet that comes in at their media ports."""

from __future__ import annotations

import threading

from labctl.engine.streams import ExecStream
from labctl.sip import tshark
from labctl.sip.tshark import Packet
from labctl.timing import Signal


class Ear:
    """Hears all RTP that comes in at the phones' media ports, by a tshark that runs beside them."""

    def __init__(self, signal: Signal) -> None:
        self.packets: list[Packet] = []
        self.trouble = ""
        self._signal = signal
        self._stream: ExecStream | None = None
        self._thread = threading.Thread(target=self._read, name="phones-ear", daemon=True)

    def start(self, stream: ExecStream) -> None:
        """Follow the tshark that the stream leads to."""
        self._stream = stream
        self._thread.start()

    def _read(self) -> None:
        rest = ""
        for data in self._stream or ():
            *lines, rest = (rest + data.decode("utf-8", "replace")).split("\n")
            for line in lines:
                packet = tshark.parse_packet(line)
                if packet:
                    self.packets.append(packet)
                else:
                    self.trouble = line
            self._signal.notify()

    def close(self) -> None:
        """Hang up, which ends tshark."""
        if self._stream:
            self._stream.close()
            self._thread.join(timeout=1)
