"""How the daemons fared: whether they ended, stood still, took all they could get, or complained. Pure.

Bounds are such that a busy machine does not meet them: CPU time is held against the node's own clock, growth is of a
process that does nothing else than before, and an error that a fault or the machine may explain is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from labctl.checks.crashes import corosync_crashes, find_crashes, measured
from labctl.checks.daemon_series import Series, all_series
from labctl.checks.disturbance import shadows
from labctl.checks.endings import End, Endings, endings
from labctl.checks.expected import Replay
from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.handling import AFTERWARDS_S, DAEMONS, Handlings, answered_s, asks, handlings, without_figures
from labctl.checks.measuring import missing
from labctl.checks.rule import check
from labctl.history.events import BY_ITSELF, Did, Event, Gone, beginning
from labctl.history.process_events import Complained


@check(place=112)
def healthy(events: Sequence[Event], limits: Limits) -> Verdict:
    """No daemon ended by itself, held a core or grew without bound, and none logged an error that nothing explains."""
    if not measured(events):
        return verdict("healthy", [], 0, remark="nothing was measured")
    series = all_series(events)
    crashes = find_crashes(events, limits)
    done = handlings(events, corosync_crashes(events, limits))
    ended = endings(events, limits.settle_s)
    findings = [
        *crashes,
        *_restarts(series, done, ended, limits),
        *(finding for one in series for finding in one.findings()),
        *_errors(events, limits),
        *missing(events, done, ended, limits),
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


def _restarts(series: Sequence[Series], done: Handlings, ended: Endings, limits: Limits) -> Iterator[Finding]:
    """A process that is another than before, though neither what was done nor a crash that is told explains it."""
    for (node, daemon), group in groupby(series, key=lambda one: (one.node, one.daemon)):
        processes = list(group)
        for before, after in pairwise(processes):
            since_s, at_s = before.samples[-1].at_s, after.samples[0].at_s
            end = End(node, daemon, since_s, at_s)
            near = done.near(node, daemon, since_s - limits.settle_s, at_s + limits.settle_s)
            if not near and not ended.asked_for(end):
                what = f"{daemon} on {node} is another process than before: it was restarted by itself"
                finding = Finding(f"+{at_s:.3f} s: {what}", at_s, (node,), since_s=since_s, certain=True)
                yield finding.doubted(ended.doubt(end))


# Errors


def _errors(events: Sequence[Event], limits: Limits) -> list[Finding]:
    """Each error that a node logged while nothing was broken, once, however often it came: where it first did so that
    nothing explains it, or else where it first came."""
    replay = Replay(beginning(events))
    shadow = shadows(events, limits)
    steps = [event for event in events if isinstance(event, Did)]
    crashed_s = [event.at_s for event in events if isinstance(event, Gone) and event.what == BY_ITSELF]
    told: dict[tuple[str, str], Finding] = {}
    for event in events:
        replay.take(event)
        if not isinstance(event, Complained) or not replay.whole(event.at_s, limits.settle_s):
            continue
        key = (event.node, without_figures(event.text))
        about_to_crash = any(event.at_s <= moment <= event.at_s + limits.settle_s for moment in crashed_s)
        if about_to_crash or _is_answer(event, steps):
            continue
        text = f"+{event.at_s:.3f} s: {event.node} logged an error: {event.text}"
        finding = shadow.doubt(Finding(text, event.at_s, (event.node,), since_s=event.at_s))
        if key not in told or (told[key].doubt and not finding.doubt):
            told[key] = finding
    return list(told.values())


def _is_answer(event: Complained, steps: Sequence[Did]) -> bool:
    """Whether a step had the node do something just then."""
    under_way = (step for step in steps if step.began_s <= event.at_s <= answered_s(step) + AFTERWARDS_S)
    return any(asks(step, event.node) for step in under_way)
