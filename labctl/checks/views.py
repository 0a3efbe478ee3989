"""Does a node say the same by every way to ask it? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeGuard

from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.rule import check
from labctl.history.events import AMI, Disturbed, Event, Gone, Looked, Seen

HEARD_S = 0.5
"""In so many seconds labctl hears what a node tells, also on a busy machine."""


@check(place=100)
def views(events: Sequence[Event], limits: Limits) -> Verdict:
    """What a node tells by the manager interface, asked or unasked, is what `asterisk -rx` there says.

    It is asked one way after the other: a state that changes meanwhile is not compared. What it tells unasked soon
    after that is late.
    """
    findings: list[Finding] = []
    compared = 0
    changes = [event for event in events if isinstance(event, Seen)]
    told_last: dict[str, dict[str, str]] = {}
    answers = False
    for event in events:
        if isinstance(event, Seen):
            told_last.setdefault(event.node, {})[event.extension] = event.state
        elif isinstance(event, Gone) or _is_loss(event):  # what it told before stands no longer
            told_last.pop(event.node, None)
        elif isinstance(event, Looked):
            answers = answers or any(event.hints.values())
            findings += _no_answers(event) if answers else ()
            for node, hints in event.hints.items():
                soon = _told_soon(event, node, changes, limits.late_s)
                ways = (("says", event.states.get(node, {})), ("told last that", told_last.get(node, {})))
                changing = _changing(event, node, changes)
                still = {extension: state for extension, state in hints.items() if extension not in changing}
                for way, states in ways:
                    compared += len(states.keys() & still.keys())
                    for finding in _contradictions(event.at_s, node, way, states, still):
                        late = way != "says" and soon.get(finding.extension) == still[finding.extension]
                        findings.append(replace(finding, late=late))
    return verdict("views", findings, compared, {"compared": compared})


def _is_loss(event: Event) -> TypeGuard[Disturbed]:
    """Whether labctl could not hear a node for a while."""
    return isinstance(event, Disturbed) and event.source == AMI


def _no_answers(look: Looked) -> Iterator[Finding]:
    """The nodes of which `asterisk -rx` printed nothing although it has on some. A look need not have asked it."""
    for node in look.states:
        if look.states[node] and node in look.hints and not look.hints[node]:
            text = f"+{look.at_s:.3f} s: whether `asterisk -rx` on {node} says the same is not known"
            yield Finding(text, look.at_s, (node,)).doubted("it printed nothing")


def _changing(look: Looked, node: str, changes: Sequence[Seen]) -> set[str]:
    """The extensions of which a node told a new state while it was asked; it is heard of a moment after it was so."""
    if look.began_s is None:
        return set()
    until_s = look.at_s + HEARD_S
    return {event.extension for event in changes if event.node == node and look.began_s <= event.at_s <= until_s}


def _told_soon(look: Looked, node: str, changes: Sequence[Seen], within_s: float) -> dict[str, str]:
    """What a node told next of each extension, within so long of a look."""
    until_s = look.at_s + within_s
    soon = [event for event in changes if event.node == node and look.at_s < event.at_s <= until_s]
    return {event.extension: event.state for event in reversed(soon)}


def _contradictions(
    at_s: float, node: str, way: str, states: Mapping[str, str], hints: Mapping[str, str]
) -> Iterator[Finding]:
    for extension in states.keys() & hints.keys():
        if states[extension] != hints[extension]:
            text = f"{node} {way} {extension} is {states[extension]}, but `asterisk -rx` there {hints[extension]}"
            yield Finding(f"+{at_s:.3f} s: {text}", at_s, (node,), extension=extension)
