"""What Corosync logs of itself as a daemon. Pure."""

from __future__ import annotations

import re

START_LINE = r"Corosync Cluster Engine .* ?start(ing up|ed and ready)"
"""Logged once at every start: corosync's main.c, 1.2 to 3.1, which names itself when it exits too."""

_STARTS = re.compile(START_LINE)


def starts(line: str) -> bool:
    """Whether a line of a node's log says that its Corosync starts."""
    return bool(_STARTS.search(line))


_ERROR = re.compile(r"^\w{3} +\d+ [\d:.]+ (?:emerg|alert|crit|error) +(?P<text>\[.*)")
"""The levels of syslog(3) from `error` on, as Corosync 2 and 3 write them with `fileline: off` (libqb's log_format)."""


def error_of(line: str) -> str:
    """What a line of an error says, without its date; "" of any other line, and of all of Corosync 1.x, which writes no
    levels."""
    match = _ERROR.match(line)
    return match["text"] if match else ""
