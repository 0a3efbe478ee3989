"""Watches whether the machine keeps a lab from its work: a disturbance is no fault of the cluster.

Witnesses are labctl's own thread that comes too late, and cgroups of nodes that were throttled; what Corosync logs of
itself is in disturbances.py. How busy the machine is (/proc/pressure/cpu) makes nothing a disturbance, since a busy
machine may well serve everybody in time; patience grows with it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType

from labctl.history.events import Disturbed
from labctl.history.journal import Journal
from labctl.timing import PATIENCE, Patience

TICK_S = 0.05
LATE_S = 0.2
"""By how much a tick must be late to count; a state crosses in milliseconds, and a second is the bound of most."""

GLANCE_TICKS = 20
"""After so many ticks files of the kernel are read: about once a second."""

PRESSURE = Path("/proc/pressure/cpu")
CGROUPS = Path("/sys/fs/cgroup")
_PLACES = (
    "system.slice/docker-{id}.scope/cpu.stat",  # version 2, by systemd
    "docker/{id}/cpu.stat",  # version 2, by Docker itself
    "cpu,cpuacct/system.slice/docker-{id}.scope/cpu.stat",
    "cpu/docker/{id}/cpu.stat",
)


class StarvationWatch:
    """A thread that watches for as long as the block runs. `tell` names the journal that hears of it, and the ids of
    the nodes' containers: their cgroups can be read only where the engine is on this machine."""

    def __init__(self, patience: Patience = PATIENCE, cgroups: Path = CGROUPS, pressure: Path = PRESSURE) -> None:
        self._patience = patience
        self._cgroups = cgroups
        self._pressure = pressure
        self._over = threading.Event()
        self._glance: Callable[[], None] = lambda: None
        self._journal: Journal | None = None
        self._waited_s: float | None = None
        self._late_s = 0.0
        self._glanced_s = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="starvation", daemon=True)

    def __enter__(self) -> StarvationWatch:
        self._patience.note(average_pressure(_text(self._pressure)), 0.0)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def tell(self, journal: Journal, containers: Mapping[str, str]) -> None:
        """Write disturbances to the journal from now on; `containers` is node -> id."""
        files = {node: file for node, id_ in containers.items() if (file := self._throttling_of(id_))}
        throttled = {node: throttled_s(_text(file)) for node, file in files.items()}

        def glance() -> None:
            for node, file in files.items():
                before_s, throttled[node] = throttled[node], throttled_s(_text(file))
                self.throttled(node, throttled[node] - before_s)

        self._glance, self._journal = glance, journal

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
            self._journal.write(Disturbed(at_s, end_s, node, what, "cgroup"))

    def _watch(self) -> None:
        ticks, since_s = 0, time.monotonic()
        while not self._over.wait(TICK_S):
            now_s = time.monotonic()
            self.late(since_s, now_s)
            ticks += 1
            if ticks % GLANCE_TICKS == 0:
                self._look_around(now_s)
            since_s = time.monotonic()

    def _look_around(self, now_s: float) -> None:
        elapsed_s = now_s - self._glanced_s
        waited_s = pressure_s(_text(self._pressure))
        waiting = 0.0 if self._waited_s is None else (waited_s - self._waited_s) / elapsed_s
        self._patience.note(waiting, self._late_s / elapsed_s)
        self._waited_s, self._late_s = waited_s, 0.0
        self._glance()
        self._glanced_s = now_s

    def _throttling_of(self, container: str) -> Path | None:
        paths = (self._cgroups / place.format(id=container) for place in _PLACES)
        return next((path for path in paths if path.exists()), None)


def average_pressure(text: str) -> float:
    """The part of the last ten seconds in which some task waited for a CPU, 0 to 1 (Linux, accounting/psi.rst)."""
    average = re.search(r"^some avg10=([\d.]+)", text, re.M)
    return float(average[1]) / 100 if average else 0.0


def pressure_s(text: str) -> float:
    """For how many seconds some task has waited for a CPU since the machine booted (`total`, in microseconds)."""
    total = re.search(r"^some .*total=(\d+)", text, re.M)
    return int(total[1]) / 1e6 if total else 0.0


def throttled_s(text: str) -> float:
    """For how many seconds a cgroup was throttled so far, by its cpu.stat: `throttled_usec` (Linux, cgroup-v2.rst), or
    `throttled_time` in nanoseconds (scheduler/sched-bwc.rst)."""
    return next(_throttled(text), 0.0)


def _throttled(text: str) -> Iterator[float]:
    for key, unit_s in (("throttled_usec", 1e-6), ("throttled_time", 1e-9)):
        value = re.search(rf"^{key} (\d+)", text, re.M)
        if value:
            yield int(value[1]) * unit_s


def _text(path: Path) -> str:
    """A file of the kernel's; nothing where it is not there, or not to be read."""
    try:
        return path.read_text("ascii")
    except OSError:
        return ""
