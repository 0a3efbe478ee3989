"""Times as people and programs read them."""

from __future__ import annotations

import datetime
import time

from labctl.timing import utc


def test_a_time_of_the_monotonic_clock_is_utc() -> None:
    before = datetime.datetime.now(datetime.UTC)
    earlier, later = (datetime.datetime.fromisoformat(utc(time.monotonic() - ago_s)) for ago_s in (3600.0, 0.0))
    assert later.utcoffset() == datetime.timedelta(0)
    assert earlier < before - datetime.timedelta(minutes=59) < later
    assert utc(0.0).endswith("+00:00")
