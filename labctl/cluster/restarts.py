"""Daemons that start again and again: each time their supervisor starts one, it says so in its node's log."""

from __future__ import annotations

import re

from labctl.corosync.daemon import START_LINE
from labctl.engine.client import Engine

WINDOW_S = 60
MANY = 3
"""So many starts of one daemon within the window are a loop: a node starts each once, a fault or a mend once more."""

START_LINES = {
    "Corosync": START_LINE,
    "Asterisk": r" modules will be loaded",
}
"""What each daemon logs once at every start; Asterisk's loader.c, 1.6 to 22."""


def restarts(engine: Engine, container: str) -> tuple[str, ...]:
    """A sentence for each daemon of a node that has started MANY times or more in the last minute."""
    log = engine.logs(container, ago_s=WINDOW_S)
    return looping(log)


def looping(log: str) -> tuple[str, ...]:
    """A sentence for each daemon that started MANY times or more in the minute that this log is of. Pure."""
    lines = log.splitlines()
    starts = {daemon: sum(bool(re.search(pattern, line)) for line in lines) for daemon, pattern in START_LINES.items()}
    return tuple(f"{daemon} started {count} times in a minute" for daemon, count in starts.items() if count >= MANY)
