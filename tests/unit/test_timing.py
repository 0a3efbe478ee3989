"""Deadlines, signals and quiet; times as people and programs read them."""

from __future__ import annotations

import datetime
import threading
import time
from concurrent.futures import Future

import pytest

from labctl.timing import Deadline, LookPool, Signal, utc


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


def test_a_time_of_the_monotonic_clock_is_utc() -> None:
    before = datetime.datetime.now(datetime.UTC)
    earlier, later = (datetime.datetime.fromisoformat(utc(time.monotonic() - ago_s)) for ago_s in (3600.0, 0.0))
    assert later.utcoffset() == datetime.timedelta(0)
    assert earlier < before - datetime.timedelta(minutes=59) < later
    assert utc(0.0).endswith("+00:00")


def test_who_is_interrupted_waits_for_no_look_that_has_no_answer() -> None:
    """`labctl ps` of a node that answered nothing went on for minutes after Ctrl-C."""
    answered = threading.Event()

    def look() -> None:
        with LookPool(max_workers=1) as pool:
            looks.extend(pool.submit(answered.wait, 60) for _ in range(2))
            raise KeyboardInterrupt

    looks: list[Future[bool]] = []
    try:
        with pytest.raises(KeyboardInterrupt):
            look()
        assert (looks[0].done(), looks[1].cancelled()) == (False, True)
    finally:
        answered.set()
