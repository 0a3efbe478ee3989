"""What Corosync's own log tells of a machine that kept it from its work. Pure.

The lines are those of Corosync 3.1 (exec/main.c, exec/totemsrp.c); "Process pause detected" is in 1.2 and 1.4 too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labctl.history.events import Back, Did, Disturbed, Event, Fault, Gone, Healed, Line

SOURCE = "corosync.log"
AFTERMATH_S = 10.0
"""For how long after a fault a ring may still be without a token by that fault (Limits.settle_s)."""

STALLED = re.compile(r"(?:was not scheduled (?:\(@\d+\) )?for|Process pause detected for) (\d+(?:\.\d+)?) ms")
NO_TOKEN = re.compile(r"Token has not been received in (\d+) ms")


@dataclass(frozen=True)
class _Span:
    """A time in which something was done to nodes on purpose; `stops` whether it stops processes there."""

    nodes: tuple[str, ...]
    since_s: float
    until_s: float
    stops: bool


def tells(line: str) -> bool:
    """Whether a line of a node's log is a witness of a disturbance."""
    return bool(STALLED.search(line) or NO_TOKEN.search(line))


def told_by_logs(events: Sequence[Event]) -> Iterator[Disturbed]:
    """The disturbances that log lines witness, and that nothing which was done on purpose explains.

    A paused process was not scheduled either, and a ring that was cut has no token: such lines tell of the fault.
    """
    spans = [*_spans(sorted(events, key=lambda event: event.at_s))]
    for line in (event for event in events if isinstance(event, Line)):
        stall, no_token = STALLED.search(line.text), NO_TOKEN.search(line.text)
        witness = stall or no_token
        if not witness:
            continue
        lasted_s = float(witness[1]) / 1000
        since_s = max(0.0, line.at_s - lasted_s)
        if any(_explains(span, line.node, since_s, line.at_s, any_node=not stall) for span in spans):
            continue
        what = "was not scheduled" if stall else "had no token"
        yield Disturbed(since_s, line.at_s, line.node, f"Corosync of {line.node} {what} for {lasted_s:.1f} s", SOURCE)


def _explains(span: _Span, node: str, since_s: float, until_s: float, *, any_node: bool) -> bool:
    """Whether what was done then is a cause: of a token that is lost anything, anywhere; of a process that stood
    still only what stops processes on that node."""
    concerned = any_node or (span.stops and node in span.nodes)
    return concerned and span.since_s <= until_s and since_s <= span.until_s


def _spans(ordered: Sequence[Event]) -> Iterator[_Span]:
    for number, event in enumerate(ordered):
        later = ordered[number:]
        if isinstance(event, Fault):
            ends = (other.at_s for other in later if isinstance(other, Healed) and other.fault == event.fault)
            yield _Span(event.nodes, _began_s(event, ordered), _over_s(ends), event.what.startswith("pause"))
        elif isinstance(event, Gone):
            ends = (other.at_s for other in later if isinstance(other, Back) and other.node == event.node)
            yield _Span((event.node,), _began_s(event, ordered), _over_s(ends), stops=True)


def _began_s(event: Event, events: Sequence[Event]) -> float:
    """When the step began that the event is of: what it does is felt before it is written down."""
    began_s = (step.began_s for step in events if isinstance(step, Did) and step.began_s <= event.at_s <= step.at_s)
    return min(began_s, default=event.at_s)


def _over_s(ends_s: Iterator[float]) -> float:
    return next(ends_s, math.inf) + AFTERMATH_S
