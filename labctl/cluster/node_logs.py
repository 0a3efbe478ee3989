"""What the nodes of a lab log, as it comes: Corosync's membership, and every line for whoever listens."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from operator import itemgetter

from labctl.blueprint.running_lab import Running
from labctl.cluster.node_tools import ring_numbers_on
from labctl.corosync.daemon import FailedStarts
from labctl.corosync.membership import Membership, RingLog
from labctl.engine.client import Engine
from labctl.engine.streams import LogStream, lines, split_stamp, stamped_after
from labctl.timing import LookPool

LOG_START = 400
"""How many lines of a log are read back; a node says about 100 until it is ready."""

LOG_BEFORE = "/var/lib/labctl-log-before"
"""Where a node has what it logged before it was upgraded: Docker keeps the log of a container no longer than that."""

LineListener = Callable[[str, float, str, Membership | None], None]
"""Called with a node, monotonic seconds, a line of its log, and the membership where the line changed it."""


def stamped_log(engine: Engine, container: str, tail: int | None = None) -> list[str]:
    """The lines that a node has logged so far, also before it was upgraded, each after its stamp (streams.split_stamp);
    of these the last `tail`. Raises LabctlError."""
    log = engine.logs(container, tail=tail, stamped=True)
    if tail is None or log.count("\n") < tail:
        log = (engine.find_file(container, LOG_BEFORE) or "") + log
    stamped = _lines_of(log)
    return stamped if tail is None else stamped[len(stamped) - min(tail, len(stamped)) :]


def stamped_logs(engine: Engine, containers: Mapping[str, str], tail: int | None = None) -> dict[str, list[str]]:
    """The same of several containers, side by side; by what they are called here."""
    with LookPool(max_workers=max(1, len(containers))) as pool:
        read = pool.map(lambda container: stamped_log(engine, container, tail), containers.values())
        return dict(zip(containers, read, strict=True))


def logged(engine: Engine, container: str) -> str:
    """What a node has logged so far, also before it was upgraded. Raises LabctlError."""
    return _without_stamps(stamped_log(engine, container))


def _lines_of(log: str) -> list[str]:
    return log.removesuffix("\n").split("\n") if log else []


def _without_stamps(stamped: Iterable[str]) -> str:
    return "".join(f"{split_stamp(line)[1]}\n" for line in stamped)


def in_turn(logs: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str]]:
    """The lines of several logs, each after its stamp, in the order in which they were said: whose each is, and the
    line."""
    stamped = ([(*split_stamp(line), host) for line in lines_of] for host, lines_of in logs.items())
    return ((host, line) for _, line, host in heapq.merge(*stamped, key=itemgetter(0)))


class NodeLogs:
    """Follows logs, each from where it was read last: while nobody follows it, no line is lost. `on_membership` is
    called with the node of each line that tells of a membership or of a start that failed, and of a log that has
    ended."""

    def __init__(self, engine: Engine, running: Running, on_membership: Callable[[str], None]) -> None:
        self._engine = engine
        self._on_membership = on_membership
        self._running = running
        self._rings: dict[str, RingLog] = {}
        self._failed: dict[str, FailedStarts] = {}
        self._streams: dict[str, LogStream] = {}
        self._read_to: dict[str, str] = {}
        """Node -> when, by its engine's clock, the line was logged that was read last."""
        self._lock = threading.Lock()
        """Held while a line is taken in, and by whoever changes which stream of a node's is read."""
        self._listeners: list[LineListener] = []

    def close(self) -> None:
        """Follow none any more. An error on one keeps no other from being left; it is raised at the end."""
        with ExitStack() as closing:
            for stream in tuple(self._streams.values()):
                closing.callback(stream.close)

    def listen(self, listener: LineListener) -> None:
        """Call `listener` with every line of every log that is followed, from a thread of the node's own."""
        self._listeners.append(listener)

    @property
    def listened_to(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def follows(self, node: str) -> bool:
        """Whether a node's log is followed."""
        return node in self._streams

    def is_read(self, node: str) -> bool:
        """Whether a node's log was read, so that it is known from where to follow it."""
        return node in self._read_to

    def ring(self, node: str) -> Membership:
        """A node's membership as its log told it last, or as it was noted since."""
        return self._ring_log(node).ring

    def note(self, node: str, ring: Membership) -> None:
        """Replace what the log has told so far by a membership that was learned otherwise."""
        self._ring_log(node).ring = ring

    def failed_starts(self, node: str) -> FailedStarts:
        """The starts of a node's Corosync that have failed, as it was followed."""
        return self._failed.setdefault(node, FailedStarts())

    def told(self, node: str, container: str) -> Membership:
        """The membership that a node's log tells of so far; empty where it tells of none. It is followed from there on,
        when that is asked for."""
        self.so_far(node, container, LOG_START)
        return self.ring(node)

    def so_far(self, node: str, container: str, tail: int | None = None) -> str:
        """What a node has logged so far, of that the last `tail` lines. It is followed no more, and from there on when
        that is asked for."""
        self.leave(node)
        stamped = _lines_of(self._engine.logs(container, tail=tail, stamped=True))
        for stamp, line in stamped_after(self._read_to.get(node, ""), stamped):
            self._ring_log(node).feed(line)
            self._read_to[node] = stamp
        return _without_stamps(stamped)

    def follow(self, node: str, container: str) -> None:
        """Follow a node's log from where it was read last; where it never was, from LOG_START lines back."""
        if node in self._streams:
            return
        since = self._read_to.get(node, "")
        tail = None if since else LOG_START
        stream = self._engine.follow_logs(container, tail=tail, since=since, stamped=True)
        with self._lock:
            self._streams[node] = stream
        threading.Thread(target=self._read, args=(node, stream, since), name=f"log-{node}", daemon=True).start()

    def _read(self, node: str, stream: LogStream, since: str) -> None:
        try:
            for stamp, line in stamped_after(since, lines(stream)):
                with self._lock:
                    if self._streams.get(node) is not stream:
                        return
                    self._read_to[node] = stamp
                    self._on_line(node, line)
        finally:
            self._on_membership(node)

    def leave(self, node: str) -> None:
        """Follow a node's log no more, until it is followed again: from here on."""
        with self._lock:
            stream = self._streams.pop(node, None)
        if stream:
            stream.close()

    def _ring_log(self, node: str) -> RingLog:
        if node not in self._rings:  # asked for with every line
            self._rings[node] = RingLog(ring_numbers_on(self._running, node))
        return self._rings[node]

    def _on_line(self, node: str, line: str) -> None:
        at_s = time.monotonic()
        before = self.ring(node)
        ring = self._ring_log(node).feed(line)
        if ring != before:
            self.failed_starts(node).forget()
        failed = self.failed_starts(node).feed(line)
        if failed or any(word in line for word in self._running.stack_of(node).membership_lines):
            self._on_membership(node)
        for listener in self._listeners:
            listener(node, at_s, line, ring if ring != before else None)
