"""What the daemons of a node take of the machine, and the errors that they log: events of a history. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DaemonFigures:
    """What a daemon of a node has taken.

    `clock_s`: the node's own clock as it was measured (its uptime), and `started_s` when the process began by that
    clock. `process`: its number there. `cpu_s`: CPU time of all its threads since it began. `memory_kb`: what is
    resident of it.
    """

    daemon: str
    process: int
    clock_s: float
    started_s: float
    cpu_s: float
    memory_kb: int
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured(DaemonFigures):
    """What a daemon of a node has taken by then."""

    at_s: float
    node: str


@dataclass(frozen=True, slots=True)
class Complained:
    """A daemon of a node logged an error that is none of those which its stack always logs.

    Of one that it repeats, the first few are written, and a few anew after what may have explained those: `text` is the
    line.
    """

    at_s: float
    node: str
    text: str
