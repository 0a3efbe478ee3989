"""What Corosync logs of itself as a daemon. Pure."""

from __future__ import annotations

import re

START_LINE = r"Corosync Cluster Engine .* ?start(ing up|ed and ready)"
"""Logged once at every start: corosync's main.c, 1.2 to 3.1, which names itself when it exits too."""

_STARTS = re.compile(START_LINE)


def starts(line: str) -> bool:
    """Whether a line of a node's log says that its Corosync starts."""
    return bool(_STARTS.search(line))
