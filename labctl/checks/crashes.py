"""Daemons and nodes that ended by themselves. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from labctl.checks.endings import CRASHES, End, endings
from labctl.checks.expected import Replay
from labctl.checks.fault_reach import Reach
from labctl.checks.finding import Finding, Limits
from labctl.corosync import daemon
from labctl.history.events import BY_ITSELF, Back, Core, Did, Event, Gone, Healed, Line, beginning
from labctl.history.process_events import Measured

FRAMES = 8
"""How many frames of a backtrace are quoted: those around the fault."""


def measured(events: Sequence[Event]) -> bool:
    """Whether the daemons of the run were measured, so that `healthy` judges them."""
    return any(isinstance(event, Measured) for event in events)


def find_crashes(events: Sequence[Event], limits: Limits) -> list[Finding]:
    """A finding for each daemon, or node, that ended by itself, with what is kept of its memory."""
    asterisks = [_with_core(finding, events, "asterisk") for finding in _asterisk_crashes(events, limits)]
    corosyncs = [_with_core(finding, events, "corosync") for finding in corosync_crashes(events, limits)]
    return [*asterisks, *corosyncs]


def _with_core(finding: Finding, events: Sequence[Event], name: str) -> Finding:
    """The finding with where the daemon was: of several crashes on a node the last has left its core."""
    cores = [event for event in events if isinstance(event, Core) and (event.node,) == finding.nodes]
    core = next((core for core in cores if core.daemon == name), None)
    if core is None:
        return finding
    kept = [f"it is in {' and '.join(core.files)}"] if core.files else []
    return replace(finding, quotes=(*finding.quotes, *core.frames[:FRAMES], *kept))


def _asterisk_crashes(events: Sequence[Event], limits: Limits) -> Iterator[Finding]:
    """An Asterisk that ends though nothing was done to it is no disagreement of the nodes: it is told here."""
    ended = endings(events, limits.settle_s)
    for event in events:
        if isinstance(event, Gone) and event.what == BY_ITSELF:
            daemon = "" if event.whole else "asterisk"
            end = End(event.node, daemon, event.at_s, event.at_s, event.how in CRASHES)
            what = f"{event.node} ended" if event.whole else f"Asterisk on {event.node} ended"
            text = f"+{event.at_s:.3f} s: {what} by itself{f' ({event.how})' if event.how else ''}"
            if not ended.asked_for(end):
                yield Finding(text, event.at_s, (event.node,), certain=True).doubted(ended.doubt(end))


def corosync_crashes(events: Sequence[Event], limits: Limits) -> list[Finding]:
    """A Corosync that starts though nothing had ended it has ended by itself: its supervisor brings it back."""
    ended = endings(events, limits.settle_s)
    findings: list[Finding] = []
    for line in _corosync_starts(events, limits):
        end = End(line.node, "corosync", line.at_s, line.at_s)
        text = f"+{line.at_s:.3f} s: Corosync on {line.node} ended by itself, and was started again"
        if not ended.asked_for(end):
            finding = Finding(text, line.at_s, (line.node,), (line.text,), certain=True)
            findings.append(finding.doubted(ended.doubt(end)))
    return findings


def _corosync_starts(events: Sequence[Event], limits: Limits) -> Iterator[Line]:
    """The lines of each start that no fault explains."""
    replay = Replay(beginning(events))
    begins_s = min((event.began_s for event in events if isinstance(event, Did)), default=0.0)
    excused_s: dict[str, float] = {}
    lines: set[tuple[str, str]] = set()  # a log that is followed anew may say its last once more
    for event in events:
        before = replay.faults.get(event.fault) if isinstance(event, Healed) else None
        back = {event.node} & replay.ringless if isinstance(event, Back) else set()
        replay.take(event)
        excused_s |= dict.fromkeys(_without_corosync(replay, before) | back, event.at_s)
        if isinstance(event, Line) and daemon.starts(event.text) and event.at_s >= begins_s:
            lately = event.at_s <= excused_s.get(event.node, float("-inf")) + limits.settle_s
            if not lately and (event.node, event.text) not in lines:
                yield event
            lines.add((event.node, event.text))


def _without_corosync(replay: Replay, healed: Reach | None) -> set[str]:
    """The nodes whose Corosync a fault ends, or has until now."""
    faults = [*replay.faults.values(), *([healed] if healed else [])]
    ended = {node for fault in faults for node in (fault.nodes if fault.of_corosync else fault.absent)}
    return ended | replay.ended
