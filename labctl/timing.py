"""Deadlines on the monotonic clock, and waiting for events. Nothing here or elsewhere sleeps."""

from __future__ import annotations

import datetime
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType


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


class LookPool(ThreadPoolExecutor):
    """Threads that only look: whoever is interrupted meanwhile waits for none of them, which may wait for what does not
    answer. What changes something is waited for as ever."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for all, unless whoever began them was interrupted."""
        interrupted = kind is not None and not issubclass(kind, Exception)
        self.shutdown(wait=not interrupted, cancel_futures=interrupted)


class Patience:
    """How long to wait for what takes longer on a busy machine: bounds grow by what the machine is seen to do.

    For timings that only bound patience; what is measured and judged is never stretched. Safe between threads.
    """

    MOST = 4.0

    def __init__(self) -> None:
        self._factor = 1.0

    def note(self, waiting: float, late: float) -> None:
        """The machine was seen: tasks waited for a CPU for that part of the time (0 to 1, /proc/pressure/cpu), and
        labctl's own thread was late for that part of it."""
        waited = 1 + 2 * max(0.0, min(1.0, waiting))  # each CPU is wanted by two or three, as a rule
        stood_still = 1 / (1 - max(0.0, min(0.9, late)))
        self._factor = min(self.MOST, max(waited, stood_still))

    @property
    def factor(self) -> float:
        """By how much a bound is stretched now: 1 on a machine that is not busy, MOST at the utmost."""
        return self._factor

    def stretch(self, timeout_s: float) -> float:
        """A bound as it is now."""
        return round(timeout_s * self._factor, 1) if self._factor > 1 else timeout_s

    def deadline(self, timeout_s: float) -> Deadline:
        """A deadline by a bound as it is now."""
        return Deadline(self.stretch(timeout_s))


PATIENCE = Patience()
"""Of this process: there is one machine. Whoever watches the machine feeds it (scenario/starvation.py)."""


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
            count = self.count
            if ready():
                return True
            if not self.wait_beyond(count, deadline):
                return ready()

    @property
    def count(self) -> int:
        """How often something has happened."""
        return self._count

    def wait_beyond(self, count: int, deadline: Deadline) -> bool:
        """Return when more has happened than `count`, or the deadline passes; which it was."""
        with self._condition:
            return self._condition.wait_for(lambda: self._count > count, deadline.left_s)

    def wait_quiet(self, quiet_s: float, deadline: Deadline) -> bool:
        """Return True when nothing has happened for `quiet_s` seconds from now on; False as soon as the deadline leaves
        no time for that.
        """
        while deadline.left_s >= quiet_s:
            if not self.wait_beyond(self.count, Deadline(quiet_s)):
                return True
        return False


def pass_time(duration_s: float) -> None:
    """Return after so many seconds: for what is counted over a time, and for what takes one that nobody tells."""
    Signal().wait_beyond(0, Deadline(duration_s))


def utc(monotonic_s: float) -> str:
    """A time of the monotonic clock as UTC, to the millisecond (ISO 8601), by what the system's clock says now."""
    ago = datetime.timedelta(seconds=time.monotonic() - monotonic_s)
    return (datetime.datetime.now(datetime.UTC) - ago).isoformat(timespec="milliseconds")


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which that many percent (1 to 99) of all values lie, interpolated; 50 for the median.

    Raises ValueError where there are no values.
    """
    if not values:
        raise ValueError("no values, no percentile")
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
