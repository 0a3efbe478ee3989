"""What the nodes of a lab log, as it comes: the membership that Corosync tells of, and every line for who listens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from labctl.blueprint.running_lab import Running
from labctl.corosync.membership import Ring, RingLog
from labctl.engine.client import Engine
from labctl.engine.streams import LogStream
from labctl.timing import Signal

LOG_START = 400
"""How many lines of a log are read back; a node says about 100 until it is ready."""

LineListener = Callable[[str, float, str, Ring | None], None]
"""Told a node, a monotonic time, a line of its log, and the membership where the line changed it."""


class NodeLogs:
    """Follows logs, each from when it is asked to. `membership` is notified of each line that tells of one."""

    def __init__(self, engine: Engine, running: Running, membership: Signal) -> None:
        self._engine = engine
        self._membership = membership
        self._membership_lines = running.stack.membership_lines
        self._numbers = running.ring_numbers
        self._rings: dict[str, RingLog] = {}
        self._streams: dict[str, LogStream] = {}
        self._listeners: list[LineListener] = []

    def close(self) -> None:
        """Follow none any more."""
        for stream in self._streams.values():
            stream.close()

    def listen(self, listener: LineListener) -> None:
        """Have every line of every log that is followed told to `listener`, from a thread of the node's own."""
        self._listeners.append(listener)

    @property
    def listened_to(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def has_ring(self, node: str) -> bool:
        """Whether a node's membership is known, from its log or by `note`."""
        return node in self._rings

    def ring(self, node: str) -> Ring:
        """A node's membership as its log told it last, or as it was noted since."""
        return self._ring_log(node).ring

    def note(self, node: str, ring: Ring) -> None:
        """Have what was seen otherwise stand for what the log has told so far."""
        self._ring_log(node).ring = ring

    def told(self, container: str) -> Ring:
        """The membership that a node's log tells of so far; empty where it tells of none."""
        log = RingLog(self._numbers)
        for line in self._engine.logs(container, tail=LOG_START).splitlines():
            log.feed(line)
        return log.ring

    def follow(self, node: str, container: str, since: int | None = None) -> None:
        """Follow a node's log from what it said last, or from `since`, in seconds since 1970."""
        if node in self._streams:
            return
        tail = LOG_START if since is None else None
        stream = self._engine.follow_logs(container, tail=tail, since=since)
        self._streams[node] = stream

        def read() -> None:
            rest = ""
            for chunk in stream:
                *lines, rest = (rest + chunk.decode("utf-8", "replace")).split("\n")
                for line in lines:
                    self._on_line(node, line)
            self._membership.notify()

        threading.Thread(target=read, name=f"log-{node}", daemon=True).start()

    def leave(self, node: str) -> None:
        """Follow a node's log no more."""
        stream = self._streams.pop(node, None)
        if stream:
            stream.close()

    def _ring_log(self, node: str) -> RingLog:
        return self._rings.setdefault(node, RingLog(self._numbers))

    def _on_line(self, node: str, line: str) -> None:
        at_s = time.monotonic()
        before = self.ring(node)
        ring = self._ring_log(node).feed(line)
        if any(word in line for word in self._membership_lines):
            self._membership.notify()
        for listener in self._listeners:
            listener(node, at_s, line, ring if ring != before else None)
