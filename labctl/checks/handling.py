"""What was done to the nodes of a run that may end daemons, start them, or keep them from being measured. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from labctl.checks.expected import Replay
from labctl.checks.finding import Finding
from labctl.history.events import Back, Did, Event, FaultBegan, Gone, Healed, beginning

ASTERISK, COROSYNC = DAEMONS = ("asterisk", "corosync")

ASKING = ("cli ", "ami ", "exec ", "configure ", "upgrade ")
"""How steps begin in which the scenario has a node do what it says: what comes of it is its answer."""

FIRST_ANSWER_S = 5.0
"""How long a node may take to answer at all: what it logs after that is not its answer."""

AFTERWARDS_S = 1.0
"""So long after such a step what a node logs may come of it."""

_FIGURES = re.compile(r"0x[0-9a-f]+|\d+")


Daemons = frozenset[tuple[str, str]]
"""Nodes, each with a daemon of its."""


@dataclass(frozen=True)
class Handlings:
    """Moments in which something began or was over that may end daemons, and which; and what is `left` of it at the
    end of the run. A fault of the network alone ends none."""

    moments: tuple[tuple[float, Daemons], ...]
    left: Daemons

    def near(self, node: str, daemon: str, since_s: float, until_s: float) -> bool:
        """Whether there was such a moment for a daemon of a node in that time."""
        return any((node, daemon) in daemons and since_s <= at_s <= until_s for at_s, daemons in self.moments)

    def last_s(self, node: str, daemon: str = "") -> float:
        """The last such moment for a daemon of a node, or for any: minus infinity where there is none, infinity where
        something is left."""
        names = (daemon,) if daemon else DAEMONS
        concerned = {(node, name) for name in names}
        moments = (at_s for at_s, daemons in self.moments if daemons & concerned)
        return float("inf") if self.left & concerned else max(moments, default=float("-inf"))


def handlings(events: Sequence[Event], corosync_crashes: Sequence[Finding]) -> Handlings:
    """What was done to the nodes, and what ended by itself and is told already: where a Corosync did, its Asterisk may
    have followed it."""
    moments = [(crash.at_s, _daemons(crash.nodes)) for crash in corosync_crashes]
    replay = Replay(beginning(events))
    for event in events:
        if isinstance(event, FaultBegan | Healed | Gone | Back):
            before = _away(replay)
            replay.take(event)
            moments.append((event.at_s, before | _away(replay)))
    return Handlings(tuple(moments), _away(replay))


def _daemons(nodes: Iterable[str], daemons: Iterable[str] = DAEMONS) -> Daemons:
    return frozenset(product(nodes, daemons))


def _away(replay: Replay) -> Daemons:
    """The daemons that are gone, or that a fault touches which may end them."""
    faults = [fault for fault in replay.faults.values() if not fault.of_network]
    touched = (_daemons(fault.nodes, (ASTERISK,) if fault.of_asterisk else DAEMONS) for fault in faults)
    return _daemons(replay.gone, (ASTERISK,)).union(_daemons(replay.ringless), *touched)


def without_figures(error: str) -> str:
    """The text of an error without what differs from one time to the next: those that are alike are one error."""
    return _FIGURES.sub("#", error)


def asks(step: Did, node: str) -> bool:
    """Whether a step has a node do what the scenario says."""
    return step.what.startswith(ASKING) and bool(re.search(rf"(?<![\w-]){re.escape(node)}(?![\w-])", step.what))


def answered_s(step: Did) -> float:
    """When a step had its answer; one that asks again and again had its first long before it ended."""
    return min(step.at_s, step.began_s + FIRST_ANSWER_S) if step.what.startswith(("cli ", "ami ")) else step.at_s
