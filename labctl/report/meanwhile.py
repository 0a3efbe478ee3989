"""What happened in a run beside SIP, as lines across its ladders: faults, steps, states, rings. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from labctl.history.events import NOT_STARTED, Back, Did, Event, Gone, Ring, Seen
from labctl.report.ladder import Across
from labctl.report.timeline import faults

TOGETHER_S = 0.5
"""Within which nodes that tell the same of one thing are told of in one line."""


def lines(events: Sequence[Event]) -> list[Across]:
    """All that may stand across a ladder, in order, on the history's clock."""
    ordered = sorted(events, key=lambda event: event.at_s)
    found = [*_faults(ordered), *_steps(ordered), *_gone(ordered), *_told(_states(ordered)), *_told(_rings(ordered))]
    return sorted(found, key=lambda line: line.at_s)


def _faults(events: Sequence[Event]) -> Iterator[Across]:
    for span in faults(events, math.inf):
        yield Across(span.begin_s, f"{span.text} begins", "fault", until_s=span.end_s)
        if span.end_s < math.inf:
            yield Across(span.end_s, f"{span.text} is over", "fault")


def _steps(events: Iterable[Event]) -> Iterator[Across]:
    for event in events:
        if isinstance(event, Did):
            yield Across(event.began_s, f"step {event.step}: {event.what}", "step")
            if event.error:
                yield Across(event.at_s, f"step {event.step} failed: {event.error}", "fault")


def _gone(events: Iterable[Event]) -> Iterator[Across]:
    for event in events:
        if isinstance(event, Gone):
            gone = f"gone: {event.what}{f', {event.how}' if event.how else ''}"
            text = f"{event.node} is {event.what if event.what == NOT_STARTED else gone}"
            yield Across(event.at_s, text, "fault")
        if isinstance(event, Back):
            yield Across(event.at_s, f"{event.node} is back", "fault")


_Word = tuple[float, str, str, str]
"""When which node told what of which extension; of "" where it is of all."""


def _states(events: Iterable[Event]) -> Iterator[_Word]:
    for event in events:
        if isinstance(event, Seen):
            yield event.at_s, event.node, f"{event.extension} is {event.state}", event.extension


def _rings(events: Iterable[Event]) -> Iterator[_Word]:
    before: dict[str, Ring] = {}
    for event in events:
        if isinstance(event, Ring):
            last = before.get(event.node)
            before[event.node] = event
            if last and (set(last.members), last.quorate) != (set(event.members), event.quorate):
                quorum = "" if event.quorate else ", without quorum"
                yield event.at_s, event.node, f"the ring is {', '.join(sorted(event.members))}{quorum}", ""


def _told(words: Iterable[_Word]) -> Iterator[Across]:
    """Nodes that tell the same, one after the other, as one: `102 is InUse: n2, n1 +3 ms, n3 +4 ms`."""
    open_words: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for at_s, node, text, about in words:
        key = (text, about)
        tellers = open_words.get(key, [])
        if tellers and (at_s - tellers[0][0] > TOGETHER_S or node in {teller for _, teller in tellers}):
            yield _line(text, about, tellers)
            tellers = []
        open_words[key] = [*tellers, (at_s, node)]
    for (text, about), tellers in open_words.items():
        yield _line(text, about, tellers)


def _line(text: str, about: str, tellers: Sequence[tuple[float, str]]) -> Across:
    first_s = tellers[0][0]
    later = [f"{node} +{(at_s - first_s) * 1000:.0f} ms" for at_s, node in tellers[1:]]
    return Across(first_s, f"{text}: {', '.join([tellers[0][1], *later])}", "state", about=about)
