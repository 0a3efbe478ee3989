"""Whether the Asterisk of a node is the one that was there before, and how the one before it ended."""

from __future__ import annotations

import re
from dataclasses import dataclass

from labctl.engine.client import Engine

SERVICE = "/etc/service/asterisk"
"""Where a node's supervisor has Asterisk (runit's runsv(8))."""

CHECK_S = 3
"""How long the supervisor may take to start Asterisk anew; it does so at once, or after a second (runsv(8))."""

_SCRIPT = f"""sv -w {CHECK_S} check {SERVICE} > /dev/null
read -r now rest < /proc/uptime
echo now $now
echo ended $(cat {SERVICE}/ended 2> /dev/null)
read -r pid < {SERVICE}/supervise/pid && [ -r /proc/$pid/stat ] &&
echo started $(sed 's/.*) //' /proc/$pid/stat | cut -d' ' -f20)"""
"""Waits for a start that is under way, and prints for how long the machine has run, in seconds; what `finish` wrote
down (templates/asterisk-finish.j2); and when Asterisk began: proc(5), /proc/pid/stat, (22) starttime."""

TICKS_PER_S = 100
"""In which /proc counts (USER_HZ, Linux, on all of Docker's architectures)."""

CORE_DUMPED = 0x80
"""Of a status of wait(2): set beside the signal where the memory was written to a file."""


@dataclass(frozen=True)
class AsteriskProcess:
    """An Asterisk as its node has it. `age_s`: for how long it has run, None where it does not. `ended`: how the one
    before it did, as "signal 11", and `ended_ago_s` when; "" and None where that is not known."""

    age_s: float | None
    ended: str = ""
    ended_ago_s: float | None = None


def look(engine: Engine, container: str) -> AsteriskProcess | None:
    """What a node says of its Asterisk now; None where nothing runs in it, since its container is about to end.

    Raises LabctlError where that has ended.
    """
    return parse(engine.run(container, ["sh", "-c", _SCRIPT]).text)


def parse(text: str) -> AsteriskProcess | None:
    """The same, from what the node printed. Pure."""
    now = re.search(r"^now ([\d.]+)$", text, re.MULTILINE)
    if now is None:
        return None
    now_s = float(now[1])
    started = re.search(r"^started (\d+)$", text, re.MULTILINE)
    age_s = now_s - int(started[1]) / TICKS_PER_S if started else None
    ended = re.search(r"^ended (-?\d+) (\d+) ([\d.]+)$", text, re.MULTILINE)
    if ended is None:
        return AsteriskProcess(age_s)
    return AsteriskProcess(age_s, _cause(int(ended[1]), int(ended[2])), now_s - float(ended[3]))


def _cause(code: int, status: int) -> str:
    """By the arguments of a service's `finish` (runsv(8)): the exit code, or -1 and the lowest byte of the status."""
    return f"signal {status & ~CORE_DUMPED}" if code < 0 else f"exit code {code}"
