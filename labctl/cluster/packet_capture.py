"""Packets that one container beside a lab captures (dumpcap.py), as pcapng: from one moment that is known to another,
on a clock that is known.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress

from labctl.cluster.capturing import Capturing
from labctl.cluster.packet_blocks import Block, BlockReader
from labctl.engine.client import Engine
from labctl.engine.side_container import SideContainer
from labctl.engine.streams import ExecStream
from labctl.errors import LabctlError
from labctl.timing import Signal

CLOCK_QUESTIONS = 4
LAST_LINES = 3
STDOUT = 1


class PacketCapture(Capturing):
    """Of one container. `side` tells which, or raises LabctlError. `sink` gets the blocks of a pcapng file, and
    `broke_off` is told why where it ends by itself after it has begun; both in its thread.

    `clock_s` is what the engine's wall clock says at the zero of this machine's monotonic clock: asked for by a line,
    answered by another, and right to half of the quickest way there and back (under 1 ms on the same machine).
    """

    def __init__(
        self,
        engine: Engine,
        side: Callable[[], SideContainer],
        sink: Callable[[Block], None],
        broke_off: Callable[[str], None],
        signal: Signal | None = None,
    ) -> None:
        super().__init__(signal)
        self._engine = engine
        self._side = side
        self._sink = sink
        self._broke_off = broke_off
        self._stream: ExecStream | None = None
        self._asked_s = 0.0
        self._clocks: list[tuple[float, float]] = []
        self._lines: list[str] = []
        self._until_s: float | None = None

    @property
    def clock_s(self) -> float:
        """See above; what this machine's own clock says as long as there was no answer."""
        return self.clock[1]

    @property
    def clock(self) -> tuple[float, float]:
        """The quickest way there and back, in seconds, and the clock by it."""
        return min(self._clocks, default=(math.inf, time.time() - time.monotonic()))

    @property
    def begun(self) -> bool:
        """Whether every packet from now on is captured, and the clock is known."""
        return len(self._clocks) >= CLOCK_QUESTIONS

    def end(self) -> None:
        """Have it end when it has captured all that has passed so far: returns at once.

        A packet that passed later tells that it has; where none passes, `await_ended` sees to it.
        """
        self._wanted, self._until_s = False, self.clock_s + time.monotonic()

    def end_now(self) -> None:
        """Have it end with what has come so far: returns at once."""
        self._wanted = False
        self._order("end\n")

    def close(self) -> None:
        """Hang up: the container ends by itself."""
        self._wanted, self._closed = False, True
        if self._stream:
            self._stream.close()

    # In the thread

    def _run(self) -> None:
        try:
            self._stream = self._engine.start_beside(self._side())
            if self._closed:
                self._stream.close()
            self._read(self._stream)
        except LabctlError as error:
            self.error = error.message
        except ValueError as error:
            self.error = f"what it printed is no capture: {error}"
        finally:
            self.error = self.error or "; ".join(self._lines[-LAST_LINES:]) or "it ended without a word"
            if self.begun and self._wanted:
                self._broke_off(self.error)
            self.ended = True
            self.close()
            self._signal.notify()

    def _read(self, stream: ExecStream) -> None:
        reader, rest = BlockReader(), ""
        for source, data in stream.outputs():
            if source == STDOUT:
                for block in reader.feed(data):
                    self._passed(block)
            else:
                *lines, rest = (rest + data.decode("utf-8", "replace")).split("\n")
                for line in lines:
                    self._told(line.strip())

    def _passed(self, block: Block) -> None:
        self._sink(block)
        if self._until_s is not None and block.at_s > self._until_s:
            self._until_s = None
            self._order("end\n")

    def _told(self, line: str) -> None:
        """A line of dumpcap's, or an answer to the question for the time."""
        if line.startswith("clock "):
            now_s = time.monotonic()
            middle_s = (self._asked_s + now_s) / 2
            self._clocks.append((now_s - self._asked_s, float(line.split()[1]) - middle_s))
        elif not line.startswith(("Capturing on", "File:")):
            self._lines.append(line)
        if line.startswith("File:") or (line.startswith("clock ") and not self.begun):
            self._asked_s = time.monotonic()
            self._order("clock\n")
        self._signal.notify()

    def _order(self, text: str) -> None:
        if self._stream:
            with suppress(OSError):  # it has ended just now
                self._stream.send(text.encode())
