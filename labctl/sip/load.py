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

_TIMES = re.compile(r"^(\d+)m([\d.]+)s (\d+)m([\d.]+)s$", re.MULTILINE)
_CAUSES = re.compile(r"Failed(\w+)\(C\)")


@dataclass(frozen=True)
class Load:
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
        return f"{self.done} of {self.asked} at {self.rate:.0f}/s" + (f" ({failed})" if failed else "")


def check(rate: float, count: int, hold_ms: int = 0) -> None:
    """Raise UsageError where a load is beyond what one machine is to make."""
    if not 0 < rate <= MOST_A_SECOND:
        raise UsageError(f"no load of {rate:g} a second", f"above 0, at most {MOST_A_SECOND:g}")
    if not 1 <= count <= MOST_AT_ALL:
        raise UsageError(f"no load of {count}", f"1 to {MOST_AT_ALL}")
    if not 0 <= hold_ms <= LONGEST_HOLD_MS:
        raise UsageError(f"no calls of {hold_ms} ms", f"0 to {LONGEST_HOLD_MS}")


def read(said: str, asked: int, rate: float) -> Load:
    """What SIPp's statistics and the shell's times(1p) tell of a load. Raises ValueError if there are none."""
    lines = said.strip().splitlines()
    rows = [
        row
        for row in csv.DictReader((each for each in lines if ";" in each), delimiter=";")
        if None not in row.values()
    ]
    if not rows:
        raise ValueError("no statistics of SIPp's")
    last = rows[-1]
    causes = {found[1]: int(last[key]) for key in last if key and (found := _CAUSES.fullmatch(key))}
    return Load(
        asked=asked,
        done=int(last["SuccessfulCall(C)"]),
        failed=int(last["FailedCall(C)"]),
        rate_asked=rate,
        rate=min(rate, _rate(rows, asked)),
        retransmissions=int(last["Retransmissions(C)"]),
        seconds=round(_at_s(last), 3),
        cpu_s=_cpu_s(said),
        causes=tuple((cause, count) for cause, count in causes.items() if count and cause != "Call"),
    )


def _at_s(row: dict[str, str]) -> float:
    """When a row was written, in seconds from the start. Each time has its date, its time, and seconds since 1970."""
    now, start = (float(row[key].split("\t")[-1]) for key in ("CurrentTime", "StartTime"))
    return now - start


def _rate(rows: list[dict[str, str]], asked: int) -> float:
    """How many a second were begun: by the last row in which some are still to come, for what follows is the end of
    the last ones; of a load too short for such a row by the first that has all."""
    begun = [(int(row["TotalCallCreated"]), _at_s(row)) for row in rows]
    during = [each for each in begun if 0 < each[0] < asked]
    count, at_s = during[-1] if during else next((each for each in begun if each[0]), begun[-1])
    return round(count / max(at_s - START_S, 0.001), 1)


def _cpu_s(said: str) -> float:
    """The time that the processor gave SIPp: the second line of times(1p) is of a shell's children."""
    found = _TIMES.findall(said)
    minutes, seconds, more_minutes, more_seconds = found[-1] if found else ("0", "0", "0", "0")
    return round(60 * (int(minutes) + int(more_minutes)) + float(seconds) + float(more_seconds), 3)
