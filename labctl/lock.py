"""One at a time on this machine: a lock that goes with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Wait for whoever else of this user does the same, then keep others waiting while the block runs."""
    with _path(name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def claimed(name: str) -> Iterator[bool]:
    """Keep others out while the block runs; false where another has it already. Waits for nobody."""
    with _path(name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _path(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"labctl-{os.getuid()}-{name}.lock"
