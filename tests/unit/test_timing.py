"""Deadlines, signals and quiet."""

from __future__ import annotations

import threading

import pytest

from labctl.timing import Deadline, Signal


def test_quiet_that_there_is_no_time_for_is_none() -> None:
    """In 0.1 `settle: 500ms` reported a second of quiet, at once."""
    assert not Signal().wait_quiet(1.0, Deadline(0.5))


def test_it_is_quiet_when_nothing_happened_for_so_long() -> None:
    assert Signal().wait_quiet(0.05, Deadline(10))


def test_what_happens_all_the_time_is_never_quiet() -> None:
    signal = Signal()
    over = threading.Event()

    def chatter() -> None:
        while not over.wait(0.01):
            signal.notify()

    thread = threading.Thread(target=chatter)
    thread.start()
    assert not signal.wait_quiet(0.3, Deadline(0.6))
    over.set()
    thread.join()


@pytest.mark.parametrize("ready", [True, False])
def test_a_condition_is_looked_at_once_more_at_the_deadline(ready: bool) -> None:
    looks: list[bool] = []

    def look() -> bool:
        looks.append(True)
        return ready and len(looks) > 1

    assert Signal().wait_until(look, Deadline(0.01)) is ready
