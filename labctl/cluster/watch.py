"""Follows what every node of a lab says, also across the end and the return of a node."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from labctl.asterisk import output
from labctl.asterisk.output import Message
from labctl.blueprint.running_lab import Running
from labctl.cluster.connections import LAB_CONTEXT, Cluster
from labctl.cluster.views import StateRow
from labctl.engine.client import Engine
from labctl.errors import LabctlError
from labctl.timing import Deadline

OPEN_S = 5.0
BACK_S = 30.0

OnState = Callable[[str, str, str, float], None]
"""Told node, extension, state and the monotonic time at which labctl heard of it."""
OnNode = Callable[[str, dict[str, str] | None], None]
"""Told a node that is there again, and what it says of each extension; or None where it has gone."""


class Watch:
    """Connections to every node that stay, or come back. Use it as a context manager; calls come from its threads."""

    def __init__(self, engine: Engine, running: Running, on_state: OnState, on_node: OnNode) -> None:
        self._engine = engine
        self._running = running
        self._on_state = on_state
        self._on_node = on_node
        self._over = False
        self._cluster = Cluster(engine, running)

    def __enter__(self) -> Watch:
        self._cluster.open()
        self._cluster.await_booted(Deadline(OPEN_S))
        self._cluster.listen(self._heard)
        for node in self._running.lab.nodes:
            if node.name not in self._cluster.connected:
                self._lost(node.name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._cluster.close()

    def states(self) -> list[StateRow]:
        """What every node says now."""
        return self._cluster.states()

    def _heard(self, node: str, at_s: float, message: Message) -> None:
        if message.get("Event") == "ExtensionStatus" and message.get("Context") == LAB_CONTEXT:
            self._on_state(node, message["Exten"], output.extension_state(message["Status"]), at_s)
        elif message.get("Event") == "Disconnected" and not self._over:
            self._lost(node)

    def _lost(self, node: str) -> None:
        self._on_node(node, None)
        threading.Thread(target=self._regain, args=(node,), name=f"regain-{node}", daemon=True).start()

    def _regain(self, node: str) -> None:
        """Connect again as soon as the node is there: at once where just its Asterisk went, else when it starts."""
        starts = self._engine.starts(self._running.lab.name)
        while not self._over:
            try:
                self._cluster.reconnect(node, Deadline(BACK_S))
            except LabctlError:
                if next(starts, None) is None:
                    return
            else:
                self._on_node(node, {row.extension: row.states[node] for row in self._cluster.states([node])})
                return
