"""Follows what every node of a lab says, also across the end and the return of a node."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType

from labctl.asterisk import output
from labctl.asterisk.output import Message
from labctl.blueprint.running_lab import Running
from labctl.cluster.connections import LAB_CONTEXT, Cluster
from labctl.cluster.views import StateRow
from labctl.engine.client import Engine
from labctl.errors import LabctlError
from labctl.timing import Deadline, Signal

OPEN_S = 5.0
BACK_S = 30.0
AGAIN_S = 1.0
"""At most so often a node is connected to that hangs up at once; at most so long a start goes unnoticed."""

OnState = Callable[[str, str, str, float], None]
"""Called with node, extension, state and the monotonic time at which labctl heard of it."""
OnNode = Callable[[str, dict[str, str] | None], None]
"""Called with a node that is back, and what it says of each extension; or None where it has gone."""


class Watch:
    """Connections to every node that stay, or come back. Use it as a context manager; calls come from its threads.

    A node that is lost has one thread that brings it back, however often it hangs up meanwhile.
    """

    def __init__(self, engine: Engine, running: Running, on_state: OnState, on_node: OnNode) -> None:
        self._engine = engine
        self._running = running
        self._on_state = on_state
        self._on_node = on_node
        self._over = False
        self._lock = threading.Lock()
        self._lost: set[str] = set()
        self._starts = Signal()
        self._cluster = Cluster(engine, running)

    def __enter__(self) -> Watch:
        with ExitStack() as undo:
            self._following = self._engine.starts(self._running.lab.name)
            undo.callback(self._following.close)
            self._cluster.open()
            self._cluster.await_booted(Deadline(OPEN_S))
            self._cluster.listen(self._heard)
            for node in self._running.lab.nodes:
                if not self._connected(node.name):
                    self._lose(node.name)
            threading.Thread(target=self._notice_starts, name="notice-starts", daemon=True).start()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._starts.notify()
        self._following.close()
        self._cluster.close()

    def states(self) -> list[StateRow]:
        """What every node says now."""
        return self._cluster.states()

    def _connected(self, node: str) -> bool:
        return node in self._cluster.connected and not self._cluster.connection(node).ended

    def _heard(self, node: str, at_s: float, message: Message) -> None:
        if message.get("Event") == "ExtensionStatus" and message.get("Context") == LAB_CONTEXT:
            self._on_state(node, message["Exten"], output.extension_state(message["Status"]), at_s)
        elif message.get("Event") == "Disconnected" and not self._over:
            self._lose(node)

    def _lose(self, node: str) -> None:
        """A node has gone. That is told once, and one thread waits for it, until it is back."""
        with self._lock:
            if node in self._lost:
                return
            self._lost.add(node)
        self._on_node(node, None)
        threading.Thread(target=self._regain, args=(node,), name=f"regain-{node}", daemon=True).start()

    def _notice_starts(self) -> None:
        """Have a node that starts connected to at once."""
        for _ in self._following:
            self._starts.notify()

    def _regain(self, node: str) -> None:
        """Connect again as soon as the node is there: at once where just its Asterisk went, else when it starts."""
        while not self._over:
            starts = self._starts.count
            states: dict[str, str] | None = None
            with suppress(LabctlError):
                self._cluster.reconnect(node, Deadline(BACK_S))
                states = {row.extension: row.states[node] for row in self._cluster.states([node]) if node in row.states}
            with self._lock:
                is_back = states is not None and self._connected(node)
                if is_back:
                    self._lost.discard(node)
            if is_back:
                self._on_node(node, states)
                return
            self._starts.wait_beyond(starts, Deadline(AGAIN_S))
