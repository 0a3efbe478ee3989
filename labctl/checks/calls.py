"""Are calls put through, and do both ends hear? Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from labctl.checks.expected import Replay
from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.rule import check
from labctl.checks.time_outs import NO_ANSWER, is_time_out
from labctl.history.events import (
    Back,
    Began,
    Called,
    Did,
    Ended,
    Event,
    FaultBegan,
    Gone,
    Healed,
    Heard,
    Load,
    Over,
    beginning,
)


@check(place=70)
def calls(events: Sequence[Event], _limits: Limits) -> Verdict:
    """No call is lost and both hear each other, but for what a fault was in the way of: a call while it lasted, and
    what was heard in it until then."""
    findings: list[Finding] = []
    judged, spared = 0, 0
    breaks, heard_in = _breaks(events), _heard_in(events)
    over = any(isinstance(event, Over) for event in events)
    ends = _ends(events)
    for call in (event for event in events if isinstance(event, Called)):
        end = ends.get(call.call)
        cut_off = end is None and not over  # such a history tells of no end
        heard = heard_in.get(call.call, [])
        if cut_off or _in_the_way(breaks, call.nodes, call.at_s, end.at_s if end else events[-1].at_s):
            spared += 1
            heard = [event for event in heard if not _in_the_way(breaks, call.nodes, call.at_s, event.at_s)]
            judged += bool(heard)
        else:
            judged += 1
            findings += _of_end(call, end, events[-1].at_s, _beyond(call, beginning(events)))
        findings += _of_hearing(call, heard)
    findings += [*_of_no_call(events), *_uncounted(events, ends)]
    for load in (event for event in events if isinstance(event, Load)):
        broken = load.failed or load.done < load.asked
        if load.saturated or not load.asked:
            findings.append(_saturation(load) if load.saturated else _idle(load))
        elif broken and _in_the_way(breaks, load.nodes, load.began_s, load.at_s):
            spared += 1
        else:
            judged += 1
            findings += [_of_load(load)] if broken else []
    remark = f"{spared} not judged: a fault was in the way, or the history ends before they do" if spared else ""
    return verdict("calls", findings, judged, {"judged": judged, "spared": spared}, remark)


def _ends(events: Sequence[Event]) -> dict[str, Ended]:
    """How each call ended: if it did so more than once, the first end that was not as its phones wanted."""
    ends: dict[str, Ended] = {}
    for event in events:
        if isinstance(event, Ended) and (event.call not in ends or (ends[event.call].ok and not event.ok)):
            ends[event.call] = event
    return ends


def _heard_in(events: Sequence[Event]) -> dict[str, list[Heard]]:
    """Call -> what was heard in it."""
    heard: dict[str, list[Heard]] = {}
    for event in events:
        if isinstance(event, Heard):
            heard.setdefault(event.call, []).append(event)
    return heard


def _of_no_call(events: Sequence[Event]) -> Iterator[Finding]:
    """What was heard, or was not, in a call of which the history does not tell that it began."""
    known = {event.call for event in events if isinstance(event, Called)}
    for event in events:
        if isinstance(event, Heard) and event.call and event.call not in known:
            text = f"+{event.at_s:.3f} s: {event.phone} heard {event.packets} of {event.wanted} packets"
            yield Finding(text, event.at_s, doubt="the history does not tell of that call")


def _uncounted(events: Sequence[Event], ends: Mapping[str, Ended]) -> Iterator[Finding]:
    """Who was to hear something in a call by a step that ended well, and of whom nobody counted what it heard."""
    began = beginning(events)
    all_calls = [event for event in events if isinstance(event, Called)]
    all_heard = [event for event in events if isinstance(event, Heard)]
    for step in (event for event in events if isinstance(event, Did)):
        if step.error or not step.what.startswith("talk "):
            continue
        counted = {event.phone for event in all_heard if step.began_s <= event.at_s <= step.at_s}
        phones = {*re.findall(r"[^\s,=]+", step.what)} - counted
        for call in all_calls:
            over = call.call in ends and ends[call.call].at_s < step.began_s
            called = began.extensions.get(call.callee, "").rpartition("/")[2]
            deaf = {call.caller, call.callee, called} & phones
            for phone in sorted(deaf) if call.at_s <= step.at_s and not over else ():
                finding = Finding(f"+{step.at_s:.3f} s: {phone} talked in {_through(call)}", step.at_s, call.nodes)
                yield finding.doubted("nobody counted what was heard")


def _idle(load: Load) -> Finding:
    return Finding(f"+{load.at_s:.3f} s: {load.what}: it asked for nothing", load.at_s, doubt="it judges nobody")


def _through(call: Called) -> str:
    return f"the call {call.caller} to {call.callee} through {', '.join(call.nodes)}"


def _beyond(call: Called, began: Began) -> tuple[str, ...]:
    """The nodes that a call may go through besides those that are told: any, where it is to no phone or mailbox."""
    known = began.is_mailbox(call.callee) or began.device(call.callee) or began.home(call.callee)
    return () if known else began.nodes


def _of_end(call: Called, end: Ended | None, last_s: float, beyond: tuple[str, ...]) -> Iterator[Finding]:
    if end and end.ok:
        return
    how = f"failed: {end.why}" if end else "never ended"
    text, at_s = f"+{call.at_s:.3f} s: {_through(call)} {how}", end.at_s if end else last_s
    finding = Finding(text, at_s, call.nodes, extension=call.callee, since_s=call.at_s, by_phones=True)
    yield replace(finding, late=end is not None and is_time_out(end.why), through=beyond)


def _of_hearing(call: Called, all_heard: Sequence[Heard]) -> Iterator[Finding]:
    for heard in all_heard:
        if heard.packets >= heard.wanted > 0:
            continue
        packets = f"{heard.packets} of {heard.wanted} packets"
        text = f"+{heard.at_s:.3f} s: {heard.phone} heard {packets} in {_through(call)}"
        finding = Finding(text, heard.at_s, call.nodes, extension=call.callee, since_s=call.at_s, by_phones=True)
        doubt = "that is no count of packets" if heard.packets < 0 else "no audio was asked for"
        yield finding.doubted(doubt) if heard.packets < 0 or heard.wanted <= 0 else finding


def _of_load(load: Load) -> Finding:
    why = ", ".join(f"{count} {cause}" for cause, count in load.causes.items())
    failed = f"{load.failed} failed{f' ({why})' if why else ''}"
    text = f"+{load.at_s:.3f} s: {load.what}: {failed}, {load.done} of {load.asked} done"
    late = bool(load.causes) and set(load.causes) <= {*NO_ANSWER}
    return Finding(text, load.at_s, load.nodes, since_s=load.began_s, by_phones=True, late=late)


def _saturation(load: Load) -> Finding:
    rates = f"{load.rate:.1f}/s of {load.rate_asked:g}/s"
    text = f"+{load.at_s:.3f} s: {load.what}: the generator could not keep up, {rates}"
    return Finding(text, load.at_s, doubt="it judges nobody")


def was_in_the_way(events: Sequence[Event], call: str, nodes: Collection[str]) -> bool:
    """Whether a fault could have broken a call through these nodes at any time since it began; of one that is not known
    since the run began."""
    began_s = (event.at_s for event in events if isinstance(event, Called) and event.call == call)
    return _in_the_way(_breaks(events), nodes, next(began_s, 0.0), float("inf"))


def _breaks(events: Sequence[Event]) -> list[Event]:
    """What tells of faults, in order."""
    return [event for event in events if isinstance(event, Began | FaultBegan | Healed | Gone | Back)]


def _in_the_way(breaks: Sequence[Event], nodes: Collection[str], since_s: float, until_s: float) -> bool:
    """Whether a fault could have broken a call through the nodes at any time from then until then."""
    replay = Replay(beginning(breaks))
    for event in breaks:
        if event.at_s > since_s and replay.breaks_calls(nodes):
            return True
        if event.at_s > until_s:
            return False
        replay.take(event)
    return replay.breaks_calls(nodes)
