"""How the lower floors tell what they do, without printing: each thing begins, and ends with its time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Told what is going on. Called from several threads."""

    def begin(self, what: str) -> None:
        """Something began."""

    def detail(self, what: str, line: str) -> None:
        """Something that began says what it is at."""

    def end(self, what: str, seconds: float, failed: bool) -> None:
        """Something that began has ended."""


class Silent:
    """A Progress that tells nobody."""

    def begin(self, what: str) -> None:
        """Nothing."""

    def detail(self, what: str, line: str) -> None:
        """Nothing."""

    def end(self, what: str, seconds: float, failed: bool) -> None:
        """Nothing."""


class Named:
    """A Progress that puts a name before everything it tells another one: of several things that go on at once."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._name = name
        self._progress = progress

    def begin(self, what: str) -> None:
        """Something began."""
        self._progress.begin(f"{self._name}: {what}")

    def detail(self, what: str, line: str) -> None:
        """Something that began says what it is at."""
        self._progress.detail(f"{self._name}: {what}", line)

    def end(self, what: str, seconds: float, failed: bool) -> None:
        """Something that began has ended."""
        self._progress.end(f"{self._name}: {what}", seconds, failed)


class BuildsAlone:
    """A Progress that hands on to another what of a longer thing takes long: images that are made."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, what: str) -> None:
        """Something began."""
        if what.startswith(BUILDS):
            self._progress.begin(what)

    def detail(self, what: str, line: str) -> None:
        """Something that began says what it is at."""
        if what.startswith(BUILDS):
            self._progress.detail(what, line)

    def end(self, what: str, seconds: float, failed: bool) -> None:
        """Something that began has ended."""
        if what.startswith(BUILDS):
            self._progress.end(what, seconds, failed)


BUILDS = ("build ", "base ", "pull ")
"""How the names of steps begin that make images."""


@contextmanager
def step(progress: Progress, what: str) -> Iterator[None]:
    """Tell `progress` that `what` goes on for as long as the block runs."""
    progress.begin(what)
    start = time.monotonic()
    failed = True
    try:
        yield
        failed = False
    finally:
        progress.end(what, time.monotonic() - start, failed)
