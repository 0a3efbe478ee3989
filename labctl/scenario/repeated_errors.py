"""Which lines of an error that a daemon repeats are written into a history: a few, and a few more where they count.

While something explains an error it counts for nothing (checks/healthy.py). So what was written of it then must not
keep out of the history that it goes on when nothing explains it any more.
"""

from __future__ import annotations

import threading
from bisect import bisect_right, insort

from labctl.checks.finding import Limits
from labctl.checks.handling import AFTERWARDS_S, ASKING, answered_s, without_figures
from labctl.history.events import SCHEDULER, Back, Did, Disturbed, Event, Healed, Ring

REPEATED = 3
"""So many lines of the same error are written of a node at a stretch: a daemon that goes wild logs thousands."""


class RepeatedErrors:
    """Counts the lines of each error, and begins anew where what may explain them is over. Safe between threads."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._anew_s: list[float] = []
        self._settled_s = float("-inf")
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}
        self._lock = threading.Lock()

    def note(self, event: Event) -> None:
        """An event of the history; of some it is known until when they may explain an error."""
        with self._lock:
            match event:
                case Healed() | Back() | Ring():
                    self._settle(event.at_s)
                case Disturbed() if event.source != SCHEDULER:
                    insort(self._anew_s, event.until_s + self._limits.delay_ms / 1000)
                case Did() if event.what.startswith(ASKING):
                    insort(self._anew_s, answered_s(event) + AFTERWARDS_S)

    def _settle(self, at_s: float) -> None:
        """Something changed: what had not settled by then has to wait anew, so that rings that come and go all the
        time count once."""
        if self._settled_s > at_s:
            self._anew_s.remove(self._settled_s)
        self._settled_s = max(self._settled_s, at_s + self._limits.settle_s)
        insort(self._anew_s, self._settled_s)

    def is_wanted(self, node: str, at_s: float, error: str) -> bool:
        """Whether the line is to be written that a node logged then; it counts."""
        key = (node, without_figures(error))
        with self._lock:
            before, count = self._counts.get(key, (0, 0))
            stretch = max(before, bisect_right(self._anew_s, at_s))
            count = count + 1 if before == stretch else 1
            self._counts[key] = stretch, count
        return count <= REPEATED
