"""What the steps stand on: a running lab, connections to all of it, and the journal of what is done and seen."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from labctl.blueprint.running_lab import Running
from labctl.cluster.connections import Cluster
from labctl.engine.client import Engine
from labctl.errors import LabctlError, UsageError
from labctl.history.events import Did
from labctl.history.journal import Journal
from labctl.progress import Progress, step
from labctl.scenario.recorder import Recorder
from labctl.timing import Deadline, Signal

BACK_S = 60.0
"""How long a node may take to be back after it was gone; it takes two to five seconds."""


class Ground:
    """A running lab on which something is done. `gone` are the nodes that do not answer, by what was done to them."""

    def __init__(self, engine: Engine, running: Running, journal: Journal, progress: Progress) -> None:
        self.engine = engine
        self.running = running
        self.lab = running.lab
        self.stack = running.stack
        self.journal = journal
        self.progress = progress
        self.gone: set[str] = set()
        self.addresses = running.addresses
        self._cluster = Cluster(engine, running)
        self._recorder = Recorder(journal, running.lab, running.stack)
        self._signal = Signal()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def live(self) -> tuple[str, ...]:
        """The nodes that answer."""
        return tuple(node.name for node in self.lab.nodes if node.name not in self.gone)

    def known_node(self, name: str) -> str:
        """The name, if a node of the lab has it. Raises UsageError."""
        return _known("node", name, [node.name for node in self.lab.nodes])

    def known_phone(self, name: str) -> str:
        """The name, if a phone of the lab has it. Raises UsageError."""
        return _known("phone", name, [phone.name for phone in self.lab.phones])

    def _listen(self) -> None:
        """Have all that is seen written down from now on, and the quiet after it noticed."""
        self.journal.listen(lambda _: self._signal.notify())
        self._cluster.listen(self._recorder.node_said)
        self._cluster.listen_to_logs(self._recorder.node_logged)

    def _await_quiet(self, quiet_s: float, deadline: Deadline) -> bool:
        """Return when nothing has been said for so long, or the deadline passes; whether it is quiet."""
        return self._signal.wait_quiet(quiet_s, deadline)

    def _record(self, what: str, began_s: float, error: str) -> None:
        with self._lock:
            number = next(self._numbers)
        self.journal.write(Did(self.journal.now_s(), number, what, began_s, error))


def _known(kind: str, name: str, known: list[str]) -> str:
    if name not in known:
        raise UsageError(f"no {kind} `{name}` in this lab", f"known here: {', '.join(known) or 'none'}")
    return name


Self = TypeVar("Self", bound=Ground)
Given = ParamSpec("Given")
Result = TypeVar("Result")


def a_step(
    method: Callable[Concatenate[Self, Given], Result],
) -> Callable[Concatenate[Self, Given], Result]:
    """Marks a method as a step: that it was done, and what went wrong, is written down and shown."""

    @functools.wraps(method)
    def recorded(self: Self, /, *given: Given.args, **named: Given.kwargs) -> Result:
        what = describe(method.__name__, given, named)
        began_s, error = self.journal.now_s(), "it broke off"
        try:
            with step(self.progress, what):
                result = method(self, *given, **named)
            error = ""
            return result  # noqa: TRY300 - what is raised is written down too
        except LabctlError as raised:
            error = raised.message
            raise
        finally:
            self._record(what, began_s, error)

    return recorded


def describe(verb: str, given: tuple[Any, ...], named: dict[str, Any]) -> str:
    """A step as people read it: `set_state n1 mystate BUSY`."""
    words = [_shown(value) for value in given]
    words += [f"{key}={_shown(value)}" for key, value in named.items() if value is not None]
    return " ".join([verb, *words])


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        nested = any(isinstance(each, list | tuple) for each in value)
        return (" | " if nested else ",").join(_shown(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
