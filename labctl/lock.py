"""One process at a time on this host and for this user: locks that end with the process, however that ends.

They are files in a folder of the user's own. Other users and other hosts of the same engine do not see them; for labs
labctl.cluster.lab_lock holds a lock on the engine as well.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from labctl.errors import HostError


@contextmanager
def locked(name: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock while the block runs; `on_wait` is called before waiting for whoever holds it. Raises HostError."""
    with _open(name) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def claimed(name: str) -> Iterator[bool]:
    """Hold a lock while the block runs; false where another process holds it. Does not wait."""
    with _open(name) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _open(name: str) -> TextIO:
    path = _folder() / f"{name}.lock"
    try:
        return path.open("w")
    except OSError as error:
        raise HostError(f"no lock can be held: {path}: {error.strerror}", "is there room in that folder?") from None


def _folder() -> Path:
    """A folder that this user alone can write to: in the home folder, or in /tmp where that cannot be written to.

    Raises HostError where neither can be had.
    """
    problems = []
    for folder in (_home() / ".cache" / "labctl", Path(tempfile.gettempdir()) / f"labctl-{os.getuid()}"):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.lstat()
            if status.st_uid == os.getuid() and not folder.is_symlink() and os.access(folder, os.W_OK):
                folder.chmod(0o700)
                return folder
            problems.append(f"{folder} is not this user's own")
        except OSError as error:
            problems.append(f"{folder}: {error.strerror}")
    raise HostError(f"no folder for locks: {'; '.join(problems)}", "labctl needs a home folder that it can write to")


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # pathlib: the user has no entry in passwd, and HOME is not set
        return Path("/nonexistent")
