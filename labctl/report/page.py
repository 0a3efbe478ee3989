"""A run as one HTML file that needs nothing else: no network, no library, no other file. Pure, but for the files of
the run that are shown in it.

What a history holds may be a stranger's: every text is escaped, what is too long is cut, and a policy in the page lets
no script run but its own.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from labctl.checks.finding import Finding
from labctl.checks.judgement import Judged, Result
from labctl.checks.registry import CHECKS
from labctl.history import story
from labctl.report.timeline import Delay, Lane, Timeline, draw
from labctl.scenario.run_folder import SCENARIO
from labctl.scenario.run_record import RunRecord

LONGEST_TEXT = 600
"""Characters of any one text but files and the story."""

FILES_SIZE, FILE_SIZE, STORY_SIZE = 1_000_000, 200_000, 500_000
"""Characters of HTML that all files, one file, and the story may take: the page stays under 3 MB."""

BANDS, BANDS_OF_LANE, TICKS, POINTS = 3000, 400, 500, 1500
"""How many states are drawn in all and of one lane, how many log lines, and how many delays."""

KINDS = {
    **{"Idle": "idle", "terminated": "idle", "idle": "idle", "ring": "ring", "cut": "cut", "gone": "gone"},
    **{"Ringing": "ringing", "InUse&Ringing": "ringing", "early": "ringing", "lamp": "ringing"},
    **{"InUse": "inuse", "confirmed": "inuse", "call": "inuse", "Busy": "busy"},
    **{"Hold": "hold", "InUse&Hold": "hold", "Unavailable": "unavailable"},
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


class Whole(str):
    """A text that is not cut: its length is bounded already."""

    __slots__ = ()


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
class ShownFile:
    """A file of the run; `note` says what was left out of it."""

    name: str
    text: str
    note: str


@dataclass(frozen=True)
class DelayFigures:
    """How long a node took to learn of what others said."""

    node: str
    count: int
    median_ms: float
    longest_ms: float


def render(record: RunRecord) -> str:
    """The page of a run."""
    timeline = draw(record.events, record.result) if record.events else None
    lines = cut("\n".join(story.tell(record.events, last=len(record.events) + 1)), STORY_SIZE)
    templates = _environment()
    style, script = (_source(templates, name) for name in ("page.css", "page.js"))
    return templates.get_template("page.html.j2").render(
        record=record,
        result=record.result,
        began=record.began,
        sentence=sentence(record.result),
        matters=[_matter(judged) for judged in _not_passed(record.result)],
        timeline=timeline,
        lanes=_shown_lanes(timeline) if timeline else (),
        place=_Place(timeline) if timeline else None,
        figures=delay_figures(timeline.delays) if timeline else [],
        story=Whole(lines[0]),
        story_note=lines[1],
        files=list(_files(record.folder, record.files)),
        again=_again(record),
        style=Markup(style),  # noqa: S704 - labctl's own text
        script=Markup(script),  # noqa: S704 - labctl's own text
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        limits={"ticks": TICKS, "points": POINTS},
    )


def sentence(result: Result) -> str:
    """The verdict in a sentence."""
    names = [judged.verdict.check for judged in result.judged if judged.standing == result.standing]
    listed = " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
    checks = f"{listed} {'is' if len(names) == 1 else 'are'}"
    form = STANDINGS[result.standing] if names or result.standing == "error" else "{it} could not be judged: {error}"
    error = result.lab_error_line or result.error or "nothing was judged"
    return form.format(it=result.scenario, checks=checks, error=error)


def _again(record: RunRecord) -> str:
    """The command that runs the same again."""
    scenario = shlex.quote(str(record.folder / SCENARIO)) if SCENARIO in record.files else record.result.scenario
    seed = record.began.seed if record.began else None
    return f"labctl run {scenario}" + (f" --seed {seed}" if seed is not None else "")


def cut(text: str, size: int) -> tuple[str, str]:
    """A text that takes so many characters of HTML at most, its middle left out; and a note that says so."""
    if len(escape(text)) <= size:
        return text, ""
    kept = size // 10  # of each end: an escaped character takes five at most
    left_out = len(text) - 2 * kept
    if left_out <= 0:
        return text, ""
    note = f"{left_out} characters left out in the middle; all of it is in the folder of the run"
    return f"{text[:kept]}\n[… {note} …]\n{text[len(text) - kept :]}", note


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


def _matter(judged: Judged) -> Matter:
    check, findings = judged.verdict.check, judged.verdict.findings
    first = findings[0] if findings else None
    places = [*(first.nodes if first else ()), *([f"extension {first.extension}"] if first and first.extension else [])]
    return Matter(
        check,
        judged.standing,
        CHECKS[check].title if check in CHECKS else "",
        first.text if first else "",
        ", ".join(places),
        _when(first) if first else "",
        judged.reason,
        first.quotes[:4] if first else (),
        max(0, len(findings) - 1),
    )


def _when(finding: Finding) -> str:
    """When it began to be wrong, as exactly as that is known."""
    if finding.since_s is None:
        when = f"seen at {finding.at_s:.3f} s, when all was quiet"
    else:
        when = f"between {finding.since_s:.3f} s and {finding.at_s:.3f} s"
    return f"{when}, in step {finding.step}" if finding.step else when


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


def _shown_lanes(timeline: Timeline) -> list[tuple[Lane, int]]:
    """The lanes that are drawn, each with how many of its states are left out: those that are wrong go before."""
    room, shown = BANDS, {}
    for lane in sorted(timeline.lanes, key=lambda lane: not lane.wrong):
        count = min(room, BANDS_OF_LANE, len(lane.spans))
        room -= count
        shown[(lane.kind, lane.speaker, lane.subject)] = count
    lanes = []
    for lane in timeline.lanes:
        count = shown[(lane.kind, lane.speaker, lane.subject)]
        drawn = Lane(lane.kind, lane.speaker, lane.subject, lane.spans[:count])
        lanes.append((drawn, len(lane.spans) - count))
    return lanes


def _files(folder: Path, names: Iterable[str]) -> Iterator[ShownFile]:
    """The texts of the files of a run, as far as there is room for them."""
    room = FILES_SIZE
    for name in names:
        if name.endswith(".html"):
            continue
        try:
            text, size = _both_ends(folder / name)
        except OSError as error:
            yield ShownFile(name, "", f"it could not be read: {error.strerror}")
            continue
        shown, note = cut(text, min(room, FILE_SIZE))
        room -= min(room, len(escape(shown)))
        if size > 2 * FILE_SIZE:
            note = f"{size} bytes; its begin and its end are shown"
        yield ShownFile(name, Whole(shown), note)


def _both_ends(path: Path) -> tuple[str, int]:
    """The text of a file, of a large one, such as a core, no more than its ends; and its size in bytes."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        data = stream.read(FILE_SIZE)
        if size > 2 * FILE_SIZE:
            stream.seek(-FILE_SIZE, 2)
        data += stream.read(FILE_SIZE)
    return data.decode("utf-8", errors="replace"), size


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("labctl", "templates/report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_bounded,
    )
    environment.filters["kind"] = lambda word: KINDS.get(word, "other")
    return environment


def _bounded(value: Any) -> Any:
    """What stands in the page: no text that is too long, and no character that HTML has no place for."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    if not isinstance(value, Whole) and len(value) > LONGEST_TEXT:
        value = f"{value[:LONGEST_TEXT]} […]"
    return "".join(letter if letter in "\n\t" or letter.isprintable() else "\ufffd" for letter in value)


def _source(environment: Environment, name: str) -> str:
    assert environment.loader
    return environment.loader.get_source(environment, name)[0]
