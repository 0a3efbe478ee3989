"""What phones leave open: an event of a history. Pure."""

from __future__ import annotations

from dataclasses import dataclass


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
