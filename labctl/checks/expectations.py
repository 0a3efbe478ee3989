"""Was each answer what the scenario itself expects of it? Pure."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.rule import check
from labctl.history.events import Event, Expected

QUOTED = 6
"""How many lines of an answer are shown with what is wrong in it."""


@check(place=105)
def expectations(events: Sequence[Event], _limits: Limits) -> Verdict:
    """Every answer that the scenario asks for is what it expects of it."""
    held = [event for event in events if isinstance(event, Expected)]
    findings = [_finding(event) for event in held if not event.met]
    return verdict("expectations", findings, len(held), {"held": len(held)})


def _finding(event: Expected) -> Finding:
    lines = [line.rstrip() for line in event.answer.splitlines() if line.strip()]
    text = f"+{event.at_s:.3f} s: {event.what}: not as expected: {event.wanted}"
    quotes = tuple(lines[:QUOTED])
    return Finding(text, event.at_s, event.nodes, quotes=quotes, since_s=event.began_s, late=event.waited)
