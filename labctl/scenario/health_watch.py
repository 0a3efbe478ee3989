"""Measures what the daemons of a lab take, and has every Asterisk asked whether it is there, as long as a run goes on.

One shell is kept in each node, and asked every few seconds: see cluster/daemon_figures.py. What comes of it is judged
from the history (checks/healthy.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Protocol

from labctl.blueprint.running_lab import Running
from labctl.cluster.daemon_figures import MeterAnswer, NodeMeter
from labctl.engine.client import Engine
from labctl.errors import LabctlError
from labctl.history.events import SCHEDULER, Disturbed
from labctl.history.journal import Journal
from labctl.history.process_events import Measured
from labctl.names import container_name
from labctl.scenario.starvation import LATE_S
from labctl.timing import PATIENCE, Signal

INTERVAL_S = 4.0
"""So often daemons are measured: twice in the shortest time for which anything is judged (checks/healthy.py)."""

LAST_S = 2.0
"""How long the last answers are waited for, at the end of a run."""


class Probed(Protocol):
    """What is wanted of the connections to the nodes of a lab (cluster.connections.Cluster)."""

    def probe(self, node: str) -> None:
        """Have a node's Asterisk asked whether it is there."""


class HealthWatch:
    """Measures from `begin` to `end`. `gone` tells which nodes do not answer, by what was done to them."""

    def __init__(
        self, engine: Engine, running: Running, connections: Probed, gone: Callable[[], set[str]], journal: Journal
    ) -> None:
        self._engine = engine
        self._lab = running.lab
        self._connections = connections
        self._gone = gone
        self._journal = journal
        self._meters: dict[str, NodeMeter] = {}
        self._lock = threading.Lock()
        self._wanted = dict.fromkeys((node.name for node in running.lab.nodes), 0)
        self._answers = dict.fromkeys(self._wanted, 0)
        self._answered = Signal()
        self._last: dict[str, tuple[float, MeterAnswer]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="health", daemon=True)

    def begin(self) -> None:
        """Measure from now on."""
        self._thread.start()

    def end(self) -> None:
        """Measure once more, and no more then; nothing is written after this."""
        if not self._thread.is_alive():
            return
        self._over.set()
        self._thread.join()
        self._ask_all()
        pending = [node for node in self._meters if node not in self._gone()]
        self._answered.wait_until(
            lambda: all(self._answers[node] >= self._wanted[node] for node in pending), PATIENCE.deadline(LAST_S)
        )
        with self._lock:
            meters, self._meters = tuple(self._meters.values()), {}
        for meter in meters:
            meter.close()

    def _watch(self) -> None:
        while True:
            self._ask_all()
            for node in self._wanted:
                if node not in self._gone():
                    with suppress(LabctlError):
                        self._connections.probe(node)
            if self._over.wait(INTERVAL_S):
                return

    def _ask_all(self) -> None:
        for node in self._wanted:
            if node in self._gone():
                continue
            with suppress(LabctlError, OSError):  # a node that has ended: crash_watch.py sees to it
                self._meter(node).ask()
                self._wanted[node] += 1

    def _meter(self, node: str) -> NodeMeter:
        with self._lock:
            if node not in self._meters:
                meter = NodeMeter(
                    self._engine, container_name(self._lab.name, node), lambda answer: self._write(node, answer)
                )
                self._meters[node], self._answers[node] = meter, self._wanted[node]
                self._last.pop(node, None)
                threading.Thread(target=self._read, args=(node, meter), name=f"health-{node}", daemon=True).start()
            return self._meters[node]

    def _read(self, node: str, meter: NodeMeter) -> None:
        """Until the shell ends; it is started anew then when it is asked next."""
        meter.read()
        with self._lock:
            if self._meters.get(node) is meter:
                del self._meters[node]
        meter.close()
        self._answers[node] = self._wanted[node]
        self._answered.notify()

    def _write(self, node: str, answer: MeterAnswer) -> None:
        at_s = self._journal.at_s(time.monotonic())
        with self._lock:
            if node in self._meters:
                self._note_waits(node, answer, at_s)
                for one in answer.figures:
                    self._journal.write(Measured(at_s=at_s, node=node, **asdict(one)))
        self._answers[node] += 1
        self._answered.notify()

    def _note_waits(self, node: str, answer: MeterAnswer, at_s: float) -> None:
        """Note where threads of a node's daemons had to wait for a CPU since the answer before. How late their work was
        by that nobody knows; it is no stall, in which nothing at all goes on."""
        before_s, before = self._last.get(node, (at_s, None))
        daemon, waited_s = answer.longest_wait(before)
        if waited_s >= LATE_S:
            what = f"a thread of {daemon} had to wait for a CPU for {waited_s:.1f} s of {at_s - before_s:.1f} s"
            self._journal.write(Disturbed(before_s, at_s, node, what, SCHEDULER, round(waited_s, 3)))
        self._last[node] = at_s, answer
