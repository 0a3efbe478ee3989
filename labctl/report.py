"""Facts as tables for people and as data for programs. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from labctl.facts import UNKNOWN, Crossing, NodeView, StateRow

_STATE_STYLES = {
    "Idle": "green",
    "InUse": "red",
    "Busy": "red",
    "Ringing": "yellow",
    "InUse&Ringing": "yellow",
    "Hold": "magenta",
    "InUse&Hold": "magenta",
    "Unavailable": "dim",
    UNKNOWN: "dim",
}


def as_json(value: Any) -> str:
    """Dataclasses, and lists and dictionaries of them, as indented JSON."""
    return json.dumps(_plain(value), indent=2)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A plain table, the look that every command shares."""
    result = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        result.add_column(column)
    for row in rows:
        result.add_row(*row)
    return result


def ps(views: Sequence[NodeView], members: int, clustered: bool) -> Table:
    """`labctl ps`; `members` are how many there should be, `clustered` whether they share state at all."""
    return table(
        "",
        ("NODE", "CONTAINER", "ADDRESS", "COROSYNC", "RING", "MODULE SEES", "ASTERISK", "UP"),
        [_ps_row(view, members, clustered) for view in views],
    )


def _ps_row(view: NodeView, members: int, clustered: bool) -> tuple[str | Text, ...]:
    runs = view.container == "running"
    ring = ",".join(str(member) for member in view.ring.members) or "-"
    cluster = ",".join(view.cluster) or "-"
    return (
        view.node,
        Text(view.container, "green" if runs else "red"),
        view.address or "-",
        Text("quorate", "green") if view.ring.quorate else Text("not quorate", "red"),
        Text(ring, "" if len(view.ring.members) == members else "yellow"),
        Text(cluster, "" if len(view.cluster) == members or not clustered else "yellow"),
        view.asterisk.split("+")[0].split("~")[0] or "-",
        "-" if view.uptime_s is None else duration(view.uptime_s),
    )


def duration(seconds: int) -> str:
    """1d 2h, 3m 4s: the two largest units."""
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def state(rows: Sequence[StateRow], nodes: Sequence[str]) -> Table:
    """`labctl state`: extension by node, and a mark where the nodes differ."""
    return table(
        "",
        ("EXTENSION", "DEVICE", *nodes, ""),
        [
            (
                row.extension,
                row.device,
                *(Text(row.states[node], _STATE_STYLES.get(row.states[node], "")) for node in nodes),
                Text("") if row.agreed else Text("< differ", "bold red"),
            )
            for row in rows
        ],
    )


def crossings(seen: Sequence[Crossing]) -> str:
    """What the proof showed, in a line."""
    if not seen:
        return "this lab shares no device state, so there was none to prove"
    slowest = max(seen, key=lambda crossing: crossing.delay_ms)
    nodes = len({crossing.origin for crossing in seen})
    if nodes == 1:
        return "one node alone: no other to see its state"
    return (
        f"proven: a change on each of {nodes} nodes was seen on every other, "
        f"the slowest {slowest.origin} to {slowest.observer} in {slowest.delay_ms:.1f} ms"
    )
