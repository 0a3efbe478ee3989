"""What crosses the network of a lab over several Docker hosts, as one pcapng.

There is no bridge that all of it crosses. So each container of the lab has one beside it, in its own network, which
captures what that sends: every frame is there once, as its sender let it go. One that is killed takes its network with
it; when it is started again, it is captured again, by the same interface of the file.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterable

from labctl.blueprint.running_lab import Running
from labctl.cluster import dumpcap
from labctl.cluster.capturing import Capturing
from labctl.cluster.packet_blocks import Block
from labctl.cluster.packet_capture import PacketCapture
from labctl.cluster.packet_merge import PacketMerge
from labctl.engine.client import Engine
from labctl.engine.host import PlacedImage
from labctl.engine.observation import Container
from labctl.engine.starts import Starts
from labctl.errors import LabctlError
from labctl.names import ROLE_CAPTURE
from labctl.timing import PATIENCE, Deadline, Signal

MERGE_S = 0.4
"""How long a packet is held back for others that were sent before it: four times as long as the kernel holds it. What
comes later still is handed out late."""

AGAIN_S = 5.0
"""How long it may take until what was started again is captured again; it takes a second or two."""

LOOK_S = 0.1
"""How often it is looked at what is held back, and at what has ended."""

MISSED_S = 5.0
"""How often it is looked whether something runs that is not captured, though nobody told of its start: a host was lost
and is back."""

SENT_S = 600.0
"""How long the image may take to hosts that lack it."""

TRIES = 3
"""How often in a row a capture beside a container that runs may end before it has begun."""

Clock = tuple[float, float]
"""Of a host: the quickest way there and back, in seconds; what it says at the zero of this machine's monotonic one."""


class HostsCapture(Capturing):
    """Of all containers of a lab. `sink` gets the blocks of the file, and `broke_off` is told why where it ends by
    itself after it has begun; both in its thread.

    Times are by the clock of the host of the first container that runs; those of others are brought to it, where they
    differ by more than can be told from afar as a capture on them begins.
    """

    def __init__(
        self,
        engine: Engine,
        running: Running,
        selection: dumpcap.Selection,
        sink: Callable[[Block], None],
        broke_off: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._engine = engine
        self._running = running
        self._selection = selection
        self._sink = sink
        self._broke_off = broke_off
        containers = [part for part in running.observation.containers if part.role != ROLE_CAPTURE]
        self._parts = {part.name: part for part in containers}
        self._merge = PacketMerge([part.node for part in containers], [size for _, size in selection.kinds])
        self._lock = threading.Lock()
        self._captures: dict[str, PacketCapture] = {}
        self._in_vain: dict[str, int] = {}
        self._starts: Starts | None = None
        self._started: set[str] = set()
        self._sent = False
        self._early: list[tuple[Container, Block]] = []
        self._clocks: dict[str, Clock] = {}
        self._news = Signal()

    @property
    def clock_s(self) -> float:
        """See Capturing."""
        return next(iter(self._clocks.values()))[1] if self._clocks else time.time() - time.monotonic()

    @property
    def begun(self) -> bool:
        """See Capturing."""
        return bool(self._clocks)

    def await_begun(self) -> bool:
        """See Capturing; that the image is sent to hosts that lack it takes its own time."""
        self._signal.wait_until(lambda: self._sent or self.ended, Deadline(SENT_S))
        return super().await_begun()

    def await_captured(self, nodes: Collection[str]) -> None:
        """See Capturing. What cannot be captured holds nobody up for long."""
        self._news.wait_until(lambda: self.ended or self._has(nodes), PATIENCE.deadline(AGAIN_S))

    def _has(self, nodes: Collection[str]) -> bool:
        with self._lock:
            names = [name for name, part in self._parts.items() if part.node in nodes]
            captures = [self._captures.get(name) for name in names]
            begun = all(capture and capture.begun and not capture.ended for capture in captures)
            return begun and self._started.isdisjoint(names)

    def end(self) -> None:
        """See Capturing."""
        self._wanted = False
        for capture in self._all():
            capture.end()

    def end_now(self) -> None:
        """See Capturing."""
        self._wanted = False
        for capture in self._all():
            capture.end_now()

    def close(self) -> None:
        """See Capturing."""
        self._wanted, self._closed = False, True
        if self._starts:
            self._starts.close()
        for capture in self._all():
            capture.close()

    def _all(self) -> list[PacketCapture]:
        with self._lock:
            return list(self._captures.values())

    # In its thread

    def _run(self) -> None:
        try:
            self._begin()
            if self.begun:
                self._sink(self._merge.head)
                self._signal.notify()
                self._capture()
        except LabctlError as error:
            self.error = error.message
        finally:
            self.error = self.error or "all that was captured has ended"
            if self.begun and self._wanted:
                self._broke_off(self.error)
            self.close()
            self.ended = True
            self._signal.notify()
            self._news.notify()

    def _begin(self) -> None:
        """Return when all that runs is captured, or that cannot be, or is not wanted any more."""
        image = dumpcap.image(self._running)
        for lacking in self._engine.lacking(PlacedImage(part.host, image) for part in self._parts.values()):
            self._engine.send_image(lacking)
        self._sent = True
        self._signal.notify()
        self._starts = self._engine.starts(self._running.lab.name)  # before it is looked what runs
        threading.Thread(target=self._watch_starts, args=(self._starts,), name="starts", daemon=True).start()
        for name in self._that_run(self._parts):
            self._open(name)
        clocks: dict[str, Clock] = {}
        for name, capture in list(self._captures.items()):
            if not capture.await_begun():
                self.error = f"{self._parts[name].node}: {capture.error}"
                return
            host = self._parts[name].host
            clocks[host] = min(capture.clock, clocks.get(host, capture.clock))
        if not clocks:
            self.error = "nothing of it runs"
        if self._closed:
            return
        with self._lock:
            self._clocks = clocks
            for part, block in self._early:
                self._add(part, block)
            self._early.clear()

    def _capture(self) -> None:
        """Return when all has ended, or what runs cannot be captured."""
        look = Deadline(MISSED_S)
        while self._captures:
            self._signal.wait_beyond(self._signal.count, Deadline(LOOK_S))
            self._hand_out(self.clock_s + time.monotonic() - PATIENCE.stretch(MERGE_S))
            due = self._due(anything=look.passed)
            look = Deadline(MISSED_S) if look.passed else look
            if not due or not self._wanted:
                continue
            run = self._that_run(due)
            in_vain = [name for name in run if self._in_vain.get(name, 0) >= TRIES]
            if in_vain:
                self.error = "; ".join(f"{self._parts[name].node}: {due[name]}" for name in in_vain)
                break
            for name in due.keys() - run:
                self._in_vain.pop(name, None)  # it was no fault of the capture's
            for name in run:
                self._open(name)
        self._hand_out(math.inf)

    def _due(self, *, anything: bool) -> dict[str, str]:
        """What may run and is not captured, with why it is not: what has ended since, what was started, or all."""
        with self._lock:
            ended = {name: capture for name, capture in self._captures.items() if capture.ended}
            for name, capture in ended.items():
                del self._captures[name]
                self._in_vain[name] = 0 if capture.begun else self._in_vain.get(name, 0) + 1
            for name, capture in self._captures.items():
                if capture.begun:
                    self._clocks.setdefault(self._parts[name].host, capture.clock)
            started = self._parts.keys() if anything else self._started
            due = dict.fromkeys(started - self._captures.keys(), "")
            self._started.clear()
        self._news.notify()
        return due | {name: capture.error for name, capture in ended.items()}

    def _that_run(self, names: Iterable[str]) -> list[str]:
        """Those of these containers that run now."""
        there = self._engine.observe(self._running.lab.name).containers
        run = {container.name for container in there if container.state in ("running", "paused")}
        return [name for name in names if name in run]

    def _hand_out(self, until_s: float) -> None:
        with self._lock:
            due = self._merge.until(until_s * 1e9)
        for block in due:
            self._sink(block)

    def _open(self, name: str) -> None:
        """Begin to capture what a container sends."""
        part = self._parts[name]
        capture = PacketCapture(
            self._engine,
            lambda: dumpcap.beside(self._running, part, self._selection),
            lambda block: self._take(part, block),
            lambda _: None,
            self._news,
        )
        with self._lock:
            if not self._wanted:
                return
            self._captures[name] = capture
        capture.start()

    # In other threads

    def _take(self, part: Container, block: Block) -> None:
        with self._lock:
            if self._clocks:
                self._add(part, block)
            else:
                self._early.append((part, block))

    def _add(self, part: Container, block: Block) -> None:
        self._merge.add(part.node, block, shift_ns(self._clocks, part.host))

    def _watch_starts(self, starts: Starts) -> None:
        """Note what is started again: its network is another one then. Some of what is told of was paused alone."""
        for name in starts:
            if name in self._parts:
                with self._lock:
                    self._started.add(name)


def shift_ns(clocks: dict[str, Clock], host: str) -> int:
    """What brings times of a host to the clock of the first one, in nanoseconds: nothing, where it is not known, or no
    more than half of the ways there and back."""
    there_s, first_s = next(iter(clocks.values()))
    back_s, own_s = clocks.get(host, (there_s, first_s))
    ahead_s = first_s - own_s
    return round(ahead_s * 1e9) if abs(ahead_s) > (there_s + back_s) / 2 else 0
