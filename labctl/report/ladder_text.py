"""Ladders for a terminal: lines of text with styles, as wide as there is room. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from labctl.report.ladder import Across, Arrow, Ladder
from labctl.report.tables import table
from labctl.shortening import shortened

NARROWEST_GAP, WIDEST_GAP = 11, 34
"""How far apart columns stand; where there is less room, messages are lines of text without arrows."""

STYLES = {"fault": "bold red", "state": "cyan", "step": "dim"}
MOST_ROWS = 500

_PREFIX = 21
_MARGIN = 4


def lines(ladder: Ladder, width: int, most: int = MOST_ROWS) -> Iterator[Text]:
    """A ladder, a line a message, in so many columns of a terminal; what comes after `most` rows is only counted."""
    yield Text(plain(ladder.title), style="bold")
    centres = _centres(ladder.columns, width - _PREFIX)
    if centres:
        yield from _header(ladder.columns, centres, width - _PREFIX)
    for row in ladder.rows[:most]:
        if isinstance(row, Across):
            yield _across(row, width)
        elif centres:
            yield _arrow(row, centres)
        else:
            yield _as_text(row, ladder.columns)
    left_out = len(ladder.rows) - most
    if left_out > 0:
        yield Text(f"{left_out} more rows are not shown; -o json has all", style="yellow")


def _centres(columns: Sequence[str], room: int) -> list[int]:
    """Where each column's line stands, from the first character after the times; none where there is no room."""
    margin = min(_MARGIN, max(map(len, columns)) // 2)
    if len(columns) == 1:
        return [margin]
    gap = min(WIDEST_GAP, (room - 2 * margin - 1) // (len(columns) - 1))
    return [margin + gap * column for column in range(len(columns))] if gap >= NARROWEST_GAP else []


def _header(columns: Sequence[str], centres: Sequence[int], room: int) -> Iterator[Text]:
    """The names over their lines: every second one a line lower, where they would touch."""
    gap = centres[1] - centres[0] if len(centres) > 1 else room
    rows = [range(len(columns))]
    if any(len(name) >= gap for name in columns):
        rows = [range(0, len(columns), 2), range(1, len(columns), 2)]
        gap *= 2
    for row in rows:
        line = ""
        for column in row:
            name = shortened(plain(columns[column]), gap - 1)
            at = min(centres[column] - len(name) // 2, room - len(name))
            line = line.ljust(max(0, at)) + name
        if line:
            yield Text(" " * _PREFIX + line, style="bold")


def _arrow(arrow: Arrow, centres: Sequence[int]) -> Text:
    cells = [" "] * (centres[-1] + 1)
    for centre in centres:
        cells[centre] = "│"
    begin, end = sorted((centres[arrow.source], centres[arrow.target]))
    text = Text().append(_times(arrow), style="dim")
    if begin == end:
        label = f"↺ {arrow.label}"
        text.append("".join(cells[: begin + 1]), style="dim").append(label, style=_style(arrow))
        return text
    room = end - begin - 1
    body = f" {_fitting(arrow, room - 3)} ".center(room - 1, "─")
    body = f"{body}▶" if arrow.source < arrow.target else f"◀{body}"
    text.append("".join(cells[: begin + 1]), style="dim")
    text.append(body, style=_style(arrow))
    return text.append("".join(cells[end:]), style="dim")


def _as_text(arrow: Arrow, columns: Sequence[str]) -> Text:
    text = Text().append(_times(arrow), style="dim")
    text.append(f"{plain(columns[arrow.source])} → {plain(columns[arrow.target])}  ")
    return text.append(plain(arrow.label), style=_style(arrow))


def _across(line: Across, width: int) -> Text:
    text = f"   {line.at_s:9.3f}  ── {plain(line.text)} "
    return Text(shortened(text, width).ljust(min(width, 100), "─"), style=STYLES[line.kind])


def _times(arrow: Arrow) -> str:
    delta = f"+{arrow.delta_s:.3f}" if arrow.number > 1 else ""
    return f"{arrow.number:3d}{arrow.at_s:9.3f}{delta:>8} "


def _fitting(arrow: Arrow, room: int) -> str:
    """As much of what there is to say as there is room for."""
    what = arrow.what
    if arrow.status and not arrow.notes:
        return plain(shortened(f"{what} {arrow.about}", room))
    notes = [_SHORT.get(note, note) for note in arrow.notes]
    forms = (
        arrow.label,
        " ".join(filter(None, [what, arrow.about, *notes])),
        " ".join([what, *notes]),
        " ".join([what, notes[-1]] if notes else [what]),
    )
    return plain(next((form for form in forms if len(form) <= room), shortened(forms[-1], room)))


_SHORT = {
    **{"signed": "auth", "challenge": "auth?"},
    **{"sdp sendonly": "hold", "sdp inactive": "hold", "sdp recvonly": "held"},
}
"""Shorter words, for where there is little room."""


def _style(arrow: Arrow) -> str:
    if "again" in arrow.notes:
        return "yellow"
    if not arrow.status:
        return "bold cyan"
    if arrow.status >= 300:
        return "yellow" if "challenge" in arrow.notes else "red"
    return "green" if arrow.status >= 200 else "dim"


def plain(text: str) -> str:
    """A stranger's text without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def raw(text: str) -> str:
    """A whole message as it was sent, for a terminal."""
    return "\n".join(plain(line.expandtabs()) for line in text.replace("\r\n", "\n").rstrip("\n").split("\n"))


def listed(chosen: Sequence[Ladder]) -> Table:
    """The list of calls: number, who, whom, when, how long, how it ended, how many messages."""
    rows = []
    for each in chosen[:MOST_ROWS]:
        arrows = each.arrows
        rows.append(
            (
                str(each.number),
                each.kind,
                plain(each.caller) or "?",
                plain(each.callee) or "?",
                f"{each.begin_s:.3f}",
                f"{arrows[-1].at_s - arrows[0].at_s:.3f} s",
                each.state,
                str(len(arrows)),
            )
        )
    return table("", ("CALL", "KIND", "FROM", "TO", "START", "LASTS", "STATE", "MESSAGES"), rows)


def utc_of(epoch_s: float) -> str:
    """A time in seconds since 1970 as a date; as it is where it is of no year that a date can have."""
    try:
        return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError, OSError):
        return f"{epoch_s:g} s"
