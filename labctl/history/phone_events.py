"""What phones leave open: an event of a history. Pure."""

from __future__ import annotations

from dataclasses import dataclass

WITHOUT_A_WORD = "the phone went without a word"
"""Why nobody knows of a phone that is gone, and did not tell its node."""

NO_OPTIONS = "it answers no OPTIONS"
"""Why nobody knows of a phone that its node may hold for unreachable."""

IN_FRONT = "a server is in front of its nodes"
"""Why nobody knows of a phone that registers with a server which tells nodes of it what it will, and may be gone."""

CALLS_ELSEWHERE = "a node has calls of it that nobody ended"
"""Why nobody knows of a phone that registers anew after its calls were lost without a word."""


@dataclass(frozen=True, slots=True)
class Unsure:
    """What a node has of a device of its own is not known from here on, until it is said anew; `why` in words.

    `may` are the states that it may have, any where there are none.
    """

    at_s: float
    node: str
    device: str
    why: str
    may: tuple[str, ...] = ()
