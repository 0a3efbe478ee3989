"""`labctl state --watch`: what every node says of every extension as it changes, in 80 columns. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from labctl.cluster.views import StateRow
from labctl.report.tables import STATE_STYLES, mark, who_says_what

LAST_EVENTS = 8
WIDTH = 80
_FIRST_COLUMN = 11
_LONGEST_STATE = max(map(len, STATE_STYLES))


@dataclass
class _Turn:
    """The newest state of an extension: when its first node told of it, and when each other did."""

    state: str
    began_s: float
    learned_s: dict[str, float] = field(default_factory=dict)


class Screen:
    """What is on the screen. Not safe between threads: whoever feeds and draws it holds a lock."""

    def __init__(self, nodes: Sequence[str]) -> None:
        self._nodes = list(nodes)
        self._states: dict[str, dict[str, str]] = {}
        self._turns: dict[str, _Turn] = {}
        self._gone: set[str] = set()
        self._last: deque[str] = deque(maxlen=LAST_EVENTS)

    def begin(self, rows: Sequence[StateRow]) -> None:
        """What every node said at first; what was told meanwhile is newer."""
        self._states = {row.extension: row.states | self._states.get(row.extension, {}) for row in rows}

    def told(self, node: str, extension: str, state: str, at_s: float) -> str:
        """A node tells of a state; the line that stands for it. Times are monotonic seconds."""
        self._states.setdefault(extension, {})[node] = state
        turn = self._turns.get(extension)
        if turn is None or turn.state != state or node in turn.learned_s:
            turn = self._turns[extension] = _Turn(state, at_s)
        turn.learned_s[node] = at_s
        after_ms = max(0.0, (at_s - turn.began_s) * 1000)  # two nodes' threads may come in either order
        line = f"{extension} is {state} on {node}" + (f", {after_ms:.1f} ms after the first" if after_ms else "")
        self._last.append(line)
        return line

    def came(self, node: str, says: Mapping[str, str] | None) -> str:
        """A node's Asterisk is there, and what it says now; or it is gone. The line that stands for it."""
        (self._gone.add if says is None else self._gone.discard)(node)
        for extension, state in (says or {}).items():
            self._states.setdefault(extension, {})[node] = state
        line = f"{node} is {'gone' if says is None else 'there'}"
        self._last.append(line)
        return line

    def render(self) -> RenderableType:
        """The table, and the last events beneath it. Where a column for each node has no place for every state and the
        node's name, it is extension by state: who says it."""
        table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
        table.add_column("EXTENSION", no_wrap=True, width=_FIRST_COLUMN)
        width = (WIDTH - _FIRST_COLUMN - len(" <")) // max(1, len(self._nodes)) - 1
        if width >= max(_LONGEST_STATE, *map(len, self._nodes)):
            self._by_node(table, width)
        else:
            self._by_state(table)
        return Group(table, Text(), *(Text(line, "dim", no_wrap=True, overflow="ellipsis") for line in self._last))

    def _by_node(self, table: Table, width: int) -> None:
        for node in self._nodes:
            table.add_column(Text(node, "red strike" if node in self._gone else ""), no_wrap=True, width=width)
        table.add_column("", no_wrap=True, width=len("<"))
        for extension in self._states:
            row = self._row(extension)
            cells = (self._cell(extension, node) for node in self._nodes)
            table.add_row(_name(row), *cells, mark(row)[:1])

    def _by_state(self, table: Table) -> None:
        """Longer lines are wrapped, so that no node is cut off."""
        table.add_column("STATE", overflow="fold")
        table.add_column("", no_wrap=True)
        for extension in self._states:
            row = self._row(extension)
            table.add_row(_name(row), who_says_what(row, self._nodes), mark(row))

    def _row(self, extension: str) -> StateRow:
        """What the nodes that are there say of an extension."""
        said = self._states[extension]
        return StateRow(extension, "", {node: said[node] for node in said if node not in self._gone})

    def _cell(self, extension: str, node: str) -> Text:
        if node in self._gone:
            return Text("-", "dim")
        state = self._states[extension].get(node, "-")
        cell = Text(state, STATE_STYLES.get(state, ""), overflow="ellipsis")
        turn = self._turns.get(extension)
        if turn and turn.state == state and node in turn.learned_s:
            after_ms = max(0.0, (turn.learned_s[node] - turn.began_s) * 1000)
            cell.append(f" +{after_ms:.1f}" if after_ms else " first", "dim")
        return cell


def _name(row: StateRow) -> Text:
    return Text(row.extension, "" if row.agreed else "bold red", overflow="ellipsis")
