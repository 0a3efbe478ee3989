"""A capture of packets from its beginning to its end, which others wait for."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Collection

from labctl.timing import PATIENCE, Deadline, Signal

HELD_S = 1.0
"""Ten times `dumpcap.KERNEL_HOLDS_MS`: when so much time has passed nothing is held back any more."""

BEGIN_S = 20.0
"""How long it may take until packets are captured."""

END_S = 5.0
"""How long it may take to end; then it is hung up on, and ends by that."""

LOOK_AGAIN_S = 3600.0


class Capturing(ABC):
    """Captures in a thread of its own, from `start` to `end`. `error` says why it has ended, or could not begin."""

    def __init__(self, signal: Signal | None = None) -> None:
        self._signal = signal or Signal()
        self._wanted = True
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="packets", daemon=True)
        self.error = ""
        self.ended = False

    @property
    @abstractmethod
    def clock_s(self) -> float:
        """What the engine's wall clock, by which packets have their times, says at the zero of this machine's monotonic
        clock."""

    @property
    @abstractmethod
    def begun(self) -> bool:
        """Whether every packet from now on is captured, and the clock is known."""

    def start(self) -> None:
        """Begin to begin: returns at once."""
        self._thread.start()

    def await_begun(self) -> bool:
        """Return when packets are captured, or that cannot be; which it is. `error` then says why not."""
        self._signal.wait_until(lambda: self.begun or self.ended, PATIENCE.deadline(BEGIN_S))
        if not self.begun and not self.ended:
            self.error = f"it has not begun after {BEGIN_S:g} s"
            self.close()
        return self.begun

    def await_captured(self, nodes: Collection[str]) -> None:  # noqa: B027 - one of all that crosses a bridge needs not
        """Return when packets of these nodes are captured, of which some may have been started again."""

    @abstractmethod
    def end(self) -> None:
        """Have it end when it has captured all that has passed so far: returns at once."""

    @abstractmethod
    def end_now(self) -> None:
        """Have it end with what has come so far: returns at once."""

    def await_ended(self) -> None:
        """Return when it has ended, and every block was handed out."""
        if self._thread.ident is None:
            return
        if not self._signal.wait_until(lambda: self.ended, Deadline(HELD_S)):
            self.end_now()
            self._signal.wait_until(lambda: self.ended, PATIENCE.deadline(END_S))
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Hang up: the containers end by themselves."""

    def await_over(self) -> None:
        """Return when it has ended, however long that is."""
        while not self.ended:
            self._signal.wait_until(lambda: self.ended, Deadline(LOOK_AGAIN_S))

    @abstractmethod
    def _run(self) -> None:
        """In its thread: capture, until it has ended."""
