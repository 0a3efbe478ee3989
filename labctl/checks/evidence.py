"""The log lines that may explain a finding, without those that are only noise. Pure."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from labctl.history.events import Line

QUOTES = 6
"""How many lines stand with a finding."""

_TELLING = ("CPG mcast failed", "Sending ", "Clearing ")
_OF_ANY_FAULT = "Token has not been received"
"""What every fault of the network has Corosync say: it tells less than all else."""

_NOISE = re.compile(r"Retransmit List|[Uu]nload(ing|ed)|Service engine|Completed service synchronization", re.ASCII)
"""What Corosync repeats as long as anything is wrong, or says of itself at its end: it explains no state."""

_DATE = re.compile(r"^(\[[^]]*\d\d:\d\d:\d\d[^]]*\]|\w{3} +\d+ \d\d:\d\d:\d\d(\.\d+)?)\s*")


STATES, MAILBOXES = frozenset({"DeviceStateChange", "device_state"}), frozenset({"MWI", "mwi"})
"""Kinds of what a cluster module sends, each by the names that its lines have for it."""

_KIND = re.compile(r"(?:for event|events of type) (?P<kind>\w+)")


@dataclass
class LogSince:
    """The log so far, and up to which line each thing was right: what came since may explain why it is not now.
    `kind`: of what kind the things are; lines about the other kind explain nothing of them."""

    kind: frozenset[str]
    _lines: list[Line] = field(default_factory=list)
    _right_at: dict[Hashable, int] = field(default_factory=dict)

    def take(self, line: Line) -> None:
        """Go one line further."""
        kind = _KIND.search(line.text)
        if kind is None or kind["kind"] in self.kind:
            self._lines.append(line)

    def was_right(self, thing: Hashable) -> None:
        """What comes from now on may explain it when it is wrong next."""
        self._right_at[thing] = len(self._lines)

    def quotes(self, thing: Hashable, nodes: Sequence[str]) -> tuple[str, ...]:
        """The lines of these nodes that may explain what is wrong with it now."""
        return quotes(self._lines[self._right_at.get(thing, 0) :], nodes)


def quotes(lines: Iterable[Line], nodes: Sequence[str]) -> tuple[str, ...]:
    """The lines of some nodes, those first that tell of states that were sent or lost; each once, whatever its date."""
    of_nodes = [line for line in lines if line.node in nodes and not _NOISE.search(line.text)]
    telling = [line for word in _TELLING for line in of_nodes if word in line.text]
    others = sorted(of_nodes, key=lambda line: _OF_ANY_FAULT in line.text)
    once: dict[tuple[str, str], str] = {}
    for line in [*telling, *others]:
        once.setdefault((line.node, _DATE.sub("", line.text)), f"{line.node}: {line.text}")
    return tuple(once.values())[:QUOTES]
