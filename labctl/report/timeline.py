"""A run as a picture would have it: lanes with what held from when to when, faults, steps, the moment of failure. Pure.

Times are seconds of the history. A state that nobody has told of yet is not drawn: what is not known is left blank.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from labctl.checks.finding import Finding, Limits
from labctl.checks.judgement import Result
from labctl.checks.propagation import changes
from labctl.checks.reading import as_read
from labctl.history.events import Did, Disturbed, Event, FaultBegan, Healed, Line, Looked, beginning
from labctl.report.divergence import wrong_since
from labctl.report.ladder import Ladder
from labctl.report.lane_recorder import LaneKind, LaneRecorder, TimeSpan

Kind = TypeVar("Kind")

WRONG_STANDINGS = ("failed", "known")
"""Of what the picture marks the beginning: what could not be judged says nothing about when it began."""


@dataclass(frozen=True)
class Mark:
    """Something that happened at one moment; `node` is "" where it was all of the lab."""

    at_s: float
    text: str
    node: str = ""


@dataclass(frozen=True)
class Lane:
    """What one speaker said of one thing: a node of an extension, a phone of its calls, a node of its ring."""

    kind: LaneKind
    speaker: str
    subject: str
    spans: tuple[TimeSpan, ...]

    @property
    def wrong(self) -> bool:
        """Whether something in it is what failed."""
        return any(span.wrong for span in self.spans)

    @property
    def still(self) -> bool:
        """Whether nothing changed in it, and nothing was wrong: it was one state, or none, to the end."""
        return self.kind != "ring" and not self.wrong and len(self.spans) <= 1


@dataclass(frozen=True)
class Delay:
    """How long after a change a node other than that which made it told of the new state."""

    at_s: float
    origin: str
    node: str
    extension: str
    state: str
    delay_ms: float


@dataclass(frozen=True)
class SipMark:
    """A SIP message: in which of the run's ladders, who sent it to whom, and what it is in a line."""

    at_s: float
    ladder: int
    source: str
    target: str
    text: str


@dataclass(frozen=True)
class Timeline:
    """All of a run, from when there is something to see.

    `wrong_s`: when it began to be wrong, and `wrong` what; None and "" where nothing failed.
    """

    begin_s: float
    end_s: float
    lanes: tuple[Lane, ...]
    steps: tuple[TimeSpan, ...]
    faults: tuple[TimeSpan, ...]
    disturbances: tuple[TimeSpan, ...]
    logs: tuple[Mark, ...]
    looks: tuple[Mark, ...]
    delays: tuple[Delay, ...]
    wrong_s: float | None
    wrong: str
    messages: tuple[SipMark, ...] = ()


def draw(events: Sequence[Event], result: Result, ladders: Sequence[Ladder] = ()) -> Timeline:
    """The timeline of a history, with what was found wrong in it, and the messages of the run's ladders.

    Raises ValueError for a history without a beginning.
    """
    ordered = as_read(events)
    began = beginning(ordered)
    end_s = max([began.at_s, *(event.at_s for event in ordered)])
    findings = [*wrong_findings(result)]
    first = min(findings, key=lambda finding: wrong_since(finding, ordered), default=None)
    lanes = tuple(_marked(lane, findings) for lane in _lanes(ordered, end_s))
    return Timeline(
        _first_s(ordered, lanes, end_s),
        end_s,
        lanes,
        tuple(TimeSpan(step.began_s, step.at_s, _step(step), "step", bool(step.error)) for step in _of(ordered, Did)),
        tuple(faults(ordered, end_s)),
        tuple(
            TimeSpan(event.at_s, max(event.at_s, event.until_s), event.what, "disturbed")
            for event in _of(ordered, Disturbed)
        ),
        tuple(Mark(line.at_s, line.text, line.node) for line in _of(ordered, Line)),
        tuple(Mark(look.at_s, "everything was looked at") for look in _of(ordered, Looked)),
        tuple(_delays(ordered)),
        wrong_since(first, ordered) if first else None,
        first.text if first else "",
        tuple(sorted(_messages(ladders), key=lambda message: message.at_s)),
    )


def wrong_findings(result: Result) -> Iterator[Finding]:
    """What was found wrong in a run, known or not; without what could not be judged."""
    for judged in result.judged:
        if judged.standing in WRONG_STANDINGS:
            yield from (finding for finding in judged.verdict.findings if not finding.doubt)


def _messages(ladders: Iterable[Ladder]) -> Iterator[SipMark]:
    for ladder in ladders:
        for arrow in ladder.arrows:
            source, target = ladder.columns[arrow.source], ladder.columns[arrow.target]
            yield SipMark(arrow.at_s, ladder.number, source, target, arrow.label)


def _of(events: Iterable[Event], kind: type[Kind]) -> Iterator[Kind]:
    return (event for event in events if isinstance(event, kind))


def _first_s(events: Sequence[Event], lanes: Sequence[Lane], end_s: float) -> float:
    """When there is first something to see, in round seconds: connecting to a lab takes a while before that."""
    steps_s = (event.began_s if isinstance(event, Did) else event.at_s for event in events if _is_drawn(event))
    spans_s = (span.begin_s for lane in lanes for span in lane.spans)
    return float(math.floor(min([*steps_s, *spans_s], default=end_s)))


def _is_drawn(event: Event) -> bool:
    return isinstance(event, Did | FaultBegan | Disturbed)


def _step(step: Did) -> str:
    return f"{step.step} {step.what}" + (f": {step.error}" if step.error else "")


def faults(events: Sequence[Event], end_s: float) -> Iterator[TimeSpan]:
    """From when to when each fault was in force; to the end where nothing says that it was undone."""
    for index, event in enumerate(events):
        if isinstance(event, FaultBegan):
            healed_s = (later.at_s for later in _of(events[index:], Healed) if later.fault == event.fault)
            yield TimeSpan(event.at_s, next(healed_s, end_s), event.what, "fault")


def _lanes(events: Sequence[Event], end_s: float) -> Iterator[Lane]:
    recorder = LaneRecorder()
    for event in events:
        recorder.take(event)
    for (kind, speaker, subject), spans in recorder.finish(end_s).items():
        yield Lane(kind, speaker, subject, tuple(spans))


def _marked(lane: Lane, findings: Sequence[Finding]) -> Lane:
    """The lane with those of its states marked that a finding is of: of its extension, on its node, at its time."""
    if lane.kind != "state":
        return lane
    of_lane = (finding for finding in findings if finding.extension == lane.subject and lane.speaker in finding.nodes)
    times_s = sorted(finding.at_s for finding in of_lane)

    def is_wrong(span: TimeSpan) -> bool:
        first = bisect_left(times_s, span.begin_s)
        return first < len(times_s) and times_s[first] <= span.end_s

    spans = (replace(span, wrong=True) if is_wrong(span) else span for span in lane.spans)
    return replace(lane, spans=tuple(spans)) if times_s else lane


def _delays(events: Sequence[Event]) -> Iterator[Delay]:
    """Of each change while nothing was broken: when each other node told of it."""
    for change in changes(events, Limits()).judged:
        for node, told_s in change.told_s.items():
            if node != change.word.node:
                delay_ms = max(0.0, (told_s - change.word.at_s) * 1000)
                yield Delay(change.word.at_s, change.word.node, node, change.extension, change.new, delay_ms)
