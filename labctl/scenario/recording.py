"""The capture of a run: a file beside its history, and what the history tells of it."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import IO

from labctl.blueprint.running_lab import Running
from labctl.capture.frames import Broken, frames
from labctl.capture.messages import Message, MessageReader
from labctl.cluster import dumpcap
from labctl.cluster.lab_capture import capturing
from labctl.cluster.packet_blocks import Block, BlockReader
from labctl.engine.client import Engine
from labctl.errors import HostError
from labctl.history.events import Capture
from labctl.history.journal import Journal

LIMIT_BYTES = 32 << 20
"""How much of a capture is kept. An idle ring of three nodes fills half of it in 20 minutes, 100 calls in an hour and
more: from then on Totem and RTP are left out, so that there is room for SIP."""


class Recording:
    """From `start` to `end` all that crosses the lab's network goes to `path`, up to `limit` bytes; from half of it on
    without headers of Totem and RTP.

    Whatever goes wrong with it, the run goes on; the history says what it was.
    """

    def __init__(
        self, engine: Engine, running: Running, journal: Journal, path: Path, limit: int = LIMIT_BYTES
    ) -> None:
        self._journal = journal
        self._path = path
        self._limit = limit
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._over = False
        self._without = ""
        self._head = b""
        self._read_bytes = 0
        self._reader = MessageReader()
        self._reading = threading.Lock()
        self.ended = ""
        self._capture = capturing(engine, running, dumpcap.Selection(), self._take, self._broke_off)

    def start(self) -> None:
        """Begin to begin: returns at once."""
        self._capture.start()

    def await_begun(self) -> None:
        """Return when every packet from now on is kept, or that cannot be."""
        begun = self._capture.await_begun()
        self._write("" if begun else f"the capture could not start: {self._capture.error}")

    def await_captured(self, nodes: Collection[str]) -> None:
        """Return when packets of these nodes are kept, of which some may have been started again."""
        self._capture.await_captured(nodes)

    def end(self) -> None:
        """Keep all that has passed so far, and no more: returns at once."""
        self._capture.end()

    def await_ended(self) -> None:
        """Return when all that is to be kept is in the file."""
        self._capture.await_ended()
        if self._file:
            self._file.close()

    def messages(self, since_s: float) -> list[Message]:
        """The SIP messages since then, each once, their times in seconds since the run began: the file is read as it
        grows.

        A packet is there a moment after it passed: `capturing.HELD_S` later none is missing. `ended` says why
        none will come any more. Raises HostError where the file cannot be read.
        """
        with self._reading:
            size = self._bytes if self._file else 0
            try:
                if size > self._read_bytes:
                    with self._path.open("rb") as file:
                        file.seek(self._read_bytes)
                        data = file.read(size - self._read_bytes)
                    self._take_in(data)
                    self._read_bytes = size
            except (OSError, Broken) as error:
                raise HostError(f"{self._path.name} cannot be read: {error}") from None
            epoch_s = self._capture.clock_s + self._journal.zero_s
            late = (message for message in self._reader.messages if message.at_s >= since_s + epoch_s)
            return [replace(message, at_s=message.at_s - epoch_s) for message in late]

    def _take_in(self, data: bytes) -> None:
        """Read what has come; what its packets are is said at the beginning of the file, before the first of them."""
        for frame in frames(self._head + data):
            if frame.interface % dumpcap.KINDS == 0:  # no header alone
                self._reader.take(frame)
        self._head = _before_packets(self._head + data)

    def _write(self, ended: str = "") -> None:
        """Tell the history, but for what comes after an end that it was told of."""
        if not self._over:
            epoch_s = round(self._capture.clock_s + self._journal.zero_s, 6)
            self._journal.write(Capture(self._journal.now_s(), self._path.name, epoch_s, ended, self._without))
        self._over, self.ended = bool(ended), self.ended or ended

    def _broke_off(self, why: str) -> None:
        self._write(f"the capture ended: {why}")

    def _take(self, block: Block) -> None:
        if self._over:
            return
        if dumpcap.is_header_alone(block) and self._bytes > self._limit // 2:
            if not self._without:
                self._without = f"Totem and RTP: it has {self._bytes >> 20} MB"
                self._write()
            return
        if self._bytes + len(block.data) > self._limit:
            self._write(f"cut at {self._limit >> 20} MB")
            self._capture.close()
            return
        try:
            if self._file is None:
                self._file = self._path.open("wb", buffering=0)
            self._file.write(block.data)
            self._bytes += len(block.data)
        except OSError as error:
            self._write(f"{self._path.name}: {error.strerror}")
            self._capture.close()


def _before_packets(data: bytes) -> bytes:
    """The blocks of a pcapng file that come before its first packet."""
    head = b""
    for block in BlockReader().feed(data):
        if block.interface >= 0:
            break
        head += block.data
    return head
