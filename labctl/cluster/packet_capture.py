"""What crosses the networks of a lab, as pcapng, from a container beside it that listens at their bridges.

Every frame passes there once, whichever nodes are killed and restarted meanwhile. A frame that a fault drops is there
where its sender let it go: packet filters drop what comes in (faults/packet_filter.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from labctl.blueprint.running_lab import Running
from labctl.capture.messages import DUNDI_PORT, TOTEM_PORTS
from labctl.cluster.packet_blocks import Block, BlockReader
from labctl.engine.client import Engine
from labctl.engine.side_container import SideContainer
from labctl.engine.streams import ExecStream
from labctl.errors import HostError, LabctlError, LabError
from labctl.names import LABEL_LAB, LABEL_ROLE, PREFIX, ROLE_CAPTURE, ROLE_PHONES
from labctl.paths import SCRIPTS
from labctl.timing import PATIENCE, Deadline, Signal

TOTEM = f"udp portrange {TOTEM_PORTS[0]}-{TOTEM_PORTS[-1]}"
"""What a reader of captures counts as Totem."""

RTP = f"udp and udp[8] & 0xc0 = 0x80 and udp[9] & 0xf8 != 0xc8 and not port {DUNDI_PORT} and not ({TOTEM})"
"""Version 2 (RFC 3550, 5.1), and no RTCP (RFC 5761, 4); SIP begins with a letter, DUNDi has a port of its own. What is
no first fragment has no ports, and matches neither this nor TOTEM."""

TOTEM_BYTES = 112
"""Ethernet, IP and UDP take 42, knet's header and Totem's own about 30; what a token says of its ring follows."""

RTP_BYTES = 54
"""42, and RTP's own 12."""

KERNEL_HOLDS_MS = 100
"""How long the kernel keeps a packet before the reader is woken (dumpcap(1), --update-interval)."""

HELD_S = 1.0
"""Ten times that: when so much time has passed nothing is held back any more."""

BEGIN_S = 20.0
"""How long it may take until packets are captured."""

END_S = 5.0
"""How long it may take to end; then it is hung up on, and ends by that."""

LOOK_AGAIN_S = 3600.0
KINDS = 3
"""What is whole, Totem, RTP: each has an interface of its own at each bridge, in that order."""

CLOCK_QUESTIONS = 4
PROCESSES, MEMORY_BYTES = 16, 128 << 20
LAST_LINES = 3
STDOUT = 1


def command(bridges: Sequence[str], addresses: Sequence[str] = (), *, every_byte: bool = False) -> tuple[str, ...]:
    """The command that captures what passes at these bridges, by or to these addresses, or all.

    SIP, DUNDi and all else is whole; of Totem and RTP there are the headers alone, unless `every_byte` is wanted.
    """
    of_hosts = f"({' or '.join(f'host {address}' for address in addresses)})" if addresses else ""

    def interface(bridge: str, matching: str, size: int) -> list[str]:
        wanted = " and ".join(part for part in (of_hosts, matching) if part)
        return ["-i", bridge, *(["-f", wanted] if wanted else []), *(["-s", str(size)] if size else [])]

    kinds = [("", 0)] if every_byte else [(f"not ({TOTEM}) and not ({RTP})", 0), (TOTEM, TOTEM_BYTES), (RTP, RTP_BYTES)]
    interfaces = [word for bridge in bridges for kind in kinds for word in interface(bridge, *kind)]
    script = (SCRIPTS / "record-packets.sh").read_text("utf-8")
    dumpcap = ("dumpcap", "-q", "--update-interval", str(KERNEL_HOLDS_MS), *interfaces, "-w", "-")
    return ("bash", "-c", script, "record-packets", *dumpcap)


def is_header_alone(block: Block) -> bool:
    """Whether a block is a packet of Totem or RTP, by a capture of `command` that has their headers alone."""
    return block.interface >= 0 and block.interface % KINDS > 0


def side_container(running: Running, words: tuple[str, ...]) -> SideContainer:
    """The container beside a lab that captures: of the phones' image. Raises LabError where the lab is not whole."""
    name = running.lab.name
    images = [part.image for part in running.observation.containers if part.role == ROLE_PHONES]
    if not images:
        raise LabError(f"the phones' container of {name} is gone", f"labctl up --name {name} mends it")
    return SideContainer(
        name=f"{PREFIX}-{name}-{ROLE_CAPTURE}-{time.time_ns():x}",
        image=images[0],
        command=words,
        labels=((LABEL_LAB, name), (LABEL_ROLE, ROLE_CAPTURE)),
        capabilities=("NET_RAW",),
        processes=PROCESSES,
        memory_bytes=MEMORY_BYTES,
    )


class PacketCapture:
    """Captures in a thread of its own, from `start` to `end`. `sink` gets the blocks of a pcapng file, and
    `broke_off` is told why where it ends by itself after it has begun; both in that thread.

    `clock_s` is what the engine's wall clock says at the zero of this machine's monotonic clock: asked for by a line,
    answered by another, and right to half of the quickest way there and back (under 1 ms on the same machine).
    """

    def __init__(
        self, engine: Engine, running: Running, sink: Callable[[Block], None], broke_off: Callable[[str], None]
    ) -> None:
        self._engine = engine
        self._running = running
        self._sink = sink
        self._broke_off = broke_off
        self._signal = Signal()
        self._stream: ExecStream | None = None
        self._asked_s = 0.0
        self._clocks: list[tuple[float, float]] = []
        self._closed = False
        self._lines: list[str] = []
        self._until_s: float | None = None
        self._wanted = True
        self._thread = threading.Thread(target=self._run, name="packets", daemon=True)
        self.error = ""
        self.ended = False

    @property
    def clock_s(self) -> float:
        """See above; what this machine's own clock says as long as there was no answer."""
        return min(self._clocks)[1] if self._clocks else time.time() - time.monotonic()

    @property
    def begun(self) -> bool:
        """Whether every packet from now on is captured, and the clock is known."""
        return len(self._clocks) == CLOCK_QUESTIONS

    def start(self, words: tuple[str, ...]) -> None:
        """Begin to begin, with a command of `command`: returns at once."""
        self._words = words
        self._thread.start()

    def await_begun(self) -> bool:
        """Return when packets are captured, or that cannot be; which it is. `error` then says why not."""
        self._signal.wait_until(lambda: self.begun or self.ended, PATIENCE.deadline(BEGIN_S))
        if not self.begun and not self.ended:
            self.error = f"it has not begun after {BEGIN_S:g} s"
            self.close()
        return self.begun

    def end(self) -> None:
        """Have it end when it has captured all that has passed so far: returns at once.

        A packet that passed later tells that it has; where none passes, `await_ended` sees to it.
        """
        self._wanted, self._until_s = False, self.clock_s + time.monotonic()

    def await_ended(self) -> None:
        """Return when it has ended, and every block was handed out."""
        if self._thread.ident is None:
            return
        if not self._signal.wait_until(lambda: self.ended, Deadline(HELD_S)):
            self._order("end\n")
            self._signal.wait_until(lambda: self.ended, PATIENCE.deadline(END_S))
        self.close()

    def close(self) -> None:
        """Hang up: the container ends by itself."""
        self._wanted, self._closed = False, True
        if self._stream:
            self._stream.close()

    def await_over(self) -> None:
        """Return when it has ended, however long that is."""
        while not self.ended:
            self._signal.wait_until(lambda: self.ended, Deadline(LOOK_AGAIN_S))

    # In the thread

    def _run(self) -> None:
        try:
            self._stream = self._engine.start_beside(side_container(self._running, self._words))
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


@contextmanager
def captured(engine: Engine, running: Running, stream: IO[bytes], words: tuple[str, ...]) -> Iterator[PacketCapture]:
    """Write what passes meanwhile to a stream, block by block, by a command of `command`.

    Raises HostError where it could not begin, LabError where it ended by itself, OSError where the stream takes no
    more.
    """
    failures: list[Exception] = []

    def write(block: Block) -> None:
        try:
            stream.write(block.data)
            stream.flush()
        except OSError as error:
            failures.append(error)
            capture.close()

    def broke_off(why: str) -> None:
        failures.append(LabError(f"the capture of {running.lab.name} ended: {why}", "labctl ps tells what is up"))

    capture = PacketCapture(engine, running, write, broke_off)
    capture.start(words)
    try:
        if not capture.await_begun() and not failures:
            raise HostError(f"the capture of {running.lab.name} could not start: {capture.error}")
        yield capture
    finally:
        capture.end()
        capture.await_ended()
    if failures:
        raise failures[0]
