"""What a check is: a rule with a name, over a whole history. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labctl.checks.finding import Limits, Verdict
from labctl.history.events import Event

Judge = Callable[[Sequence[Event], Limits], Verdict]
"""Says what a history comes to. Its events are in the order of their times, the beginning first."""


@dataclass(frozen=True)
class Check:
    """A rule that a history is held to. `place`: where it stands among the others, in tables and reports."""

    name: str
    place: int
    judge: Judge

    @property
    def title(self) -> str:
        """What must hold, in a sentence."""
        return (self.judge.__doc__ or "").partition("\n")[0]


def check(place: int) -> Callable[[Judge], Check]:
    """Make a function the check of its own name: the registry finds it in any module of this package."""

    def register(judge: Judge) -> Check:
        return Check(judge.__name__, place, judge)

    return register
