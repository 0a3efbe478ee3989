"""Facts as tables for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from labctl.facts import UNKNOWN, Call, NodeView, StateRow
from labctl.report import duration

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


def call(placed: Call, nodes: Sequence[str]) -> Table:
    """`labctl call`: each state of the callee's extension, and when each node learned it."""
    rows: list[tuple[str, dict[str, str]]] = []
    for each in placed.learned:
        if not rows or rows[-1][0] != each.state or each.node in rows[-1][1]:
            rows.append((each.state, {}))
        rows[-1][1][each.node] = "first" if each.after_ms == 0 else f"+{each.after_ms:.1f} ms"
    return table(
        "",
        (f"{placed.extension} IS", *nodes),
        [(Text(state, _STATE_STYLES.get(state, "")), *(seen.get(node, "-") for node in nodes)) for state, seen in rows],
    )
