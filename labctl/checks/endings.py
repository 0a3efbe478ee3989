"""Whether a step of the scenario itself had a node end one of its daemons, or may have. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from labctl.checks.handling import AFTERWARDS_S, ASKING, asks
from labctl.history.events import Did, Event

EARLY_S = 3.0
"""So long before the step that did it an end may be dated: the supervisor is waited for meanwhile (CHECK_S)."""

_ASTERISK_ENDS = re.compile(r"\b(?:stop|restart)\s+(?P<when>now|gracefully|when\s+convenient)\b")
"""What ends an Asterisk by its own CLI (main/asterisk.c, 1.6 to 22). All but `now` wait until its calls are over."""

_SHELL_ENDS = re.compile(r"\b(?:restart|stop|force-\w+|down|term|exit|kill|pkill|killall)\b")
"""What ends a daemon by the shell: sv(8), kill(1) and their like."""

_KILLS = re.compile(r"\b(?:kill|pkill|killall)\b")

CRASHES = frozenset(f"signal {number}" for number in (4, 5, 6, 7, 8, 11, 31))
"""How a daemon ends by its own mistake (signal(7): SIGILL, TRAP, ABRT, BUS, FPE, SEGV, SYS)."""


@dataclass(frozen=True)
class End:
    """A daemon of a node, "" for all of it, ended between these two times. `crashed`: by its own mistake."""

    node: str
    daemon: str
    since_s: float
    until_s: float
    crashed: bool = False


@dataclass(frozen=True)
class Endings:
    """The steps of a run that may end daemons. One that was asked for is no crash."""

    steps: tuple[Did, ...]
    settle_s: float

    def asked_for(self, end: End) -> bool:
        """Whether a step asked for the end. That a daemon crashes as it is to end in an orderly way no step asks."""
        return any(_asks_for(step, end) and _meets(step, end, self.settle_s) for step in self.steps)

    def doubt(self, end: End) -> str:
        """Why nobody knows whether it ended by itself; "" where that is known."""
        under_way = [] if end.crashed else [step for step in self.steps if _meets(step, end, AFTERWARDS_S)]
        if any(_may_end(step, end) and asks(step, end.node) for step in under_way):
            return "a step at the node may have ended it"
        if end.daemon == "corosync" and any(_may_end(step, end) and "corosync" in step.what for step in under_way):
            return "a step at another node may have ended it"
        return ""


def endings(events: Iterable[Event], settle_s: float) -> Endings:
    """What the steps of a history may have ended."""
    steps = (event for event in events if isinstance(event, Did) and event.what.startswith(ASKING))
    return Endings(tuple(steps), settle_s)


def _may_end(step: Did, end: End) -> bool:
    """Whether its words do not tell what it ends: the shell does anything, and a Corosync ends of what it reads."""
    configures = step.what.startswith("configure ") and end.daemon == "corosync" and "corosync" in step.what
    return configures or step.what.startswith("exec ")


def _asks_for(step: Did, end: End) -> bool:
    if not asks(step, end.node):
        return False
    if step.what.startswith("exec ") and end.daemon and re.search(rf"\b{end.daemon}\b", step.what):
        return bool((_KILLS if end.crashed else _SHELL_ENDS).search(step.what))
    return end.daemon == "asterisk" and not end.crashed and bool(_ASTERISK_ENDS.search(step.what))


def _meets(step: Did, end: End, afterwards_s: float) -> bool:
    """Whether the end may have come of the step by its time."""
    told = _ASTERISK_ENDS.search(step.what)
    until_s = float("inf") if told and told["when"] != "now" else step.at_s + afterwards_s
    return step.began_s - EARLY_S <= end.until_s and end.since_s <= until_s
