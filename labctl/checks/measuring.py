"""Whom nobody measured any more, though the run went on: a daemon that ended and stays away, or a node. Pure.

That is no crash that anybody saw: it is told by what is missing, and so by several samples that are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from labctl.checks.endings import End, Endings
from labctl.checks.finding import Finding, Limits
from labctl.checks.handling import Handlings
from labctl.history.events import Event, FaultBegan, Gone, beginning
from labctl.history.process_events import Measured

AWAY_S = 15.0
"""So long a daemon must be away while its node is measured: more than three times as long as from sample to sample."""

UNMEASURED_S = 30.0
"""So long a node must go unmeasured while others are not: on a busy machine some answer late."""

SAMPLES = 3
"""So often the node, or another one, must have been measured in that time."""

Times = Mapping[str, tuple[float, ...]]
"""Node -> when it was measured."""


def missing(events: Sequence[Event], done: Handlings, ended: Endings, limits: Limits) -> Iterator[Finding]:
    """Each daemon that stays away from where it was, and each node of which nobody knows how it fared."""
    samples = [event for event in events if isinstance(event, Measured)]
    times = {node: _times(samples, node) for node in dict.fromkeys(sample.node for sample in samples)}
    yield from _daemons_away(samples, times, done, ended, limits)
    yield from _never_measured(events, times)
    yield from _measured_no_more(times, done, limits)


def _times(samples: Sequence[Measured], node: str) -> tuple[float, ...]:
    return tuple(sorted({sample.at_s for sample in samples if sample.node == node}))


def _daemons_away(
    samples: Sequence[Measured], times: Times, done: Handlings, ended: Endings, limits: Limits
) -> Iterator[Finding]:
    """Those of which the answers of their node tell nothing any more, since nothing was done to it."""
    last_s = {(sample.node, sample.daemon): sample.at_s for sample in samples}
    for (node, daemon), at_s in sorted(last_s.items()):
        later = _since(max(at_s, done.last_s(node, daemon) + limits.settle_s), times[node])
        end = End(node, daemon, at_s, next((later_s for later_s in times[node] if later_s > at_s), at_s))
        if len(later) <= SAMPLES or later[-1] - later[0] < AWAY_S or ended.asked_for(end):
            continue
        what = f"{daemon} on {node} was measured for the last time, and {node} {len(later) - 1} times after that"
        text = f"+{at_s:.3f} s: {what}: it ended by itself, and stays away"
        yield Finding(text, at_s, (node,), certain=True).doubted(ended.doubt(end))


def _since(since_s: float, times: Sequence[float]) -> list[float]:
    """That time, and all later ones."""
    return [since_s, *(at_s for at_s in times if at_s > since_s)]


def _never_measured(events: Sequence[Event], times: Times) -> Iterator[Finding]:
    faults = (event for event in events if isinstance(event, FaultBegan))
    touched = {node for fault in faults for node in fault.nodes}
    gone = {event.node for event in events if isinstance(event, Gone)}
    for node in beginning(events).nodes:
        if node not in times and node not in touched | gone:
            finding = Finding(f"how the daemons of {node} fared", events[-1].at_s, (node,))
            yield finding.doubted("nobody measured them")


def _measured_no_more(times: Times, done: Handlings, limits: Limits) -> Iterator[Finding]:
    """Those that nobody measured any more while another went on being measured."""
    for node, own in times.items():
        since_s = max(own[-1], done.last_s(node) + limits.settle_s)
        longest = max((_since(since_s, other) for other in times.values()), key=lambda later: (later[-1], len(later)))
        if len(longest) > SAMPLES and longest[-1] - since_s >= UNMEASURED_S:
            finding = Finding(f"how the daemons of {node} fared after +{own[-1]:.3f} s", longest[-1], (node,))
            yield finding.doubted("nobody measured them any more")
