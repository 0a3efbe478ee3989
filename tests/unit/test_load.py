"""Load that SIPp makes: what its own counters tell of it, and when it was SIPp that could not keep up."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.errors import UsageError
from labctl.sip import load, sipp
from labctl.sip.load import LoadResult
from tests.unit.test_sipp import AGENT

BEGAN_S = 1700000000.25
CAUSES = ("CannotSendMessage", "MaxUDPRetrans", "UnexpectedMessage", "CallRejected", "TimeoutOnRecv")
COUNTERS = (
    *("IncomingCall", "OutgoingCall", "TotalCallCreated", "CurrentCall", "SuccessfulCall", "FailedCall"),
    *(f"Failed{cause}" for cause in CAUSES),
    *("OutOfCallMsgs", "Retransmissions", "Warnings"),
)
HAVE_NO_PERIOD = ("TotalCallCreated", "CurrentCall")
TIMES = "0m0.002s 0m0.001s\n0m0.125s 0m0.250s\n"
"""Of times(1p): the shell, then its children."""

HEADER = ";".join(
    [
        *("StartTime", "LastResetTime", "CurrentTime", "ElapsedTime(P)", "ElapsedTime(C)", "TargetRate"),
        *(f"{key}{part}" for key in COUNTERS for part in ([""] if key in HAVE_NO_PERIOD else ["(P)", "(C)"])),
        "",
    ]
)


def row(at_s: float, created: int, **counted: int) -> str:
    """A row of -trace_stat, `at_s` after the start. Its counters of a period are other than those of all the time."""
    values = {"TotalCallCreated": created} | counted
    start, now = (f"2023-11-14\t22:13:20.000000\t{each:.6f}" for each in (BEGAN_S, BEGAN_S + at_s))
    cells = [start, start, now, "00:00:00", "00:00:01", "100"]
    for key in COUNTERS:
        cells += [*([] if key in HAVE_NO_PERIOD else ["77"]), str(values.get(key, 0))]
    return ";".join([*cells, ""])


def output(*rows: str, times: str = TIMES) -> str:
    return "\n".join([HEADER, *rows, times])


def ended(**other: Any) -> LoadResult:
    values: dict[str, Any] = {"asked": 100, "done": 100, "failed": 0, "rate_asked": 100.0, "rate": 100.0}
    return LoadResult(**(values | {"retransmissions": 0, "seconds": 2.0, "cpu_s": 0.1} | other))


def test_the_last_row_has_what_came_of_it() -> None:
    rows = [row(0, 0), row(1.05, 100, SuccessfulCall=90), row(2.5, 200, SuccessfulCall=197, FailedCall=3)]
    made = load.read(output(*rows), 200, 100.0)
    assert (made.asked, made.done, made.failed, made.rate_asked, made.seconds) == (200, 197, 3, 100.0, 2.5)


def test_retransmissions_are_those_of_all_the_time() -> None:
    assert load.read(output(row(0, 0), row(1.5, 9, Retransmissions=4)), 10, 9.0).retransmissions == 4


def test_failures_are_told_by_their_causes_and_never_twice() -> None:
    failed = row(1, 10, FailedCall=5, FailedCallRejected=3, FailedTimeoutOnRecv=2)
    assert load.read(output(failed), 10, 10.0).causes == (("CallRejected", 3), ("TimeoutOnRecv", 2))


def test_what_follows_the_last_call_does_not_slow_the_rate() -> None:
    rows = [row(0, 0), row(1.05, 60), row(2.05, 100), row(30.0, 120)]
    assert load.read(output(*rows), 120, 100.0).rate == 50.0


def test_a_load_over_in_a_moment_has_the_rate_of_the_first_row_that_has_it_all() -> None:
    assert load.read(output(row(0, 0), row(0.15, 5), row(9.0, 5)), 5, 500.0).rate == 50.0


def test_nothing_is_faster_than_was_asked() -> None:
    assert load.read(output(row(0, 0), row(0.02, 5)), 5, 500.0).rate == 500.0
    assert load.read(output(row(0, 0), row(1.0, 40), row(2.0, 50)), 50, 30.0).rate == 30.0


@pytest.mark.parametrize(("count", "rate"), [(2, 1.0), (3, 1.0), (5, 1.0), (10, 1.0), (4, 0.5), (3, 0.1), (20, 5.0)])
@pytest.mark.parametrize("first_due_s", [0.0, 1.0])
def test_a_slow_load_that_was_begun_in_time_is_not_saturated(count: int, rate: float, first_due_s: float) -> None:
    """Whether SIPp begins the first at once or after a whole interval, and however late in an interval a row is."""
    every_s = count / rate / 50
    due_s = [(number + first_due_s) / rate for number in range(count)]
    times_s = [every_s * number for number in range(1, 120)]
    rows = [row(at_s, sum(due <= at_s for due in due_s)) for at_s in times_s]
    result = load.read(output(row(0, 0), *rows), count, rate)
    assert (result.rate, result.saturated) == (rate, False)


@pytest.mark.parametrize(("count", "rate"), [(3, 1.0), (10, 1.0), (4, 0.5)])
def test_a_slow_load_that_was_begun_at_half_the_rate_is_saturated(count: int, rate: float) -> None:
    every_s = count / rate / 50
    rows = [row(every_s * number, min(count, int(every_s * number * rate / 2))) for number in range(1, 120)]
    assert load.read(output(row(0, 0), *rows), count, rate).saturated


def test_a_load_of_which_nothing_was_begun_is_saturated() -> None:
    made = load.read(output(row(0, 0), row(5.0, 0)), 5, 10.0)
    assert (made.rate, made.saturated) == (0.0, True)


@pytest.mark.parametrize(
    ("times", "cpu_s"),
    [
        (TIMES, 0.375),
        ("0m9.000s 0m9.000s\n1m0.500s 2m0.250s\n", 180.75),
        ("", 0.0),
    ],
)
def test_the_processors_time_is_that_of_the_shells_children(times: str, cpu_s: float) -> None:
    assert load.read(output(row(1, 10), times=times), 10, 10.0).cpu_s == cpu_s


@pytest.mark.parametrize("text", ["", TIMES, HEADER, f"{HEADER}\n{TIMES}", "cannot; do this\n"])
def test_where_there_are_no_statistics_it_is_told_so(text: str) -> None:
    with pytest.raises(ValueError, match="no statistics"):
        load.read(text, 10, 10.0)


@pytest.mark.parametrize(
    ("other", "saturated"),
    [
        ({"rate": 90.0}, False),
        ({"rate": 89.9}, True),
        ({"seconds": 2.0, "cpu_s": 1.8}, True),
        ({"seconds": 2.0, "cpu_s": 1.7}, False),
        ({"seconds": 0.1, "cpu_s": 0.8}, False),
        ({"seconds": 0.1, "cpu_s": 0.9}, True),
        ({"done": 0, "failed": 100}, False),
    ],
)
def test_who_cannot_keep_up_or_needs_all_of_a_core_is_saturated(other: dict[str, Any], saturated: bool) -> None:
    assert ended(**other).saturated == saturated


def test_a_load_says_how_it_went() -> None:
    assert str(ended(rate=49.6)) == "100 of 100 at 50/s"
    assert str(ended(rate=0.5)) == "100 of 100 at 0.5/s"
    causes = (("CallRejected", 3), ("TimeoutOnRecv", 2))
    assert str(ended(done=95, failed=5, causes=causes)) == "95 of 100 at 100/s (3 CallRejected, 2 TimeoutOnRecv)"


@pytest.mark.parametrize(("rate", "count", "hold_ms"), [(0.1, 1, 0), (500, 20_000, 600_000)])
def test_a_load_at_its_bounds_is_taken(rate: float, count: int, hold_ms: int) -> None:
    load.check(rate, count, hold_ms)


@pytest.mark.parametrize(
    ("rate", "count", "hold_ms", "said"),
    [
        (0, 1, 0, "no load of 0 a second"),
        (500.5, 1, 0, "no load of 500.5 a second"),
        (float("nan"), 1, 0, "no load of nan a second"),
        (1, 0, 0, "no load of 0$"),
        (1, 20_001, 0, "no load of 20001$"),
        (1, 1, -1, "no calls of -1 ms"),
        (1, 1, 600_001, "no calls of 600001 ms"),
    ],
)
def test_a_load_beyond_its_bounds_is_refused(rate: float, count: int, hold_ms: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load.check(rate, count, hold_ms)


@pytest.mark.parametrize(("rate", "count", "every"), [(100, 1000, "200ms"), (500, 10, "20ms"), (10, 20_000, "1000ms")])
def test_sipp_tells_its_counters_some_fifty_times(rate: float, count: int, every: str) -> None:
    command = sipp.load_command(AGENT, "/storm.xml", rate, count)
    assert command[command.index("-fd") + 1] == every
    assert command[command.index("-m") + 1] == command[command.index("-l") + 1] == str(count)
