"""Finds out why the connection to a node of a live lab was lost, writes that down, and connects again.

An Asterisk, or a whole node, that ended though no fault of the run ended it has crashed. Where Asterisk went on, only
labctl's own connection was lost, as when a machine is too busy for it: what the node told meanwhile nobody heard.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from labctl.blueprint.running_lab import Running
from labctl.cluster import asterisk_process
from labctl.cluster.node_links import Loss, LossListener
from labctl.engine.client import Engine
from labctl.errors import LabctlError, LabError
from labctl.history.events import AMI, Disturbed
from labctl.history.journal import Journal
from labctl.names import container_name
from labctl.scenario.fault_control import BACK_S
from labctl.timing import PATIENCE, Deadline, Signal

DEAF = "it runs, and does not answer any more"
"""How an Asterisk ended that has not."""


@dataclass(frozen=True)
class Crash:
    """How a node's Asterisk ended, or all of the node; and when, on the monotonic clock."""

    at_s: float
    how: str
    whole: bool = False


class Connections(Protocol):
    """What is wanted of the connections to the nodes of a lab (cluster.connections.Cluster)."""

    def listen_to_losses(self, listener: LossListener) -> None:
        """Call `listener` with every node whose connection is lost, from the node's own thread."""

    def lost(self, node: str) -> Loss | None:
        """The loss of the connection to a node; None where it stands, or labctl hung up."""

    def container_state(self, node: str) -> str:
        """The state of a node's container now; "" where there is none."""

    def reconnect(self, node: str, deadline: Deadline) -> None:
        """Connect anew, and return when the node is fully booted. Raises NotReady."""


class Nodes(Protocol):
    """What is wanted of the faults of a lab (fault_control.FaultControl): they know who is gone."""

    gone: set[str]
    ended: set[str]

    def note_crash(self, node: str, at_s: float, how: str, *, whole: bool) -> None:
        """A node's Asterisk, or the whole node, was found to have ended by itself."""

    def note_back(self, node: str) -> None:
        """A node that was gone is back, and connected to."""


class CrashWatch:
    """Acts from `begin` to `end`, in the thread of the connection that was lost. At rest it costs nothing."""

    def __init__(
        self, engine: Engine, running: Running, connections: Connections, faults: Nodes, journal: Journal
    ) -> None:
        self._engine = engine
        self._lab = running.lab
        self._connections = connections
        self._faults = faults
        self._journal = journal
        self._lock = threading.Lock()
        self._restoring: set[str] = set()
        self._restored = Signal()
        self._over = False

    def begin(self) -> None:
        """Watch from now on."""
        self._connections.listen_to_losses(self._lost)

    def end(self) -> None:
        """Watch no more; nothing is written after this."""
        self._over = True

    def await_restored(self) -> bool:
        """Return when every node that crashed, or that labctl lost, is connected to again, or does not come back;
        whether there was any.

        A node that ended as a whole is not waited for; once its container runs again, it is connected to.
        """
        waited = False
        for node in [] if self._over else [node.name for node in self._lab.nodes]:
            if node in self._faults.ended and self._connections.container_state(node) == "running":
                self._restore(node, self._connect_again)
                waited = True
            elif node not in self._faults.gone and (loss := self._connections.lost(node)):
                self._lost(loss)
                waited = True
        waited = waited or bool(self._restoring)
        self._restored.wait_until(lambda: not self._restoring, PATIENCE.deadline(BACK_S))
        return waited

    # How

    def _lost(self, loss: Loss) -> None:
        """A connection has ended. Nothing is done where a fault keeps the node away, or another thread sees to it."""
        lost_s = time.monotonic()
        self._restore(loss.node, lambda _node: self._find_out(loss, lost_s))

    def _restore(self, node: str, restore: Callable[[str], None]) -> None:
        with self._lock:
            kept_away = node in self._faults.gone and node not in self._faults.ended
            if self._over or kept_away or node in self._restoring:
                return
            self._restoring.add(node)
        try:
            with suppress(LabctlError):  # it does not come back, or the engine is gone: whoever asks it next says so
                restore(node)
        finally:
            self._restoring.discard(node)
            self._restored.notify()

    def _find_out(self, loss: Loss, lost_s: float) -> None:
        """Tell a crash from a connection that was lost, until the node is connected to again.

        An Asterisk that is about to end hangs up before it does: it is looked at once more when all is well again.
        """
        deadline, connected = PATIENCE.deadline(BACK_S), False
        crash = self._crash(loss, lost_s)
        while crash is None and not connected and not self._over:
            with suppress(LabctlError):
                self._connections.reconnect(loss.node, deadline)
                connected = True
            deaf = deadline.passed and not connected
            crash = self._crash(loss, lost_s) or (Crash(lost_s, DEAF) if deaf else None)
        if self._over or loss.node in self._faults.gone:
            return
        if crash is None:
            self._write_loss(loss)
            return
        self._faults.note_crash(loss.node, self._journal.at_s(crash.at_s), crash.how, whole=crash.whole)
        if connected:
            self._faults.note_back(loss.node)
        elif not crash.whole:
            self._connect_again(loss.node)

    def _crash(self, loss: Loss, lost_s: float) -> Crash | None:
        """How a node, or its Asterisk, ended; None where its Asterisk is still the same.

        The same Asterisk has run for longer than the connection to it was there. One that ended did so after it was
        heard of last, and before its connection was seen to end: the others may have told of it by then.
        """
        state = self._connections.container_state(loss.node)
        if state != "running":
            return Crash(lost_s, f"its container is {state or 'gone'}", whole=True)
        now_s = time.monotonic()
        try:
            process = asterisk_process.look(self._engine, container_name(self._lab.name, loss.node))
        except LabError:
            process = None
        if process is None:
            return Crash(lost_s, "its container has just ended", whole=True)
        if process.age_s is not None and process.age_s >= now_s - loss.began_s:
            return None
        ago_s = process.ended_ago_s if process.ended_ago_s is not None else process.age_s
        ended_s = lost_s if ago_s is None else now_s - ago_s
        return Crash(min(max(ended_s, loss.heard_s), lost_s), process.ended)

    def _connect_again(self, node: str) -> None:
        """Connect to a node that has crashed as soon as it is there, however often its Asterisk ends meanwhile."""
        deadline = PATIENCE.deadline(BACK_S)
        while not self._over:
            try:
                self._connections.reconnect(node, deadline)
            except LabctlError:
                if deadline.passed or self._connections.container_state(node) != "running":
                    raise
                continue
            self._faults.note_back(node)
            return

    def _write_loss(self, loss: Loss) -> None:
        now_s, since_s = self._journal.now_s(), self._journal.at_s(loss.heard_s)
        what = f"labctl's connection to {loss.node} was lost: what it told in {now_s - since_s:.1f} s is not known"
        self._journal.write(Disturbed(since_s, now_s, loss.node, what, AMI))
