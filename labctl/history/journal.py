"""Writes a run's history as it happens: what is written is there, however the run ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from labctl.errors import HostError
from labctl.history import lines
from labctl.history.events import Event
from labctl.history.sharing import Shared


class Journal:
    """Appends events to a file, or keeps them in memory alone where there is none. Safe between threads.

    A file that cannot be written to any more, as on a full disk, stops nobody: `failure` tells of it. `zero_s` is the
    monotonic clock at the run's beginning.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.events: list[Event] = []
        self._shared = Shared()
        self.zero_s = time.monotonic()
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Event], None]] = []
        self.failure: HostError | None = None
        self._path = path
        try:
            self._file = path.open("w", encoding="utf-8", buffering=1) if path else None
        except OSError as error:
            raise self._failed(error) from None

    @property
    def folder(self) -> Path | None:
        """Where the file is, and what else is kept of the run; None where nothing is."""
        return self._path.parent if self._path else None

    def now_s(self) -> float:
        """Seconds since the run began."""
        return self.at_s(time.monotonic())

    def at_s(self, monotonic_s: float) -> float:
        """A time of the monotonic clock as seconds since the run began."""
        return round(monotonic_s - self.zero_s, 6)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Have every event from now on told to `listener`, from whichever thread writes it."""
        self._listeners.append(listener)

    def write(self, event: Event) -> None:
        """Append an event."""
        with self._lock:
            self.events.append(self._shared.event(event))
            if self._file and not self._file.closed and not self.failure:
                try:
                    self._file.write(lines.to_line(event) + "\n")
                except OSError as error:
                    self.failure = self._failed(error)
        for listener in self._listeners:
            listener(event)

    def close(self) -> None:
        """Write no more to the file."""
        with self._lock:
            if self._file:
                try:
                    self._file.close()
                except OSError as error:
                    self.failure = self.failure or self._failed(error)

    def _failed(self, error: OSError) -> HostError:
        return HostError(f"{self._path}: {error.strerror}", "is there room, and may you write there?")
