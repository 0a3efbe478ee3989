"""Did the run go as it should: its steps, the daemons, the rings that its faults leave? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from labctl.asterisk import ami
from labctl.checks.disturbance import shadows
from labctl.checks.expected import Replay, unanswered_rings
from labctl.checks.fault_reach import Reach
from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.rule import check
from labctl.corosync import daemon
from labctl.history.events import (
    AMI,
    BY_ITSELF,
    Back,
    Did,
    Disturbed,
    Event,
    FaultBegan,
    Gone,
    Healed,
    Line,
    Looked,
    Over,
    Ring,
    beginning,
)

UNKNOWN = "unknown: "
"""What the end of a run begins with where the machine could not do what was asked."""


@check(place=110)
def course(events: Sequence[Event], limits: Limits) -> Verdict:
    """Every step went as it should, no daemon crashed, rings are what faults leave, and the run came to its end."""
    steps = [event for event in events if isinstance(event, Did)]
    over = next((event for event in events if isinstance(event, Over)), None)
    findings = [*_steps_gone_wrong(events), *_end(events, over, steps)]
    if over and over.error.startswith(UNKNOWN):
        findings = [finding.doubted("the machine cannot do it") for finding in findings]
        return verdict("course", findings, len(steps), {"steps": len(steps)})
    findings += [*_crashes(events), *_corosync_crashes(events, limits), *_rings(events, limits)]
    return verdict("course", findings, len(steps), {"steps": len(steps)})


def _steps_gone_wrong(events: Sequence[Event]) -> Iterator[Finding]:
    """A step that did not get through since labctl's own connection was lost says nothing of the cluster."""
    losses = [event for event in events if isinstance(event, Disturbed) and event.source == AMI]
    for step in (event for event in events if isinstance(event, Did) and event.error):
        text = f"+{step.began_s:.3f} s: {step.what}: {step.error}"
        reasons = [
            loss.what
            for loss in losses
            if step.error == f"{loss.node}: {ami.GONE}" and loss.at_s <= step.at_s and step.began_s <= loss.until_s
        ]
        yield Finding(text, step.at_s, step=step.step, since_s=step.began_s).doubted(next(iter(reasons), ""))


def _end(events: Sequence[Event], over: Over | None, steps: Sequence[Did]) -> Iterator[Finding]:
    if over is None:
        yield Finding(f"+{events[-1].at_s:.3f} s: the run did not come to its end", events[-1].at_s)
    elif over.error and not any(step.error for step in steps):
        yield Finding(f"+{over.at_s:.3f} s: {over.error}", over.at_s)


def _crashes(events: Sequence[Event]) -> Iterator[Finding]:
    """An Asterisk that ends though nothing was done to it is no disagreement of the nodes: it is told here."""
    for event in events:
        if isinstance(event, Gone) and event.what == BY_ITSELF:
            what = f"{event.node} ended" if event.whole else f"Asterisk on {event.node} ended"
            text = f"+{event.at_s:.3f} s: {what} by itself{f' ({event.how})' if event.how else ''}"
            yield Finding(text, event.at_s, (event.node,), certain=True)


def _corosync_crashes(events: Sequence[Event], limits: Limits) -> Iterator[Finding]:
    """A Corosync that starts though nothing had ended it has ended by itself: its supervisor brings it back."""
    replay = Replay(beginning(events))
    begins_s = min((event.began_s for event in events if isinstance(event, Did)), default=0.0)
    excused_s: dict[str, float] = {}
    lines: set[tuple[str, str]] = set()  # a log that is followed anew may say its last once more
    for event in events:
        before = replay.faults.get(event.fault) if isinstance(event, Healed) else None
        replay.take(event)
        excused_s |= dict.fromkeys(_without_corosync(replay, before), event.at_s)
        excused_s |= {event.node: event.at_s} if isinstance(event, Back) else {}
        if isinstance(event, Line) and daemon.starts(event.text) and event.at_s >= begins_s:
            lately = event.at_s <= excused_s.get(event.node, float("-inf")) + limits.settle_s
            if not lately and (event.node, event.text) not in lines:
                text = f"+{event.at_s:.3f} s: Corosync on {event.node} ended by itself, and was started again"
                yield Finding(text, event.at_s, (event.node,), (event.text,), certain=True)
            lines.add((event.node, event.text))


def _without_corosync(replay: Replay, healed: Reach | None) -> set[str]:
    """The nodes whose Corosync a fault ends, or has until now."""
    faults = [*replay.faults.values(), *([healed] if healed else [])]
    ended = {node for fault in faults for node in (fault.nodes if fault.of_corosync else fault.absent)}
    return ended | replay.ended


# Rings


@dataclass
class _RingWatch:
    """Since when the faults in force are what they are, and whose ring has been as they leave it since then."""

    changed_s: float = float("-inf")
    kept: set[str] = field(default_factory=set)


def _rings(events: Sequence[Event], limits: Limits) -> Iterator[Finding]:
    """Who has another ring in a look than the faults in force leave it, long enough after the last change to those."""
    replay = Replay(beginning(events))
    shadow = shadows(events, limits)
    watch = _RingWatch(kept={*replay.began.nodes})
    for event in events:
        replay.take(event)
        if isinstance(event, FaultBegan | Healed | Gone | Back):
            watch = _RingWatch(changed_s=event.at_s)
        elif isinstance(event, Ring):
            if frozenset(event.members) == _expected_ring(event.node, replay):
                watch.kept.add(event.node)
        elif isinstance(event, Looked):
            for finding in _amiss(event, replay, watch, limits):
                yield finding.doubted(shadow.over(event.at_s, event.at_s, finding.nodes))


def _amiss(look: Looked, replay: Replay, watch: _RingWatch, limits: Limits) -> Iterator[Finding]:
    unanswered = unanswered_rings(look, replay)
    for node, members in look.rings.items():
        foreign = [member for member in members if member not in replay.cluster(node)]
        if foreign:
            text = f"+{look.at_s:.3f} s: the ring of {node} has {', '.join(foreign)}, which is of another site"
            yield Finding(text, look.at_s, (node,))
            continue
        expected = _expected_ring(node, replay)
        if expected is None or node in unanswered or not members:
            continue
        if frozenset(members) == expected:
            watch.kept.add(node)
        elif look.at_s >= watch.changed_s + limits.settle_s:
            wanted = ",".join(sorted(expected)) or "nobody"
            text = f"+{look.at_s:.3f} s: the ring of {node} is {','.join(members)}, not {wanted}"
            finding = Finding(text, look.at_s, (node,))
            yield (
                finding.doubted("it was as it should be before, and no fault broke it")
                if node in watch.kept
                else finding
            )


def _expected_ring(node: str, replay: Replay) -> frozenset[str] | None:
    """Who is to be in a node's ring under the faults in force; None where no rule tells."""
    faults = list(replay.faults.values())
    if any(fault.unheard is None for fault in faults):
        return None
    absent = replay.ended | {name for fault in faults for name in fault.absent}
    living = [name for name in replay.cluster(node) if name not in absent]
    hears = {name: {other for other in living if other == name or _both_ways(name, other, faults)} for name in living}
    blocked = {pair for fault in faults for pair in fault.unheard or () if {*pair} <= {*living}}
    one_way = any((receiver, sender) not in blocked for sender, receiver in blocked)
    if one_way or any(hears[other] != hears[name] for name in living for other in hears[name]):
        return None
    return frozenset(hears.get(node, ()))


def _both_ways(one: str, other: str, faults: Sequence[Reach]) -> bool:
    return all({(one, other), (other, one)}.isdisjoint(fault.unheard or ()) for fault in faults)
