"""Device states: what several of one device come to, and what a hint makes of them. Pure.

As ast_devstate_aggregate_result and ast_devstate_to_extenstate (main/devicestate.c) have it since 1.6.2.24.
"""

from __future__ import annotations

from collections.abc import Iterable

HINTS = {
    "INVALID": "Unavailable",
    "UNKNOWN": "Idle",
    "UNAVAILABLE": "Unavailable",
    "NOT_INUSE": "Idle",
    "ONHOLD": "Hold",
    "RINGING": "Ringing",
    "INUSE": "InUse",
    "BUSY": "Busy",
    "RINGINUSE": "InUse&Ringing",
}
"""What a hint makes of each state."""

ORDER = tuple(HINTS)
"""The later yields to none before it."""


def aggregate(states: Iterable[str]) -> str:
    """What the states come to together; INVALID if there are none."""
    all_states = set(states)
    if "RINGING" in all_states and all_states & {"INUSE", "ONHOLD", "BUSY"}:
        all_states.add("RINGINUSE")
    return max(all_states, key=ORDER.index, default="INVALID")


def hint(state: str) -> str:
    """The word of a hint for a device state."""
    return HINTS[state]
