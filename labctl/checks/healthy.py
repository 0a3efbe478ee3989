"""How the daemons fared: whether they ended, stood still, took all they could get, or complained. Pure.

Bounds are such that a busy machine does not meet them: CPU time is held against the node's own clock, growth is of a
process that does nothing else than before, and an error that a fault or the machine may explain is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from labctl.checks.crashes import find_crashes, measured
from labctl.checks.daemon_series import Series, all_series
from labctl.checks.disturbance import shadows
from labctl.checks.expected import Replay
from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.rule import check
from labctl.history.events import BY_ITSELF, Back, Did, Event, FaultBegan, Gone, Healed, beginning
from labctl.history.process_events import Complained, Measured

ASKING = ("cli ", "ami ", "exec ", "configure ", "upgrade ")
"""How steps begin in which the scenario has a node do what it says: what the node logs meanwhile is its answer."""

FIRST_ANSWER_S = 5.0
"""How long a node may take to answer at all: what it logs after that is not its answer."""

AFTERWARDS_S = 1.0
"""So long after such a step what a node logs may come of it."""


@check(place=112)
def healthy(events: Sequence[Event], limits: Limits) -> Verdict:
    """No daemon ended by itself, held a core or grew without bound, and none logged an error that nothing explains."""
    if not measured(events):
        return verdict("healthy", [], 0, remark="nothing was measured")
    series = all_series(events)
    crashes = find_crashes(events, limits)
    findings = [
        *crashes,
        *_restarts(series, events, crashes, limits),
        *(finding for one in series for finding in one.findings()),
        *_errors(events, limits),
        *_unmeasured(events),
    ]
    samples = sum(len(one.samples) for one in series)
    figures = {"samples": float(samples), **_figures(series)}
    reasons = dict.fromkeys(shadow.reason for shadow in shadows(events, limits).all if shadow.loses)
    return verdict("healthy", findings, samples, figures, "; ".join(reasons))


def _figures(series: Sequence[Series]) -> dict[str, float]:
    most = {
        name: max((one.samples[-1].memory_kb for one in series if one.daemon == name), default=0) for name in DAEMONS
    }
    return {f"MB {name}": float(kb // 1024) for name, kb in most.items() if kb}


DAEMONS = ("asterisk", "corosync")


def _restarts(
    series: Sequence[Series], events: Sequence[Event], crashes: Sequence[Finding], limits: Limits
) -> Iterator[Finding]:
    """A process that is another than before, though neither a fault nor a crash that is told already explains it."""
    touched: list[tuple[float, frozenset[str]]] = []
    replay = Replay(beginning(events))
    for event in events:
        if isinstance(event, FaultBegan | Healed | Gone | Back):
            ended = replay.faults.get(event.fault) if isinstance(event, Healed) else None
            replay.take(event)
            by_fault = {node for fault in replay.faults.values() for node in fault.nodes} | (
                ended.nodes if ended else set()
            )
            touched.append((event.at_s, frozenset(by_fault | replay.gone | _of(event))))
    touched += [(crash.at_s, frozenset(crash.nodes)) for crash in crashes]
    for (node, daemon), group in groupby(series, key=lambda one: (one.node, one.daemon)):
        processes = list(group)
        for before, after in pairwise(processes):
            since_s, at_s = before.samples[-1].at_s, after.samples[0].at_s
            near = any(
                node in nodes and since_s - limits.settle_s <= moment <= at_s + limits.settle_s
                for moment, nodes in touched
            )
            if not near:
                what = f"{daemon} on {node} is another process than before: it was restarted by itself"
                yield Finding(f"+{at_s:.3f} s: {what}", at_s, (node,), since_s=since_s, certain=True)


def _of(event: FaultBegan | Healed | Gone | Back) -> set[str]:
    return (
        {event.node} if isinstance(event, Gone | Back) else set(event.nodes) if isinstance(event, FaultBegan) else set()
    )


# Errors


def _errors(events: Sequence[Event], limits: Limits) -> Iterator[Finding]:
    """Each error that a node logged while nothing was broken, once, however often it came."""
    replay = Replay(beginning(events))
    steps = [event for event in events if isinstance(event, Did) and event.what.startswith(ASKING)]
    crashed_s = [event.at_s for event in events if isinstance(event, Gone) and event.what == BY_ITSELF]
    told: set[tuple[str, str]] = set()
    for event in events:
        replay.take(event)
        if not isinstance(event, Complained) or not replay.whole(event.at_s, limits.settle_s):
            continue
        key = (event.node, re.sub(r"0x[0-9a-f]+|\d+", "#", event.text))
        about_to_crash = any(event.at_s <= moment <= event.at_s + limits.settle_s for moment in crashed_s)
        if key in told or about_to_crash or _is_answer(event, steps):
            continue
        told.add(key)
        text = f"+{event.at_s:.3f} s: {event.node} logged an error: {event.text}"
        yield Finding(text, event.at_s, (event.node,), since_s=event.at_s)


def _is_answer(event: Complained, steps: Sequence[Did]) -> bool:
    """Whether a step had the node do something just then."""
    name = re.compile(rf"(?<![\w-]){re.escape(event.node)}(?![\w-])")
    under_way = (step for step in steps if step.began_s <= event.at_s <= _answered_s(step) + AFTERWARDS_S)
    return any(name.search(step.what) for step in under_way)


def _answered_s(step: Did) -> float:
    """When a step had its answer; one that asks again and again had its first long before it ended."""
    return min(step.at_s, step.began_s + FIRST_ANSWER_S) if step.what.startswith(("cli ", "ami ")) else step.at_s


# Whom nobody measured


def _unmeasured(events: Sequence[Event]) -> Iterator[Finding]:
    seen = {event.node for event in events if isinstance(event, Measured)}
    touched = {node for event in events if isinstance(event, FaultBegan | Gone) for node in _of(event)}
    for node in beginning(events).nodes:
        if node not in seen and node not in touched:
            finding = Finding(f"how the daemons of {node} fared", events[-1].at_s, (node,))
            yield finding.doubted("nobody measured them")
