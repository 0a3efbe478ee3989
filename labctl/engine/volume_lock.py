"""Locks that are held on the engine, so that every host and user of it sees them: volumes, one for each lock.

The engine makes a volume of a name once; whoever asks for it again is given the one that is there, with its labels.
That takes few milliseconds, and needs no image.
"""

from __future__ import annotations

from contextlib import closing, suppress

from docker import errors as docker_errors

from labctl.engine.access import Access, translated
from labctl.names import LABEL_PROCESS, PREFIX


class VolumeLocks:
    """Locks by name. Each is held by a process, which is told by a text; who is dead is for the caller to judge."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._api = access.api

    def take(self, name: str, process: str) -> str:
        """Take the lock for a process. Returns who holds it from now on: that process, or another that had it."""
        with translated(f"lock {name}"):
            volume = self._api.create_volume(_volume(name), labels={LABEL_PROCESS: process})
        return str((volume.get("Labels") or {}).get(LABEL_PROCESS, ""))

    def release(self, name: str) -> None:
        """Give the lock up, or take it away from a process that is dead."""
        with translated(f"unlock {name}"), suppress(docker_errors.NotFound):
            self._api.remove_volume(_volume(name))

    def await_release(self, name: str, seconds: int) -> None:
        """Return when the lock has been released, or after so many seconds. Whoever asks takes it again to know."""
        filters = {"type": "volume", "event": "destroy", "volume": _volume(name)}
        now_s = int(self._access.clock_s())
        with translated(f"wait for the lock {name}"):
            events = self._api.events(since=now_s - 1, until=now_s + seconds, filters=filters, decode=True)
            with closing(events):
                next(events, None)


def _volume(name: str) -> str:
    return f"{PREFIX}-lock-{name}"
