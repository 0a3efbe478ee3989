"""Was each answer what the scenario itself expects of it? Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.rule import check
from labctl.history.events import Event, Expected, beginning

QUOTED = 6
"""How many lines of an answer are shown with what is wrong in it."""


@check(place=105)
def expectations(events: Sequence[Event], _limits: Limits) -> Verdict:
    """Every answer that the scenario asks for is what it expects of it."""
    held = [event for event in events if isinstance(event, Expected)]
    every = beginning(events).nodes
    findings = [_finding(event, every) for event in held if not event.met]
    return verdict("expectations", findings, len(held), {"held": len(held)})


def _finding(event: Expected, every: tuple[str, ...]) -> Finding:
    """What is not as expected. What should have come in time may have had to come from any node, and of any site."""
    lines = [line.rstrip() for line in event.answer.splitlines() if line.strip()]
    text = f"+{event.at_s:.3f} s: {event.what}: not as expected: {event.wanted}"
    quotes = tuple(lines[:QUOTED])
    through = every if event.waited else ()
    finding = Finding(text, event.at_s, event.nodes, quotes=quotes, since_s=event.began_s)
    return replace(finding, late=event.waited, through=through)
