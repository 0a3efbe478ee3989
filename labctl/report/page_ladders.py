"""The ladders of a run as its page draws them: calls before all else, as far as there is room. Pure, but for the
capture that is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from markupsafe import escape

from labctl.errors import InvalidFile, UsageError
from labctl.report.html import Whole
from labctl.report.ladder import Across, Arrow, Ladder
from labctl.report.ladders import Ladders, of_run
from labctl.report.lane_recorder import TimeSpan
from labctl.scenario.run_record import RunRecord

ROWS, TEXT_SIZE, LONGEST_MESSAGE = 3000, 700_000, 8_000
"""How many rows are drawn, and how many characters of HTML all messages and one may take."""


@dataclass(frozen=True)
class ShownRow:
    """A row of a ladder: an arrow from `left` to `right` in per cent of the columns' width, or a line across.

    `colour`: of a message `request`, `provisional`, `success` or `failure`; of what happened meanwhile its kind. `text`
    is the message; "" where there is no room for it, or where it is none.
    """

    at_s: float
    label: str
    colour: str
    left: float = 0.0
    right: float = 100.0
    backwards: bool = False
    ends: str = ""
    text: str = ""
    arrow: bool = False


@dataclass(frozen=True)
class ShownLadder:
    """One call; `left_out` of its rows are not drawn."""

    title: str
    begin_s: float
    end_s: float
    columns: tuple[str, ...]
    rows: tuple[ShownRow, ...]
    messages: int
    left_out: int

    def middle(self, column: int) -> float:
        """Where a column stands, in per cent from the left."""
        return (column + 0.5) / len(self.columns) * 100


@dataclass(frozen=True)
class ShownLadders:
    """`note` says why there are none, or why they end early; "" where neither is so."""

    calls: tuple[ShownLadder, ...] = ()
    others: tuple[ShownLadder, ...] = ()
    note: str = ""

    @property
    def spans(self) -> tuple[TimeSpan, ...]:
        """When each call was, for the timeline."""
        return tuple(TimeSpan(call.begin_s, call.end_s, call.title, "call") for call in self.calls)


def ladders_of(record: RunRecord) -> tuple[tuple[Ladder, ...], ShownLadders]:
    """The ladders of the capture of a run, and what the page shows of them; nothing where it has none."""
    try:
        ladders = of_run(record)
    except InvalidFile as error:
        return (), ShownLadders(note=f"The capture cannot be read: {error.first}")
    except UsageError:
        return (), ShownLadders()
    return ladders.ladders, draw(ladders)


def draw(ladders: Ladders) -> ShownLadders:
    """All ladders of a capture, bounded."""
    room = _Room()
    calls = [room.draw(ladder) for ladder in ladders.ladders if ladder.kind == "INVITE"]
    others = [room.draw(ladder) for ladder in ladders.ladders if ladder.kind != "INVITE"]
    notes = [text for text in (ladders.ended, ladders.broken and f"it breaks off: {ladders.broken}") if text]
    return ShownLadders(tuple(calls), tuple(others), f"The capture: {'; '.join(notes)}." if notes else "")


class _Room:
    """What is left of the page for ladders."""

    def __init__(self) -> None:
        self._rows, self._size = ROWS, TEXT_SIZE

    def draw(self, ladder: Ladder) -> ShownLadder:
        """A ladder, as far as there is room."""
        drawn = ladder.rows[: self._rows]
        self._rows -= len(drawn)
        arrows = ladder.arrows
        end_s = arrows[-1].at_s if arrows else ladder.begin_s
        return ShownLadder(
            ladder.title,
            ladder.begin_s,
            end_s,
            ladder.columns,
            tuple(self._draw_rows(drawn, ladder.columns)),
            len(arrows),
            len(ladder.rows) - len(drawn),
        )

    def _draw_rows(self, rows: Iterable[Arrow | Across], columns: tuple[str, ...]) -> Iterator[ShownRow]:
        for row in rows:
            if isinstance(row, Across):
                yield ShownRow(row.at_s, row.text, row.kind)
                continue
            left, right = ((column + 0.5) / len(columns) * 100 for column in sorted((row.source, row.target)))
            ends = f"{columns[row.source]} to {columns[row.target]}"
            backwards, text = row.source > row.target, self._text(row)
            yield ShownRow(row.at_s, row.label, _colour(row), left, right, backwards, ends, text, arrow=True)

    def _text(self, arrow: Arrow) -> str:
        text = arrow.text[:LONGEST_MESSAGE]
        size = len(escape(text))
        if size > self._size:
            return ""
        self._size -= size
        return Whole(text)


def _colour(arrow: Arrow) -> str:
    if not arrow.status:
        return "request"
    if "challenge" in arrow.notes:  # that is asked for a password is no failure
        return "provisional"
    return "provisional" if arrow.status < 200 else "success" if arrow.status < 300 else "failure"
