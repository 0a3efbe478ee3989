"""Whether something failed since its time was over, by the words for it: then it may be right, and too late. Pure."""

from __future__ import annotations

import re

NO_ANSWER = ("MaxUDPRetrans", "TimeoutOnRecv")
"""SIPp's words for what has failed since no answer came in time (its statistics, src/stat.cpp)."""

_AT_DEADLINE = re.compile(r"\b(?:after|within|in) \d+(?:\.\d+)?(?:e[+-]?\d+)? s$")
"""How labctl's own errors of deadlines end, each in its first line: "n2 is not back after 30 s"."""

_NO_ANSWER = re.compile(rf"\b(?:{'|'.join(NO_ANSWER)})\b|^(?:408|504) ")
"""That, or the status by which a node tells that it had no answer in time itself (RFC 3261, 21.4.9 and 21.5.5)."""


def is_time_out(why: str) -> bool:
    """Whether that is why a step, or a call, went wrong."""
    return bool(_AT_DEADLINE.search(why.partition("\n")[0]) or _NO_ANSWER.search(why))
