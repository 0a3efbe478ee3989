"""Waits until a file of a working tree is saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from labctl.errors import HostError
from labctl.timing import Deadline, Signal

QUIET_S = 0.3
"""An editor writes, renames and touches; a checkout many files: what was saved is whole when nothing more comes."""
LONG_S = 3600.0


class SavedFiles:
    """What was saved in a folder since it was looked at last."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal
        self._seen = signal.count

    def forget(self) -> None:
        """What was saved until now is known."""
        self._seen = self._signal.count

    def await_next(self) -> None:
        """Return when something was saved since `forget`, and all of it is there."""
        while not self._signal.wait_beyond(self._seen, Deadline(LONG_S)):
            pass
        while not self._signal.wait_quiet(QUIET_S, Deadline(LONG_S)):
            pass


class _Handler(FileSystemEventHandler):
    def __init__(self, folder: Path, signal: Signal) -> None:
        self._git = folder.resolve() / ".git"
        self._signal = signal

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Something was done to a file: reading counts for nothing, and what git keeps for itself neither."""
        path = Path(str(event.src_path))
        if event.event_type in ("modified", "created", "deleted", "moved") and not (
            event.is_directory or path == self._git or self._git in path.parents
        ):
            self._signal.notify()


@contextmanager
def watched(folder: Path) -> Iterator[SavedFiles]:
    """Watch a folder for what is saved in it. Raises HostError where this machine watches no more folders."""
    signal = Signal()
    observer = Observer()
    try:
        observer.schedule(_Handler(folder, signal), str(folder.resolve()), recursive=True)
        observer.start()
    except OSError as error:
        raise HostError(
            f"{folder} cannot be watched: {error}", "sysctl fs.inotify.max_user_watches says how many"
        ) from None
    try:
        yield SavedFiles(signal)
    finally:
        observer.stop()
        observer.join()
