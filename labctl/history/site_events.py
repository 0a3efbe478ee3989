"""What sites ask each other: an event of a history. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Asked:
    """A node asked other sites by DUNDi: for the way to a number (`route`), or for its state there.

    `answers` are dial strings (PJSIP/103@node-w1), or Asterisk's words for states, each by the node of `by` that gave
    it. `found`: whether there must be one, as whoever had it asked says; None where that follows from what is in force.
    `fresh`: whether it passed by what was kept of earlier answers; None where the history does not tell.
    """

    at_s: float
    node: str
    what: Literal["route", "state"]
    number: str
    answers: tuple[str, ...]
    by: tuple[str, ...] = ()
    found: bool | None = None
    fresh: bool | None = None
