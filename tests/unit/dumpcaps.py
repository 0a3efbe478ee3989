"""Containers that capture, for which a test speaks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from queue import SimpleQueue

ENGINE_CLOCK_S = 1_000_000.0
"""What the engine's clock says at the zero of this machine's: any other than its own."""


class Dumpcap:
    """A container that captures: it tells the time at a line, and ends at `end`, as record-packets.sh does."""

    def __init__(self, *, answers: bool = True, ahead_s: float = 0.0) -> None:
        """`ahead_s`: how far its clock is ahead of ENGINE_CLOCK_S."""
        self.ahead_s = ahead_s
        self.orders: list[str] = []
        self.closed = False
        self._answers = answers
        self._pieces: SimpleQueue[tuple[int, bytes] | None] = SimpleQueue()

    def write(self, *pieces: bytes) -> None:
        """Hand out packets."""
        for piece in pieces:
            self._pieces.put((1, piece))

    def say(self, text: str) -> None:
        """Print a line on standard error."""
        self._pieces.put((2, f"{text}\n".encode()))

    def end(self) -> None:
        """End by itself."""
        self._pieces.put(None)

    def send(self, data: bytes) -> None:
        order = data.decode().strip()
        self.orders.append(order)
        if order == "end":
            self.end()
        elif self._answers:
            self.say(f"clock {self.ahead_s + ENGINE_CLOCK_S + time.monotonic():.6f}")

    def outputs(self) -> Iterator[tuple[int, bytes]]:
        while piece := self._pieces.get():
            yield piece

    def close(self) -> None:
        self.closed = True
        self._pieces.put(None)

    def now_ns(self, later_s: float = 0.0) -> int:
        """The time there."""
        return int((self.ahead_s + ENGINE_CLOCK_S + time.monotonic() + later_s) * 1e9)
