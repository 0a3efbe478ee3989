"""What the daemons of a node take: asked of one shell that is kept in the node, which forks nothing to answer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from labctl.engine.client import Engine
from labctl.engine.streams import ExecStream, lines
from labctl.history.process_events import DaemonFigures
from labctl.paths import SCRIPTS

TICKS_PER_S = 100
"""In which /proc counts (USER_HZ, Linux, on all of Docker's architectures)."""

_LINE = re.compile(
    r"(?P<service>\S+) (?P<clock>[\d.]+) (?P<descriptors>\d+) (?P<pid>\d+) \((?P<name>.*)\) (?P<rest>.+)"
)
_UTIME, _STIME, _THREADS, _STARTED, _RESIDENT = 11, 12, 17, 19, 21
"""Of what follows the name in /proc/pid/stat, from 0: utime, stime, num_threads, starttime, rss (proc(5))."""

ASKING_S = 1.0
"""How long an answer may take from its first thread to its last."""

DONE = "."
"""What the shell prints after the last daemon."""


def parse(line: str, page_bytes: int) -> DaemonFigures | None:
    """The figures that a line of the shell's holds; None where it holds none, or a daemon is about to start: then its
    process is still its service's script. Pure."""
    match = _LINE.fullmatch(line.strip())
    fields = match["rest"].split() if match else []
    if match is None or len(fields) <= _RESIDENT or match["name"] != match["service"][:15]:
        return None
    return DaemonFigures(
        match["service"],
        int(match["pid"]),
        float(match["clock"]),
        int(fields[_STARTED]) / TICKS_PER_S,
        (int(fields[_UTIME]) + int(fields[_STIME])) / TICKS_PER_S,
        int(fields[_RESIDENT]) * page_bytes // 1024,
        int(match["descriptors"]),
        int(fields[_THREADS]),
    )


@dataclass(frozen=True)
class MeterAnswer:
    """What the shell says when it is asked: the figures of all daemons, and for how many seconds each thread has waited
    for a CPU since it began, by daemon and thread (Linux, scheduler/sched-stats.rst; {} from a kernel without)."""

    figures: list[DaemonFigures]
    waited_s: Mapping[tuple[str, str], float]

    def longest_wait(self, before: MeterAnswer | None) -> tuple[str, float]:
        """The daemon of which a thread has waited longest since the answer before, and for how many seconds; ("", 0)
        without one. What is longer than the time between the two answers is no figure: now and then the kernel
        gives a thread all the time since the node was started."""
        if before is None:
            return "", 0.0
        between_s = max((one.clock_s for one in self.figures), default=math.inf)
        between_s -= min((one.clock_s for one in before.figures), default=0.0)
        since = ((key, waited_s - before.waited_s.get(key, 0.0)) for key, waited_s in self.waited_s.items())
        waits = {key: waited_s for key, waited_s in since if waited_s <= between_s + ASKING_S}
        (daemon, _), waited_s = max(waits.items(), key=lambda item: item[1], default=(("", ""), 0.0))
        return daemon, waited_s


class NodeMeter:
    """The shell in a node. `answered` is called with what it says, from the thread of `read`."""

    def __init__(self, engine: Engine, container: str, answered: Callable[[MeterAnswer], None]) -> None:
        script = (SCRIPTS / "measure-daemons.sh").read_text("utf-8")
        self._stream: ExecStream = engine.open_stream(container, ["sh", "-c", script])
        self._answered = answered

    def ask(self) -> None:
        """Have it measure. Raises OSError where the shell has ended."""
        self._stream.send(b"\n")

    def read(self) -> None:
        """Hand on answers until the shell ends, or the meter is closed."""
        for answer in answers(lines(self._stream)):
            self._answered(answer)

    def close(self) -> None:
        """Hang up: the shell ends with its input."""
        self._stream.close()


def answers(printed: Iterator[str]) -> Iterator[MeterAnswer]:
    """What the shell says each time that it is asked. Pure."""
    page_bytes, figures, waited_s = 4096, list[DaemonFigures](), dict[tuple[str, str], float]()
    for line in printed:
        if line.startswith("page "):
            page_bytes = int(line.split()[1])
        elif line.startswith("waits "):
            waited_s |= _waits(*line.split()[1:])
        elif line.strip() == DONE:
            yield MeterAnswer(figures, waited_s)
            figures, waited_s = [], {}
        elif found := parse(line, page_bytes):
            figures.append(found)


def _waits(daemon: str, *threads: str) -> dict[tuple[str, str], float]:
    pairs = (thread.partition(":") for thread in threads)
    return {(daemon, thread): int(waited_ns) / 1e9 for thread, _, waited_ns in pairs if waited_ns.isdecimal()}
