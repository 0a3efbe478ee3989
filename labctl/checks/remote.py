"""Verdicts on what a node is told of other sites: the way to a number, and its state there. Pure.

A question crosses unless a fault keeps it, or its answer, from crossing; a node that is gone answers none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from labctl.asterisk.dundi import STATES
from labctl.checks.expected import Replay
from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.history.events import Asked, Event, beginning


def routes(events: Sequence[Event], _limits: Limits) -> Verdict:
    """A node that asks for the way to a number is told that to the number's own node, if that can be asked."""
    findings: list[Finding] = []
    asked = 0
    for event, replay in _asked(events, "route"):
        asked += 1
        home = replay.began.home(event.number)
        wanted = bool(home) and _reaches(replay, event.node, home) if event.found is None else event.found
        right = event.answers and all(each.endswith(f"/{event.number}@node-{home}") for each in event.answers)
        if wanted != bool(event.answers) or (event.answers and not right):
            should = f"the way to {home}" if wanted else "nothing"
            text = (
                f"+{event.at_s:.3f} s: {event.node} asked for {event.number}, and was told {_told(event)}, not {should}"
            )
            findings.append(Finding(text, event.at_s, (event.node, *event.by)))
    return verdict("routes", findings, asked, {"asked": asked})


def remote_state(events: Sequence[Event], limits: Limits) -> Verdict:
    """A node that asks for a state of another site's is told what it is there, or was within the cache time."""
    findings: list[Finding] = []
    asked = 0
    for event, replay in _asked(events, "state"):
        asked += 1
        told = [(node, STATES.get(word, word)) for node, word in zip(event.by, event.answers, strict=True)]
        since_s = event.at_s - replay.began.cache_s - limits.delay_ms / 1000
        where = f"+{event.at_s:.3f} s: {event.node} asked for the state of {event.number}"
        could = {node: _could_say(events, event, node, since_s) for node in dict.fromkeys(event.by)}
        for node, state in told:
            if state not in could[node]:
                text = f"{where}, and {node} said {state}, not {' or '.join(sorted(could[node]))}"
                findings.append(Finding(text, event.at_s, (event.node, node)))
        wanted = _anybody(replay, event) if event.found is None else event.found
        if wanted and not told:
            findings.append(Finding(f"{where}, and nobody answered", event.at_s, (event.node,)))
        if not wanted and told and not _anybody_since(events, event, since_s):
            findings.append(Finding(f"{where}, and was told {_told(event)}, though nobody could answer", event.at_s))
    return verdict("remote_state", findings, asked, {"asked": asked})


def _asked(events: Sequence[Event], what: str) -> Iterator[tuple[Asked, Replay]]:
    """Each question of a kind, and what was the case then."""
    replay = Replay(beginning(events))
    for event in events:
        if isinstance(event, Asked) and event.what == what:
            yield event, replay
        replay.take(event)


def _reaches(replay: Replay, asker: str, node: str) -> bool:
    pairs = {(asker, node), (node, asker)}
    return node not in replay.gone and all(pairs.isdisjoint(unasked) for unasked in replay.unasked.values())


def _others(replay: Replay, event: Asked) -> list[str]:
    """The nodes that know the number's state: of the site of its phone, or of every other site."""
    began = replay.began
    home, own = began.home(event.number), began.sites.get(event.node, "")
    sites = {began.sites.get(home, "")} if home else set(began.sites.values()) - {own}
    return [node for node in began.nodes if began.sites.get(node, "") in sites]


def _anybody(replay: Replay, event: Asked) -> bool:
    return any(_reaches(replay, event.node, node) for node in _others(replay, event))


def _anybody_since(events: Sequence[Event], asked: Asked, since_s: float) -> bool:
    """Whether anybody could answer at any time since then: an answer is kept for a while."""
    return any(_anybody(replay, asked) for replay in _moments(events, asked, since_s))


def _could_say(events: Sequence[Event], asked: Asked, node: str, since_s: float) -> set[str]:
    """What a node could rightly say of the state from then until it was asked."""
    began = beginning(events)
    device = began.extensions.get(asked.number, "")
    cluster = next(nodes for nodes in began.clusters if node in nodes)
    return {state for replay in _moments(events, asked, since_s) for state in replay.right(device, cluster)}


def _moments(events: Sequence[Event], until: Asked, since_s: float) -> Iterator[Replay]:
    """What was the case then, and after each event from then on."""
    replay = Replay(beginning(events))
    begun = False
    for event in events:
        if event is until:
            break
        if event.at_s >= since_s and not begun:
            begun = True
            yield replay
        replay.take(event)
        if begun:
            yield replay
    if not begun:
        yield replay


def _told(event: Asked) -> str:
    return ", ".join(event.answers) or "nothing"
