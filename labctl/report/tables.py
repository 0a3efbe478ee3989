"""Facts as tables for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from labctl.cluster.views import UNKNOWN, Call, NodeView, SiteState, StateRow
from labctl.lab import Lab
from labctl.report.formats import duration

STATE_STYLES = {
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
    """A plain table, the look that every command shares. On a narrow terminal words are wrapped, and none is cut."""
    result = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    all_rows = [*rows]
    for number, column in enumerate(columns):
        words = [word for cell in (column, *(row[number] for row in all_rows)) for word in str(cell).split()]
        result.add_column(column, min_width=max(map(len, words), default=0))
    for row in all_rows:
        # As it is: what stands in brackets is no markup.
        result.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return result


def ps(views: Sequence[NodeView], lab: Lab) -> Table:
    """`labctl ps`: what is there, and in yellow or red what is not as the lab wants it."""
    columns: tuple[str, ...] = ("NODE", "CONTAINER", "ADDRESS", "COROSYNC", "RING", "MODULE SEES", "ASTERISK", "UP")
    rows = [_ps_row(view, lab) for view in views]
    if any(view.host for view in views):
        columns = ("NODE", "HOST", *columns[1:])
        rows = [(row[0], view.host or "-", *row[1:]) for row, view in zip(rows, views, strict=True)]
    return table("", columns, rows)


def _ps_row(view: NodeView, lab: Lab) -> tuple[str | Text, ...]:
    if view.container != "running":
        return view.node, Text(view.container, "red"), view.address or "-", "-", "-", "-", "-", "-"
    if view.service:
        return view.node, Text(view.container, "green"), view.address or "-", "-", "-", "-", "-", "-"
    members = len(lab.cluster_of(view.node))
    ring = None if view.ring is None else [*map(str, view.ring.members)]
    quorum = Text("quorate", "green") if view.ring and view.ring.quorate else Text("not quorate", "red")
    return (
        view.node,
        Text(view.container, "green"),
        view.address or "-",
        "-" if not lab.rings else UNKNOWN if ring is None else quorum,
        _members(ring, members if lab.rings else None),
        _members(view.cluster, members if lab.share and lab.rings else None),
        view.asterisk.split("+")[0].split("~")[0] or "-",
        "-" if view.uptime_s is None else duration(view.uptime_s),
    )


def _members(ids: Sequence[str] | None, wanted: int | None) -> Text:
    """The members of a ring or group, in yellow where they are not as many as `wanted`, or are not known."""
    if ids is None:
        return Text(UNKNOWN, "yellow")
    return Text(",".join(ids) or "-", "" if wanted in (None, len(ids)) else "yellow")


def state(rows: Sequence[StateRow], nodes: Sequence[str], width: int | None = None) -> Table:
    """`labctl state`: extension by node, and a mark where the nodes differ.

    Where a column for each node does not fit into `width` columns, it is extension by state: who says it.
    """
    by_node = table(
        "",
        ("EXTENSION", "DEVICE", *nodes, ""),
        [
            (row.extension, row.device, *(_state(row.states.get(node, UNKNOWN)) for node in nodes), mark(row))
            for row in rows
        ],
    )
    if width is None or _narrowest(by_node) <= width:
        return by_node
    return table(
        "",
        ("EXTENSION", "DEVICE", "STATE", ""),
        [(row.extension, row.device, who_says_what(row, nodes), mark(row)) for row in rows],
    )


def _narrowest(drawn: Table) -> int:
    """How many columns of a terminal a table takes at least, so that no word is cut."""
    gaps = 2 * (len(drawn.columns) - 1)
    return sum(column.min_width or 0 for column in drawn.columns) + gaps


def mark(row: StateRow) -> Text:
    """What stands behind an extension of which the nodes differ."""
    return Text("") if row.agreed else Text("< differ", "bold red")


def who_says_what(row: StateRow, nodes: Sequence[str]) -> Text:
    """Such as `Idle`, where all say so, or `Idle n1 n2 n3, Busy n4`."""
    speakers: dict[str, list[str]] = {}
    for node in nodes:
        speakers.setdefault(row.states.get(node, UNKNOWN), []).append(node)
    if len(speakers) == 1:
        return _state(next(iter(speakers)))
    parts = [_state(state).append(f" {' '.join(names)}", "not bold default") for state, names in speakers.items()]
    return Text(", ").join(parts)


def sites(rows: Sequence[SiteState], names: Sequence[str]) -> Table:
    """`labctl state --site`: extension by site, and which nodes of another site said so."""
    return table(
        "",
        ("EXTENSION", "DEVICE", "HOME", *(name.upper() for name in names)),
        [(row.extension, row.device, row.home or "-", *(_site_state(row, name) for name in names)) for row in rows],
    )


def _site_state(row: SiteState, site: str) -> Text:
    cell = _state(row.states.get(site, UNKNOWN))
    by = row.by.get(site, ())
    return cell.append(f" ({','.join(by)})", "dim") if by else cell


def _state(state: str) -> Text:
    """A state as its node reported it; a dash where the node did not answer."""
    return Text("-" if state == UNKNOWN else state, STATE_STYLES.get(state, ""))


def call(placed: Call, nodes: Sequence[str]) -> Table:
    """`labctl call`: each state of the callee's extension, and when each node learned it; `-` where it did not."""
    rows: dict[tuple[int, str], dict[str, str]] = {}
    for change in placed.learned:
        cells = rows.setdefault((change.turn, change.state), {})
        cells[change.node] = "first" if change.after_ms == 0 else f"+{change.after_ms:.1f} ms"
    return table(
        "",
        (f"{placed.extension} IS", *nodes),
        [(_state(state), *(cells.get(node, "-") for node in nodes)) for (_, state), cells in rows.items()],
    )
