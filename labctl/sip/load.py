"""Load that one SIPp process makes: its bounds, and what came of it, from SIPp's own counters. Pure."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

from labctl.errors import UsageError

MOST_A_SECOND = 500.0
MOST_AT_ALL = 20_000
LONGEST_HOLD_MS = 600_000

KEEPS_UP = 0.9
"""A generator that makes less than this part of the rate, or uses more than this part of a core, is saturated."""

START_S = 0.05
"""What SIPp may take to begin, and the grain of its clock; nothing, unless a load is over in a moment."""

_WHOLE = 10.0
"""Rates below are told with a fraction."""

_ONE_BEHIND = 2.0
"""Fewer than two that are due and not begun are one, which the next moment may begin."""

_TIMES = re.compile(r"^(\d+)m([\d.]+)s (\d+)m([\d.]+)s$", re.MULTILINE)
_CAUSES = re.compile(r"Failed(\w+)\(C\)")


@dataclass(frozen=True)
class LoadResult:
    """How many transactions or calls were asked for and how they went, in `seconds` from the first to the last.

    `rate` is at how many a second they were begun. `causes` counts the failures by SIPp's own words for them.
    """

    asked: int
    done: int
    failed: int
    rate_asked: float
    rate: float
    retransmissions: int
    seconds: float
    cpu_s: float
    causes: tuple[tuple[str, int], ...] = ()

    @property
    def saturated(self) -> bool:
        """Whether SIPp itself could not keep up, so that this load tells nothing of who was called.

        It begins each one when it is due, whatever becomes of those before. So if it began them at less than 90 %
        of the rate, or had a core for 90 % of the time (of a second at least), it was at its own limit or this
        machine's.
        """
        return self.rate < KEEPS_UP * self.rate_asked or self.cpu_s >= KEEPS_UP * max(self.seconds, 1.0)

    def __str__(self) -> str:
        failed = ", ".join(f"{count} {cause}" for cause, count in self.causes)
        return f"{self.done} of {self.asked} at {self.rate:{'.0f' if self.rate >= _WHOLE else '.2g'}}/s" + (
            f" ({failed})" if failed else ""
        )


def check(rate: float, count: int, hold_ms: int = 0) -> None:
    """Raise UsageError where a load is beyond what one machine is to make."""
    if not 0 < rate <= MOST_A_SECOND:
        raise UsageError(f"no load of {rate:g} a second", f"above 0, at most {MOST_A_SECOND:g}")
    if not 1 <= count <= MOST_AT_ALL:
        raise UsageError(f"no load of {count}", f"1 to {MOST_AT_ALL}")
    if not 0 <= hold_ms <= LONGEST_HOLD_MS:
        raise UsageError(f"no calls of {hold_ms} ms", f"0 to {LONGEST_HOLD_MS}")


def read(output: str, asked: int, rate: float) -> LoadResult:
    """What SIPp's statistics and the shell's times(1p) tell of a load. Raises ValueError if there are none."""
    lines = output.strip().splitlines()
    table = csv.DictReader((line for line in lines if ";" in line), delimiter=";")
    rows = [row for row in table if None not in row.values()]
    if not rows:
        raise ValueError("no statistics of SIPp's")
    last = rows[-1]
    causes = {cause[1]: int(last[key]) for key in last if key and (cause := _CAUSES.fullmatch(key))}
    return LoadResult(
        asked=asked,
        done=int(last["SuccessfulCall(C)"]),
        failed=int(last["FailedCall(C)"]),
        rate_asked=rate,
        rate=_rate(rows, asked, rate),
        retransmissions=int(last["Retransmissions(C)"]),
        seconds=round(_at_s(last), 3),
        cpu_s=_cpu_s(output),
        causes=tuple((cause, count) for cause, count in causes.items() if count and cause != "Call"),
    )


def _at_s(row: dict[str, str]) -> float:
    """When a row was written, in seconds from the start. Each time has its date, its time, and seconds since 1970."""
    now, start = (float(row[key].split("\t")[-1]) for key in ("CurrentTime", "StartTime"))
    return now - start


def _rate(rows: list[dict[str, str]], asked: int, rate_asked: float) -> float:
    """How many a second were begun, at most what was asked for.

    It is told by the last row in which some are still to come, for what follows is the end of the last ones; of a load
    too short for such a row by the first that has all. The next one may be about to begin when a row is written: who
    is behind by that one alone is as fast as was asked.
    """
    begun = [(int(row["TotalCallCreated"]), _at_s(row)) for row in rows]
    unfinished = [(count, at_s) for count, at_s in begun if 0 < count < asked]
    first_that_has_any = next(((count, at_s) for count, at_s in begun if count), begun[-1])
    count, at_s = unfinished[-1] if unfinished else first_that_has_any
    lasted_s = max(at_s - START_S, 0.001)
    if count and lasted_s * rate_asked - count < _ONE_BEHIND:
        return rate_asked
    return min(rate_asked, round(count / lasted_s, 1))


def _cpu_s(output: str) -> float:
    """The time that the processor gave SIPp: the second line of times(1p) is of a shell's children."""
    times = _TIMES.findall(output)
    minutes, seconds, more_minutes, more_seconds = times[-1] if times else ("0", "0", "0", "0")
    return round(60 * (int(minutes) + int(more_minutes)) + float(seconds) + float(more_seconds), 3)
