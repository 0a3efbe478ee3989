"""What was done to the nodes of a run that may end daemons, start them, or keep them from being measured. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from labctl.checks.expected import Replay
from labctl.checks.finding import Finding
from labctl.history.events import Back, Did, Event, FaultBegan, Gone, Healed, beginning

ASKING = ("cli ", "ami ", "exec ", "configure ", "upgrade ")
"""How steps begin in which the scenario has a node do what it says: what comes of it is its answer."""

FIRST_ANSWER_S = 5.0
"""How long a node may take to answer at all: what it logs after that is not its answer."""

AFTERWARDS_S = 1.0
"""So long after such a step what a node logs may come of it."""

_FIGURES = re.compile(r"0x[0-9a-f]+|\d+")


@dataclass(frozen=True)
class Handlings:
    """Moments in which something began or was over that may end daemons, and on which nodes; what is `left` of it at
    the end of the run; and the `steps` that have a node do what the scenario says."""

    moments: tuple[tuple[float, frozenset[str]], ...]
    left: frozenset[str]
    steps: tuple[Did, ...] = ()

    def near(self, node: str, since_s: float, until_s: float) -> bool:
        """Whether there was such a moment for a node in that time, or a step at it."""
        return self.asked(since_s, until_s, node) or any(
            node in nodes and since_s <= at_s <= until_s for at_s, nodes in self.moments
        )

    def asked(self, since_s: float, until_s: float, node: str = "") -> bool:
        """Whether there was a step at a node in that time; without `node`, at any."""
        steps = (step for step in self.steps if step.began_s <= until_s and since_s <= step.at_s)
        return any(not node or asks(step, node) for step in steps)

    def last_s(self, node: str) -> float:
        """The last such moment for a node: minus infinity where there is none, infinity where something is left."""
        moments = (at_s for at_s, nodes in self.moments if node in nodes)
        return float("inf") if node in self.left else max(moments, default=float("-inf"))


def handlings(events: Sequence[Event], crashes: Sequence[Finding]) -> Handlings:
    """What was done to the nodes, and what ended by itself and is told already. A fault of the network alone ends no
    daemon."""
    moments = [(crash.at_s, frozenset(crash.nodes)) for crash in crashes]
    replay = Replay(beginning(events))
    for event in events:
        if isinstance(event, FaultBegan | Healed | Gone | Back):
            before = _away(replay)
            replay.take(event)
            moments.append((event.at_s, before | _away(replay)))
    steps = (event for event in events if isinstance(event, Did) and event.what.startswith(ASKING))
    return Handlings(tuple(moments), _away(replay), tuple(steps))


def _away(replay: Replay) -> frozenset[str]:
    """The nodes that are gone, or that a fault touches which may end daemons."""
    faults = (fault for fault in replay.faults.values() if not fault.of_network)
    return frozenset(replay.gone.union(*(fault.nodes for fault in faults)))


def without_figures(error: str) -> str:
    """The text of an error without what differs from one time to the next: those that are alike are one error."""
    return _FIGURES.sub("#", error)


def asks(step: Did, node: str) -> bool:
    """Whether a step has a node do what the scenario says."""
    return step.what.startswith(ASKING) and bool(re.search(rf"(?<![\w-]){re.escape(node)}(?![\w-])", step.what))


def answered_s(step: Did) -> float:
    """When a step had its answer; one that asks again and again had its first long before it ended."""
    return min(step.at_s, step.began_s + FIRST_ANSWER_S) if step.what.startswith(("cli ", "ami ")) else step.at_s
