"""Watches whether the machine keeps a lab from its work: a disturbance is no fault of the cluster.

Witnesses are labctl's own thread that comes too late, and cgroups of nodes that were throttled; threads of daemons that
waited for a CPU are told by health_watch.py. What Corosync logs of itself is judged from the history
(checks/disturbance.py). How busy the machine is (/proc/pressure/cpu) makes nothing a disturbance, since a busy machine
may well serve everybody in time; patience grows with it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from labctl.history.events import Disturbed
from labctl.history.journal import Journal
from labctl.pressure import PRESSURE, pressure_s, read_text
from labctl.timing import PATIENCE, Patience

TICK_S = 0.05
LATE_S = 0.2
"""By how much a tick must be late to count; a state crosses in milliseconds, and a second is the bound of most."""

GLANCE_TICKS = 20
"""After so many ticks files of the kernel are read: about once a second."""

CGROUPS = Path("/sys/fs/cgroup")
_PLACES = (
    "system.slice/docker-{id}.scope/cpu.stat",  # version 2, by systemd
    "docker/{id}/cpu.stat",  # version 2, by Docker itself
    "cpu,cpuacct/system.slice/docker-{id}.scope/cpu.stat",
    "cpu/docker/{id}/cpu.stat",
)


class StarvationWatch:
    """A thread that watches from `begin` to `end`, and writes what it sees to a journal."""

    def __init__(self, patience: Patience = PATIENCE, cgroups: Path = CGROUPS, pressure: Path = PRESSURE) -> None:
        self._patience = patience
        self._cgroups = cgroups
        self._pressure = pressure
        self._over = threading.Event()
        self._journal: Journal | None = None
        self._throttling: dict[str, Path] = {}
        self._throttled_s: dict[str, float] = {}
        self._waited_s: float | None = None
        self._late_s = 0.0
        self._glanced_s = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="starvation", daemon=True)

    def begin(self, journal: Journal, containers: Mapping[str, str]) -> None:
        """Watch from now on. `containers` is node -> id: their cgroups can be read only where the engine is on this
        machine."""
        self._journal, self._glanced_s = journal, time.monotonic()
        self._throttling = {node: file for node, id_ in containers.items() if (file := self._throttling_of(id_))}
        self._throttled_s = {node: throttled_s(read_text(file)) for node, file in self._throttling.items()}
        self._thread.start()

    def end(self) -> None:
        """Watch no more; nothing is written after this."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def late(self, since_s: float, until_s: float) -> None:
        """A tick that was due after TICK_S, since then, came at last; both of the monotonic clock."""
        late_s = until_s - since_s - TICK_S
        self._late_s += max(0.0, late_s)
        if late_s >= LATE_S and self._journal:
            what = f"the machine was starved for {late_s:.1f} s: a thread of labctl's came that late"
            at_s, end_s = self._journal.at_s(since_s), self._journal.at_s(until_s)
            self._journal.write(Disturbed(at_s, end_s, "", what, "labctl"))

    def throttled(self, node: str, for_s: float) -> None:
        """Since the last glance a node's processes were kept from the CPUs for so long by its cgroup's quota."""
        if for_s >= LATE_S and self._journal:
            at_s, end_s = self._journal.at_s(self._glanced_s), self._journal.now_s()
            what = f"{node} was throttled for {for_s:.1f} s by the quota of its cgroup"
            self._journal.write(Disturbed(at_s, end_s, node, what, "cgroup", for_s))

    def _watch(self) -> None:
        ticks, since_s = 0, time.monotonic()
        while not self._over.wait(TICK_S):
            now_s = time.monotonic()
            self.late(since_s, now_s)
            ticks += 1
            if ticks % GLANCE_TICKS == 0:
                self.look_around(now_s)
            since_s = time.monotonic()

    def look_around(self, now_s: float) -> None:
        """Read the files of the kernel: how busy the machine is, and who was throttled since the last time."""
        elapsed_s = now_s - self._glanced_s
        waited_s = pressure_s(read_text(self._pressure))
        waiting = 0.0 if self._waited_s is None else (waited_s - self._waited_s) / elapsed_s
        self._patience.note(waiting, self._late_s / elapsed_s)
        self._waited_s, self._late_s = waited_s, 0.0
        for node, file in self._throttling.items():
            before_s, self._throttled_s[node] = self._throttled_s[node], throttled_s(read_text(file))
            self.throttled(node, self._throttled_s[node] - before_s)
        self._glanced_s = now_s

    def _throttling_of(self, container: str) -> Path | None:
        paths = (self._cgroups / place.format(id=container) for place in _PLACES)
        return next((path for path in paths if path.exists()), None)


def throttled_s(text: str) -> float:
    """For how many seconds a cgroup was throttled so far, by its cpu.stat: `throttled_usec` (Linux, cgroup-v2.rst), or
    `throttled_time` in nanoseconds (scheduler/sched-bwc.rst)."""
    return next(_throttled(text), 0.0)


def _throttled(text: str) -> Iterator[float]:
    for key, unit_s in (("throttled_usec", 1e-6), ("throttled_time", 1e-9)):
        value = re.search(rf"^{key} (\d+)", text, re.M)
        if value:
            yield int(value[1]) * unit_s
