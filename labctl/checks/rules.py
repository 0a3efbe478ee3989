"""Verdicts: pure functions of a recorded history, one a rule.

What a node says wrongly in a look is told by one check alone: by no_ghosts if a departed node's word explains it, else
by agreement if the connected nodes differ, else by truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from labctl.checks.expected import Group, Replay, groups
from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.propagation import changes
from labctl.checks.remote import remote_state, routes
from labctl.history.events import Called, Did, Ended, Event, Gone, Heard, Line, Load, Looked, Over, Seen, beginning

QUOTES = 6
_TELLING = ("CPG mcast failed", "Sending ")


Check = Callable[[Sequence[Event], Limits], Verdict]


def judge(events: Sequence[Event], limits: Limits) -> tuple[Verdict, ...]:
    """What every check says. Events need not be in order: several threads wrote them."""
    ordered = sorted(events, key=lambda event: event.at_s)
    return tuple(check(ordered, limits) for check in CHECKS.values())


# What the nodes say in a look


@dataclass(frozen=True)
class _Wrong:
    """What a group says wrongly of an extension in a look, and by which rule."""

    rule: str
    finding: Finding


def agreement(events: Sequence[Event], _limits: Limits) -> Verdict:
    """When all is quiet, all connected nodes say the same of every extension."""
    return _of_looks("agreement", events)


def truth(events: Sequence[Event], _limits: Limits) -> Verdict:
    """Where they agree, it is the aggregate of what those among them that live said last."""
    return _of_looks("truth", events)


def no_ghosts(events: Sequence[Event], _limits: Limits) -> Verdict:
    """Nobody goes on telling what only a member that left has said."""
    return _of_looks("no_ghosts", events)


def _of_looks(rule: str, events: Sequence[Event]) -> Verdict:
    looks = sum(isinstance(event, Looked) for event in events)
    return verdict(rule, [each.finding for each in _wrongs(events) if each.rule == rule], looks, {"looks": looks})


def _wrongs(events: Sequence[Event]) -> Iterator[_Wrong]:
    replay = Replay(beginning(events))
    lines: list[Line] = []
    for event in events:
        replay.take(event)
        if isinstance(event, Line):
            lines.append(event)
        if isinstance(event, Looked):
            for group in groups(event):
                for extension, device in replay.began.extensions.items():
                    yield from _wrong(event, group, extension, device, replay, lines)
            lines = []


def _wrong(
    looked: Looked, group: Group, extension: str, device: str, replay: Replay, lines: Sequence[Line]
) -> Iterator[_Wrong]:
    said = {node: looked.states[node][extension] for node in group if extension in looked.states[node]}
    right, ghosts = replay.right(device, group), replay.ghosts(device, group)
    wrong = {node: state for node, state in said.items() if state not in right}
    differ = len(set(said.values())) > 1
    if not wrong and not differ:
        return
    should = " or ".join(sorted(right))
    quotes = _quotes(lines, group)
    told = ", ".join(f"{state} on {node}" for node, state in said.items())
    where = f"+{looked.at_s:.3f} s: {extension} ({device})"
    if wrong and all(state in ghosts for state in wrong.values()):
        speakers = ", ".join(
            f"{node} said {', then '.join(words)}"
            for node, words in replay.lately[device].items()
            if node not in group or node in replay.gone
        )
        text = f"{where} is still {_told(wrong)}, though only who left has said so ({speakers}); right is {should}"
        yield _Wrong("no_ghosts", Finding(text, looked.at_s, tuple(wrong), quotes))
    elif differ:
        yield _Wrong("agreement", Finding(f"{where} is {told}; right is {should}", looked.at_s, tuple(said), quotes))
    else:
        nodes = (
            ", ".join(f"{node} said {state}" for node, state in replay.said.get(device, {}).items()) or "nobody spoke"
        )
        text = f"{where} is {told}, but should be {should}: {nodes}"
        yield _Wrong("truth", Finding(text, looked.at_s, tuple(wrong), quotes))


def _told(said: Mapping[str, str]) -> str:
    return ", ".join(f"{state} on {node}" for node, state in said.items())


def _quotes(lines: Sequence[Line], group: Group) -> tuple[str, ...]:
    """The log lines of the group since the last look, those first that tell of states that were sent or lost."""
    mine = [line for line in lines if line.node in group]
    telling = [line for word in _TELLING for line in mine if word in line.text]
    ordered = dict.fromkeys(f"{line.node}: {line.text}" for line in [*telling, *mine])
    return tuple(ordered)[:QUOTES]


def views(events: Sequence[Event], _limits: Limits) -> Verdict:
    """What a node tells by the manager interface, asked or unasked, is what `asterisk -rx` there says."""
    findings: list[Finding] = []
    judged = 0
    told: dict[str, dict[str, str]] = {}
    for event in events:
        if isinstance(event, Seen):
            told.setdefault(event.node, {})[event.extension] = event.state
        elif isinstance(event, Gone):  # what it told before it went stands no longer
            told.pop(event.node, None)
        elif isinstance(event, Looked):
            for node, hints in event.hints.items():
                ways = (("says", event.states.get(node, {})), ("told last that", told.get(node, {})))
                for way, states in ways:
                    judged += len(states.keys() & hints.keys())
                    findings += _contradictions(event.at_s, node, way, states, hints)
    return verdict("views", findings, judged, {"compared": judged})


def _contradictions(
    at_s: float, node: str, way: str, states: Mapping[str, str], hints: Mapping[str, str]
) -> Iterator[Finding]:
    for extension in states.keys() & hints.keys():
        if states[extension] != hints[extension]:
            text = f"{node} {way} {extension} is {states[extension]}, but `asterisk -rx` there {hints[extension]}"
            yield Finding(f"+{at_s:.3f} s: {text}", at_s, (node,))


def lamps(events: Sequence[Event], _limits: Limits) -> Verdict:
    """A phone was told of as many messages as its mailbox holds, if its node hears the one that keeps it."""
    began = beginning(events)
    homes = {device.partition("/")[2]: node for device, node in began.homes.items()}
    findings: list[Finding] = []
    judged = 0
    for look in (event for event in events if isinstance(event, Looked)):
        connected = groups(look)
        for phone, told in look.lamps.items():
            mailbox = began.lamps.get(phone, "")
            pair = {homes.get(phone, ""), began.mailboxes.get(mailbox, "")}
            if mailbox not in look.kept or not any(pair <= set(group) for group in connected):
                continue
            judged += 1
            kept = look.kept[mailbox]
            if tuple(told) != tuple(kept):
                text = (
                    f"+{look.at_s:.3f} s: {phone} was told of {told[0]} new and {told[1]} old messages, "
                    f"but mailbox {mailbox} on {began.mailboxes[mailbox]} holds {kept[0]} and {kept[1]}"
                )
                findings.append(Finding(text, look.at_s, tuple(sorted(pair))))
    return verdict("lamps", findings, judged, {"compared": judged})


# What was done


def course(events: Sequence[Event], _limits: Limits) -> Verdict:
    """Every step went as it should, and the run came to its end."""
    steps = [event for event in events if isinstance(event, Did)]
    errors = [(each.began_s, f"{each.what}: {each.error}") for each in steps if each.error]
    over = [event for event in events if isinstance(event, Over)]
    if not over:
        errors.append((events[-1].at_s, "the run did not come to its end"))
    elif over[0].error and not errors:
        errors.append((over[0].at_s, over[0].error))
    findings = tuple(Finding(f"+{at_s:.3f} s: {text}", at_s) for at_s, text in errors)
    if over and over[0].error.startswith("unknown: "):
        return Verdict("course", "unknown", findings or (Finding(over[0].error, over[0].at_s),))
    return verdict("course", findings, len(steps), {"steps": len(steps)})


def calls(events: Sequence[Event], _limits: Limits) -> Verdict:
    """No call is lost and both hear each other, but for those that a fault was in the way of while they lasted."""
    findings: list[Finding] = []
    over = any(isinstance(event, Over) for event in events)
    spared = 0
    for call in (event for event in events if isinstance(event, Called)):
        end = next((event for event in events if isinstance(event, Ended) and event.call == call.call), None)
        touched = _touched(events, call.nodes, call.at_s, end.at_s if end else events[-1].at_s)
        if touched or (end is None and not over):  # a history that was cut off tells of no end
            spared += 1
        else:
            findings += _of_call(call, end, events)
    loads = [event for event in events if isinstance(event, Load)]
    for load in (each for each in loads if not each.saturated and (each.failed or each.done < each.asked)):
        if _touched(events, load.nodes, load.began_s, load.at_s):
            spared += 1
        else:
            text = f"+{load.at_s:.3f} s: {load.what}: {load.failed} failed, {load.done} of {load.asked} done"
            findings.append(Finding(text, load.at_s, load.nodes))
    judged = sum(isinstance(event, Called | Load) for event in events) - spared
    figures = {"judged": judged, "spared": spared}
    unknown = tuple(_saturation(load) for load in loads if load.saturated)
    if unknown and not findings:
        return Verdict("calls", "unknown", unknown, figures)
    return verdict("calls", findings, judged, figures)


def _of_call(call: Called, end: Ended | None, events: Sequence[Event]) -> Iterator[Finding]:
    through = f"{call.caller} to {call.callee} through {', '.join(call.nodes)}"
    if end is None:
        yield Finding(f"+{call.at_s:.3f} s: the call {through} never ended", call.at_s, call.nodes)
    elif not end.ok:
        yield Finding(f"+{call.at_s:.3f} s: the call {through} failed: {end.why}", call.at_s, call.nodes)
    for each in (each for each in events if isinstance(each, Heard) and each.call == call.call):
        if each.packets < each.wanted:
            text = f"{each.phone} heard {each.packets} of {each.wanted} packets in the call {through}"
            yield Finding(f"+{each.at_s:.3f} s: {text}", each.at_s, call.nodes)


def _saturation(load: Load) -> Finding:
    rates = f"{load.rate:.1f}/s of {load.rate_asked:g}/s"
    return Finding(f"+{load.at_s:.3f} s: {load.what}: the generator could not keep up, {rates}", load.at_s)


def _touched(events: Sequence[Event], nodes: Sequence[str], since_s: float, until_s: float) -> bool:
    """Whether a fault could have broken a call through the nodes at any time from then until then."""
    replay = Replay(beginning(events))
    broken = False
    for event in events:
        if event.at_s > since_s and broken:
            return True
        if event.at_s > until_s:
            return False
        replay.take(event)
        broken = replay.breaks_calls(nodes)
    return False


# How fast, and how straight


def bounded_delay(events: Sequence[Event], limits: Limits) -> Verdict:
    """While nothing is broken, every change reaches every node in time."""
    heard = any(isinstance(event, Seen) for event in events)
    findings: list[Finding] = []
    delays: dict[str, list[float]] = {node: [] for node in beginning(events).nodes if heard}
    found = changes(events, limits)
    for change in found:
        judged_s = change.until_s - change.said.at_s
        for node, mine in ((node, delays[node]) for node in change.nodes if heard):
            told_s = change.told_s.get(node)
            delay_ms = None if told_s is None else max(0.0, (told_s - change.said.at_s) * 1000)
            if delay_ms is not None:
                mine.append(delay_ms)
            if (delay_ms is None and judged_s * 1000 > limits.delay_ms) or (delay_ms or 0) > limits.delay_ms:
                late = "not at all" if delay_ms is None else f"after {delay_ms:.0f} ms"
                text = (
                    f"+{change.said.at_s:.3f} s: {node} told {late} that {change.extension} is {change.new}, "
                    f"as {change.said.node} said; {limits.delay_ms:g} ms is the bound"
                )
                findings.append(Finding(text, change.said.at_s, (node,)))
    every = sorted(delay for mine in delays.values() for delay in mine)
    figures = (
        {"p50_ms": _share(every, 0.5), "p99_ms": _share(every, 0.99), "max_ms": round(every[-1], 2)} if every else {}
    )
    figures |= {f"max_ms {node}": round(max(mine), 2) for node, mine in delays.items() if mine}
    return verdict("bounded_delay", findings, len(every) + len(findings), {"changes": len(every), **figures})


def _share(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


def no_flapping(events: Sequence[Event], limits: Limits) -> Verdict:
    """A node that has told of a new state does not go back without anybody having said so."""
    found = changes(events, limits) if any(isinstance(event, Seen) for event in events) else []
    findings = [
        Finding(
            f"+{seen.at_s:.3f} s: {seen.node} told {seen.extension} {seen.state} after it had told {change.new}, "
            f"and nobody had said so since {change.said.node} did at +{change.said.at_s:.3f} s",
            seen.at_s,
            (seen.node,),
        )
        for change in found
        for seen in change.flaps
    ]
    return verdict("no_flapping", findings, len(found), {"changes": len(found)})


CHECKS: Mapping[str, Check] = {
    "agreement": agreement,
    "truth": truth,
    "no_ghosts": no_ghosts,
    "bounded_delay": bounded_delay,
    "no_flapping": no_flapping,
    "lamps": lamps,
    "calls": calls,
    "routes": routes,
    "remote_state": remote_state,
    "views": views,
    "course": course,
}
