"""Lines of Asterisk's log by their level. Pure."""

from __future__ import annotations

import re

_ERROR = re.compile(r"^(?:\[[^]]+\] )?ERROR(?:\[\d+\])?(?:\[C-\w+\])?: ?(?P<text>.*)")
"""main/logger.c, 1.6 to 22: date, level, thread and call; standard error has no more than the level."""


def error_of(line: str) -> str:
    """What a line of level ERROR says, without its date, thread and call; "" of any other line."""
    match = _ERROR.match(line)
    return match["text"] if match else ""
