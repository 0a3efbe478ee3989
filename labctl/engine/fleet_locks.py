"""Locks over several hosts: whoever holds one holds it on each, so that all who see any of them see it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from labctl.engine.volume_lock import VolumeLocks


class FleetLocks(VolumeLocks):
    """The locks of several engines, which are always taken in one order."""

    def __init__(self, locks: Sequence[VolumeLocks]) -> None:
        self._locks = tuple(locks)

    def take(self, name: str, process: str) -> str:
        """Take the lock for a process on every host, or on none. Returns who holds it from now on."""
        with ExitStack() as given_back:
            for locks in self._locks:
                holder = locks.take(name, process)
                if holder != process:
                    return holder
                given_back.callback(locks.release, name)
            given_back.pop_all()
        return process

    def release(self, name: str) -> None:
        """Give the lock up on every host, or take it away from a process that is dead."""
        with ExitStack() as each:  # also after an error, which is raised at the end
            for locks in self._locks[::-1]:
                each.callback(locks.release, name)

    def await_release(self, name: str, seconds: int) -> None:
        """Return when the lock has been released, or after so many seconds."""
        for locks in self._locks[:1]:
            locks.await_release(name, seconds)
