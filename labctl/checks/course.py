"""Did the run go as it should: its steps, the daemons, the rings that its faults leave? Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from labctl.asterisk import ami
from labctl.checks.crashes import find_crashes, measured
from labctl.checks.disturbance import Shadows, shadows
from labctl.checks.expected import Replay, unanswered_rings
from labctl.checks.fault_reach import Reach
from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.rule import check
from labctl.checks.time_outs import is_time_out
from labctl.history.events import (
    AMI,
    Back,
    Did,
    Disturbed,
    Event,
    Expected,
    FaultBegan,
    Gone,
    Healed,
    Looked,
    Over,
    Ring,
    beginning,
    ending,
)

UNKNOWN = "unknown: "
"""What the end of a run begins with where the machine could not do what was asked."""


@check(place=110)
def course(events: Sequence[Event], limits: Limits) -> Verdict:
    """Every step went as it should, rings are what the faults leave, and the run came to its end.

    Where nothing measured the daemons, as labctl 0.2 did not, it tells of their crashes too; else `healthy` does.
    """
    steps = [event for event in events if isinstance(event, Did)]
    over = ending(events)
    findings = [*_steps_gone_wrong(events), *_end(events, over, steps)]
    if over and over.error.startswith(UNKNOWN):
        findings = [finding.doubted("the machine cannot do it") for finding in findings]
        return verdict("course", findings, len(steps), {"steps": len(steps)})
    crashes = () if measured(events) else find_crashes(events, limits)
    findings += [*crashes, *_rings(events, limits)]
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
        late = _ran_out_of_time(step, events)
        finding = Finding(text, step.at_s, step=step.step, since_s=step.began_s, late=late)
        yield finding.doubted(next(iter(reasons), ""))


def _ran_out_of_time(step: Did, events: Sequence[Event]) -> bool:
    """Whether a step went wrong since its time was over; of an answer that is not as expected, whether it was one that
    was waited for."""
    answers = (event for event in events if isinstance(event, Expected) and not event.met)
    own = [event for event in answers if step.error == f"{event.what}: not as expected: {event.wanted}"]
    return any(event.waited for event in own) if own else is_time_out(step.error)


def _end(events: Sequence[Event], over: Over | None, steps: Sequence[Did]) -> Iterator[Finding]:
    if over is None:
        yield Finding(f"+{events[-1].at_s:.3f} s: the run did not come to its end", events[-1].at_s)
    elif over.error and not any(step.error for step in steps):
        since_s = max((step.at_s for step in steps), default=0.0)  # what no step did was done after the last
        text = f"+{over.at_s:.3f} s: {over.error}"
        yield Finding(text, over.at_s, since_s=since_s, late=is_time_out(over.error))


# Rings


@dataclass
class _RingWatch:
    """Whose ring has been as it is to be, and since when what is in force in a node's cluster is what it is."""

    kept: set[str]
    changed_s: dict[str, float] = field(default_factory=dict)
    told: dict[str, Ring] = field(default_factory=dict)
    """What Corosync itself told last on each node, since the last look and since it runs."""

    def change(self, nodes: Collection[str], at_s: float) -> None:
        """From now on the rings of these nodes are to be others, maybe."""
        self.kept -= {*nodes}
        self.changed_s |= dict.fromkeys(nodes, at_s)

    def drop(self, absent: Collection[str]) -> None:
        """What these told is over: their Corosync does not run."""
        self.told = {node: ring for node, ring in self.told.items() if node not in absent}


def _rings(events: Sequence[Event], limits: Limits) -> Iterator[Finding]:
    """Who has another ring in a look than the faults in force leave it, long enough after the last change to those."""
    replay = Replay(beginning(events))
    shadow = shadows(events, limits)
    watch = _RingWatch({*replay.began.nodes})
    for event in events if replay.has_rings else ():
        watch.change(_touched(event, replay), event.at_s)
        replay.take(event)
        watch.drop(_absent(replay))
        if isinstance(event, Ring) and not {*event.members} <= {*replay.cluster(event.node)}:
            yield _foreign(event.at_s, event.node, event.members, replay)
        elif isinstance(event, Ring) and event.node not in _absent(replay):
            watch.told[event.node] = event
            if frozenset(event.members) == _expected_ring(event.node, replay):
                watch.kept.add(event.node)
        for look in _looks(event, watch):
            for finding in _amiss(look, replay, watch, shadow, limits):
                yield finding.doubted(shadow.over(look.at_s, look.at_s, finding.nodes))


def _touched(event: Event, before: Replay) -> Collection[str]:
    """The nodes whose ring may be another by an event: all of the clusters that it touches."""
    match event:
        case Gone(node=node) | Back(node=node):
            nodes: Collection[str] = (node,)
        case FaultBegan(nodes=nodes):
            pass
        case Healed(fault=name):
            nodes = before.faults[name].nodes if name in before.faults else ()
        case _:
            return ()
    return [other for node in nodes or before.began.nodes for other in before.cluster(node)]


def _looks(event: Event, watch: _RingWatch) -> Iterator[Looked]:
    """The rings of a look; at the end of a run those that Corosync itself told of last, after the last look."""
    if isinstance(event, Looked):
        yield event
        watch.told.clear()
    elif isinstance(event, Over):
        yield Looked(event.at_s, {}, {ring.node: ring.members for ring in watch.told.values()})


def _amiss(look: Looked, replay: Replay, watch: _RingWatch, shadow: Shadows, limits: Limits) -> Iterator[Finding]:
    """The rings of a look that are others than they are to be. One that was never so may be late where threads waited
    for a CPU since the faults in force changed."""
    unanswered = unanswered_rings(look, replay)
    for node, members in look.rings.items():
        if not {*members} <= {*replay.cluster(node)}:
            yield _foreign(look.at_s, node, members, replay)
            continue
        expected = _expected_ring(node, replay)
        if expected is None or node in unanswered or not members:
            continue
        if frozenset(members) == expected:
            watch.kept.add(node)
            continue
        changed_s = watch.changed_s.get(node, float("-inf"))
        if look.at_s >= changed_s + limits.settle_s:
            wanted = ",".join(sorted(expected)) or "nobody"
            text = f"+{look.at_s:.3f} s: the ring of {node} is {','.join(members)}, not {wanted}"
            finding = Finding(text, look.at_s, (node,))
            if shadow.slowed(changed_s, look.at_s, node, limits.settle_s):
                finding = replace(finding, since_s=changed_s, late=True)
            yield (
                finding.doubted("it was as it should be before, and no fault broke it")
                if node in watch.kept
                else finding
            )


def _foreign(at_s: float, node: str, members: Sequence[str], replay: Replay) -> Finding:
    foreign = [member for member in members if member not in replay.cluster(node)]
    return Finding(
        f"+{at_s:.3f} s: the ring of {node} has {', '.join(foreign)}, which is of another site", at_s, (node,)
    )


def _absent(replay: Replay) -> set[str]:
    """The nodes whose Corosync does not run: what it told before is over, and what is read of that only now."""
    return replay.ended | {node for fault in replay.faults.values() for node in fault.absent}


def _expected_ring(node: str, replay: Replay) -> frozenset[str] | None:
    """Who is to be in a node's ring under the faults in force; None where no rule tells."""
    faults = list(replay.faults.values())
    cluster = replay.cluster(node)
    if any(fault.leaves_to_chance(cluster) for fault in faults):
        return None
    absent = _absent(replay)
    living = [name for name in cluster if name not in absent]
    hears = {name: {other for other in living if other == name or _both_ways(name, other, faults)} for name in living}
    blocked = {pair for fault in faults for pair in fault.unheard or () if {*pair} <= {*living}}
    one_way = any((receiver, sender) not in blocked for sender, receiver in blocked)
    if one_way or any(hears[other] != hears[name] for name in living for other in hears[name]):
        return None
    return frozenset(hears.get(node, ()))


def _both_ways(one: str, other: str, faults: Sequence[Reach]) -> bool:
    return all({(one, other), (other, one)}.isdisjoint(fault.unheard or ()) for fault in faults)
