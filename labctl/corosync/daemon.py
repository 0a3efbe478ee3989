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


class FailedStarts:
    """How often in a row a Corosync has ended by an error, and why it did last, by its node's log, line by line.

    Corosync 3 prints what it cannot read of its configuration before it logs anything, and ends (exec/main.c); what it
    finds wrong later it logs, and then that it exits with a status (1.2 to 3.1).
    """

    def __init__(self) -> None:
        self.in_a_row = 0
        self.why = ""
        self._error = ""

    def forget(self) -> None:
        """Count from here on: as where it is in a ring."""
        self.in_a_row = 0

    def feed(self, line: str) -> bool:
        """Take a line in: whether it tells of one more."""
        if unread := _UNREAD.match(line):
            return self._failed(unread[1])
        if _EXITS.search(line):
            return self._failed(self._error or error_of(line) or line)
        if starts(line):
            self._error = ""
        elif in_config := _IN_CONFIG.search(line):
            self._error = in_config[0]
        else:
            self._error = error_of(line) or self._error
        return False

    def _failed(self, why: str) -> bool:
        self.in_a_row += 1
        self.why = why
        return True


_UNREAD = re.compile(r"parser error: (.+)")
_IN_CONFIG = re.compile(r"parse error in config: .+")
_EXITS = re.compile(r"Corosync Cluster Engine exiting with status [1-9]")
