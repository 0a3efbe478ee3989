"""Deadlines on the monotonic clock, and waiting for events. Nothing here or elsewhere sleeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence


class Deadline:
    """A point in monotonic time, `timeout_s` seconds from when it is made."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._end = time.monotonic() + timeout_s

    @property
    def left_s(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether none are left."""
        return self.left_s == 0.0


class Signal:
    """Wakes whoever waits, each time something happened. Safe between threads."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    def notify(self) -> None:
        """Something happened."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def wait_until(self, ready: Callable[[], bool], deadline: Deadline) -> bool:
        """Look at `ready` now and after each notify, until it holds or the deadline passes; which it was."""
        while True:
            seen = self.count
            if ready():
                return True
            if not self.wait_beyond(seen, deadline):
                return ready()

    @property
    def count(self) -> int:
        """How often something has happened."""
        return self._count

    def wait_beyond(self, seen: int, deadline: Deadline) -> bool:
        """Return when more has happened than `seen`, or the deadline passes; which it was."""
        with self._condition:
            return self._condition.wait_for(lambda: self._count != seen, deadline.left_s)


def share(values: Sequence[float], part: float) -> float:
    """The value below which that part of all values lies: 0.5 for the median."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
