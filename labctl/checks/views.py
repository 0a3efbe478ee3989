"""Does a node say the same by every way to ask it? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeGuard

from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.handling import asks
from labctl.checks.rule import check
from labctl.history.events import AMI, Did, Disturbed, Event, Gone, Looked, Seen

HEARD_S = 0.5
"""In so many seconds labctl hears what a node tells, also on a busy machine."""

SAYS, SINCE = "says", "told no change since it said that"
"""Ways to tell a state: asked for it in a look, and asked for it in an earlier one without an event since."""


_ByNode = dict[str, dict[str, str]]
"""Node -> extension -> state."""


@dataclass
class _Told:
    """What nodes told last of each extension. `unasked`: by an event. `asked`: when a look first found it so; that
    stands until an event tells otherwise, or the scenario has the node do something: what an extension is made of may
    change with its configuration."""

    unasked: _ByNode = field(default_factory=dict)
    asked: _ByNode = field(default_factory=dict)
    _unheard_until_s: dict[str, float] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Go one event further."""
        if isinstance(event, Seen):
            self.unasked.setdefault(event.node, {})[event.extension] = event.state
        elif isinstance(event, Gone) or _is_loss(event):  # what it told before stands no longer
            self.unasked.pop(event.node, None)
            self.asked.pop(event.node, None)
            if isinstance(event, Disturbed):
                self._unheard_until_s[event.node] = event.until_s
        elif isinstance(event, Did):
            self.asked = {node: states for node, states in self.asked.items() if not asks(event, node)}
        elif isinstance(event, Looked):
            for node, hints in event.hints.items():
                states = event.states.get(node, {})
                alike = {extension: state for extension, state in hints.items() if states.get(extension) == state}
                if event.at_s > self._unheard_until_s.get(node, float("-inf")):
                    self.asked[node] = alike | self.asked.get(node, {})


@check(place=100)
def views(events: Sequence[Event], limits: Limits) -> Verdict:
    """What a node tells by the manager interface, asked or unasked, is what `asterisk -rx` there says.

    It is asked one way after the other: a state that changes meanwhile is not compared. What it tells unasked soon
    after that is late. Of what is another state than in an earlier look it has told meanwhile.
    """
    findings: list[Finding] = []
    compared = 0
    changes = [event for event in events if isinstance(event, Seen)]
    told = _Told()
    answers = False
    for event in events:
        if isinstance(event, Looked):
            answers = answers or any(event.hints.values())
            findings += _no_answers(event) if answers else ()
            for node, hints in event.hints.items():
                soon = _told_soon(event, node, changes, limits.late_s)
                changing = _changing(event, node, changes)
                still = {extension: state for extension, state in hints.items() if extension not in changing}
                for way, states in _ways(event, node, told):
                    compared += len(states.keys() & still.keys()) * (way != SINCE)
                    for finding in _contradictions(event.at_s, node, way, states, still):
                        late = way != SAYS and soon.get(finding.extension) == still[finding.extension]
                        findings.append(replace(finding, late=late))
        told.take(event)
    return verdict("views", findings, compared, {"compared": compared})


def _ways(look: Looked, node: str, told: _Told) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The ways in which a node told the states of extensions, each in words."""
    unasked = told.unasked.get(node, {})
    asked = told.asked.get(node, {})
    yield SAYS, look.states.get(node, {})
    yield "told last that", unasked
    yield SINCE, {extension: state for extension, state in asked.items() if extension not in unasked}


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
