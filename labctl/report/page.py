"""A run as one HTML file that needs nothing else: no network, no library, no other file. Pure, but for the files of
the run that are shown in it.

What a history holds may be a stranger's: every text is escaped, what is too long is cut, and a policy in the page lets
no script run but its own.
"""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labctl.checks.judgement import Judged, Result
from labctl.checks.registry import CHECKS
from labctl.history import story
from labctl.history.events import Event
from labctl.report.divergence import when
from labctl.report.formats import listed
from labctl.report.html import Whole, cut, fill
from labctl.report.lane_recorder import TimeSpan
from labctl.report.page_ladders import ladders_of
from labctl.report.run_files import shown_files
from labctl.report.timeline import Delay, Timeline, draw
from labctl.scenario.run_folder import SCENARIO
from labctl.scenario.run_record import RunRecord

STORY_SIZE = 500_000
"""Characters of HTML that the story may take: the page stays under 3 MB."""

BANDS, BANDS_OF_LANE, TICKS, POINTS = 2000, 400, 500, 1500
"""How many states are drawn in all and of one lane, how many log lines, and how many delays."""

LISTED_CALLS = 12
"""So many calls are listed at once; the others are folded."""

FEW_LANES = 10
"""So many are all shown; of more, those in which nothing changed are shown if asked for."""

KINDS = {
    **{"Idle": "idle", "terminated": "idle", "idle": "idle", "ring": "ring", "cut": "cut", "gone": "gone"},
    **{"Ringing": "ringing", "InUse&Ringing": "ringing", "early": "ringing", "lamp": "ringing"},
    **{"InUse": "inuse", "confirmed": "inuse", "call": "inuse", "Busy": "busy"},
    **{"Hold": "hold", "InUse&Hold": "hold", "Unavailable": "unavailable"},
    **{kind: kind for kind in ("fault", "step", "disturbed")},
}
"""How each state is coloured; what is not here is `other`."""

STANDINGS = {
    "passed": "Everything that was expected of {it} holds.",
    "failed": "{it} failed: {checks} not as expected.",
    "known": "{it} failed as it is known to: {checks} not as expected.",
    "fixed": "{it} is known to fail, but did not: {checks} as expected.",
    "unknown": "{it} could not be judged: {checks} open.",
    "error": "{it} had no lab from begin to end: {error}",
    "nothing": "In {it} nothing happened that could be judged.",
}


ROUND_S = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 600, 3600)
"""How far apart the seconds of an axis may be."""


@dataclass(frozen=True)
class Matter:
    """One check that is not simply passed, as the first screen tells of it."""

    check: str
    standing: str
    expected: str
    seen: str
    where: str
    when: str
    reason: str
    quotes: tuple[str, ...]
    more: int


@dataclass(frozen=True)
class DelayFigures:
    """How long a node took to learn of what others said."""

    node: str
    count: int
    median_ms: float
    longest_ms: float


def render(record: RunRecord, index: str = "") -> str:
    """The page of a run; `index` is the file beside it that lists it among others."""
    ladders, shown = ladders_of(record)
    timeline = draw(record.events, record.result, ladders) if record.events else None
    lines = cut("\n".join(story.tell(record.events, last=len(record.events) + 1)), STORY_SIZE)
    return fill(
        "page",
        record=record,
        result=record.result,
        began=record.began,
        sentence=sentence(record.result),
        matters=[_matter(judged, record.events) for judged in _not_passed(record.result)],
        timeline=timeline,
        lanes=_shown_lanes(timeline) if timeline else (),
        place=_Place(timeline) if timeline else None,
        figures=delay_figures(timeline.delays) if timeline else [],
        ladders=shown,
        story=Whole(lines[0]),
        story_note=lines[1],
        files=shown_files(record.folder),
        again=_again(record),
        kinds=KINDS,
        index=index,
        limits={"ticks": TICKS, "points": POINTS, "calls": LISTED_CALLS},
    )


def sentence(result: Result) -> str:
    """The verdict in a sentence."""
    names = [judged.verdict.check for judged in result.judged if judged.standing == result.standing]
    checks = f"{listed(names)} {'is' if len(names) == 1 else 'are'}"
    form = STANDINGS[result.standing] if names or result.standing == "error" else "{it} could not be judged: {error}"
    error = result.lab_error_line or result.error or "nothing was judged"
    return form.format(it=result.scenario, checks=checks, error=error)


def _again(record: RunRecord) -> str:
    """The command that runs the same again."""
    if record.sent_as:
        return f"labctl replay {shlex.quote(record.sent_as)}"
    scenario = shlex.quote(str(record.folder / SCENARIO)) if SCENARIO in record.files else record.result.scenario
    seed = record.began.seed if record.began else None
    return f"labctl run {scenario}" + (f" --seed {seed}" if seed is not None else "")


def delay_figures(delays: Sequence[Delay]) -> list[DelayFigures]:
    """The delays by the node that learned."""
    by_node: dict[str, list[float]] = {}
    for delay in delays:
        by_node.setdefault(delay.node, []).append(delay.delay_ms)
    return [
        DelayFigures(node, len(all_ms), statistics.median(all_ms), max(all_ms))
        for node, all_ms in sorted(by_node.items())
    ]


def _not_passed(result: Result) -> Iterator[Judged]:
    return (judged for judged in result.judged if judged.standing not in ("passed", "nothing"))


def _matter(judged: Judged, events: Sequence[Event]) -> Matter:
    check, findings = judged.verdict.check, judged.verdict.findings
    first = findings[0] if findings else None
    places = [*(first.nodes if first else ()), *([f"extension {first.extension}"] if first and first.extension else [])]
    return Matter(
        check,
        judged.standing,
        CHECKS[check].title if check in CHECKS else "",
        first.text if first else "",
        ", ".join(places),
        when(first, events) if first else "",
        judged.reason,
        first.quotes[:4] if first else (),
        max(0, len(findings) - 1),
    )


class _Place:
    """Where times and delays stand in the picture, in per cent."""

    def __init__(self, timeline: Timeline) -> None:
        self._begin_s = timeline.begin_s
        self._length_s = max(timeline.end_s - timeline.begin_s, 0.001)
        self.longest_ms = max((delay.delay_ms for delay in timeline.delays), default=1.0) or 1.0
        self.nodes = sorted({delay.node for delay in timeline.delays})

    def x(self, at_s: float) -> str:
        """Of a moment, from the left."""
        return f"{min(100.0, max(0.0, (at_s - self._begin_s) / self._length_s * 100)):.3f}%"

    def width(self, begin_s: float, end_s: float) -> str:
        """Of a time."""
        return f"{max(0.0, (end_s - begin_s) / self._length_s * 100):.3f}%"

    def y(self, delay_ms: float) -> str:
        """Of a delay, from above."""
        return f"{95 - delay_ms / self.longest_ms * 88:.2f}%"

    @property
    def ticks(self) -> list[float]:
        """Round seconds for the axis, ten at most."""
        step_s = next((step_s for step_s in ROUND_S if self._length_s / step_s <= 10), self._length_s / 10)
        first, end_s = int(self._begin_s / step_s) + 1, self._begin_s + self._length_s
        ticks_s = [round(number * step_s, 3) for number in range(first, first + 11)]
        return [tick_s for tick_s in ticks_s if tick_s < end_s]


@dataclass(frozen=True)
class ShownLane:
    """A lane as it is drawn: `left_out` of its states are not; `still`: it is shown only if asked for."""

    name: str
    spans: tuple[TimeSpan, ...]
    left_out: int
    wrong: bool
    still: bool


def _shown_lanes(timeline: Timeline) -> list[ShownLane]:
    """The lanes that are drawn: where there is not room for all states, those that are wrong go before."""
    room, shown = BANDS, {}
    for lane in sorted(timeline.lanes, key=lambda lane: not lane.wrong):
        count = min(room, BANDS_OF_LANE, len(lane.spans))
        room -= count
        shown[(lane.kind, lane.speaker, lane.subject)] = count
    many = len(timeline.lanes) > FEW_LANES
    return [
        ShownLane(
            f"{lane.speaker} {lane.subject}",
            lane.spans[: shown[(lane.kind, lane.speaker, lane.subject)]],
            len(lane.spans) - shown[(lane.kind, lane.speaker, lane.subject)],
            lane.wrong,
            many and lane.still,
        )
        for lane in timeline.lanes
    ]
