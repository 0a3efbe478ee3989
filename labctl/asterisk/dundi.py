"""DUNDi's words: what Asterisk prints of an answer, as facts. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

ROUTE, STATE = "route", "state"
"""The contexts that a lab's nodes ask each other in (dundi.conf, mappings): for the way to a number, and its state."""

STATES = {
    "NOT_INUSE": "Idle",
    "INUSE": "InUse",
    "BUSY": "Busy",
    "UNAVAILABLE": "Unavailable",
    "RINGING": "Ringing",
    "RINGINUSE": "InUse&Ringing",
    "HOLDINUSE": "InUse&Hold",
    "ONHOLD": "Hold",
    "UNKNOWN": "NoHint",
}
"""The words of EXTENSION_STATE() (funcs/func_extstate.c), and of a hint for the same."""

ABSENT = "UNKNOWN"


@dataclass(frozen=True)
class Answer:
    """One answer to a question: a dial string, the entity id of the node that gave it, and for how long it is kept."""

    destination: str
    entityid: str
    expires_s: int

    @property
    def word(self) -> str:
        """What stands where a dial string has its number: of an answer about a state, the state."""
        return self.destination.partition("/")[2]


def command(number: str, context: str, *, fresh: bool = True) -> str:
    """The CLI command that asks; `fresh` passes by what is kept of earlier answers."""
    return f"dundi lookup {number}@{context}" + (" bypass" if fresh else "")


def parse_lookup(text: str) -> tuple[Answer, ...]:
    """`dundi lookup`, Asterisk 1.6 to 22; answers without a destination are none (they match only in part)."""
    answers = re.findall(
        r"^\s*\d+\.\s+\d+ (\S+/\S*) \(.*\)\s*\n\s*from (\S+), expires in (-?\d+) s", text, re.MULTILINE
    )
    return tuple(Answer(way, entityid, int(expires)) for way, entityid, expires in answers if not way.endswith("/"))
