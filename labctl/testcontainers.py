"""A cluster for those who come from testcontainers: `with AsteriskCluster(nodes=3) as cluster:`.

It starts and stops like one of its containers, and every step of a scenario is a method of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from labctl.checks import registry
from labctl.checks.finding import Limits, Verdict
from labctl.checks.registry import CHECKS
from labctl.cluster import lifecycle as labs
from labctl.engine import client as engines
from labctl.errors import LabError, NotReady
from labctl.faults.model import NODE
from labctl.history import story
from labctl.history.events import Called, Ended, Over
from labctl.history.journal import Journal
from labctl.images.builder import Options
from labctl.lab import Overrides
from labctl.labfile.loader import find_lab
from labctl.progress import Progress, Silent
from labctl.scenario.live_lab import Stage

TIMEOUT_S = 120.0
OLD_S = 10.0
"""How long a lab that was there already may take to be ready, before it is made anew."""


class ExecResult(NamedTuple):
    """What a command in a container left, as testcontainers has it."""

    exit_code: int
    output: bytes


class BrokenCheck(LabError, AssertionError):
    """A check does not hold; the message has its findings and the story."""


class AsteriskCluster(Stage):
    """A lab that comes up in `start` and goes in `stop`.

    `lab` is a shipped name or a path; `nodes`, `stack` and `name` stand over what it says. `image` is a node image that
    was built elsewhere. `history` is a file for the run's history. `keep` leaves the lab up, with its faults healed.
    Needs a Docker Engine.
    """

    def __init__(
        self,
        lab: str | None = None,
        *,
        nodes: int | None = None,
        stack: str | None = None,
        name: str | None = None,
        image: str | None = None,
        options: Options = Options(),  # noqa: B008 - frozen
        history: Path | None = None,
        keep: bool = False,
        timeout_s: float = TIMEOUT_S,
        progress: Progress | None = None,
    ) -> None:
        self._wanted = (lab, Overrides(name or f"tc-{os.getpid()}", stack, nodes))
        self._image = image
        self._options = options
        self._history = history
        self._keep = keep
        self._timeout_s = timeout_s
        self._shown = progress or Silent()
        self._up = False

    def __enter__(self) -> AsteriskCluster:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._up:
            self._finish_run(str(error) if error else "")

    def with_name(self, name: str) -> AsteriskCluster:
        """Give the lab a name; to be called before `start`."""
        self._wanted = (self._wanted[0], replace(self._wanted[1], name=name))
        return self

    def with_nodes(self, nodes: int) -> AsteriskCluster:
        """Say how many nodes; to be called before `start`."""
        self._wanted = (self._wanted[0], replace(self._wanted[1], nodes=nodes))
        return self

    def start(self, node: str = "", service: str = NODE) -> AsteriskCluster:  # type: ignore[override]
        """Without a node, bring the lab up, proven ready, and begin its history; else the step `start` of that node.

        Raises LabctlError.
        """
        if node:
            super().start(node, service)
            return self
        engine = engines.connect()
        lab, stack = find_lab(*self._wanted)
        stack = stack.with_image(self._image)
        old = lab.name in labs.names(engine)
        try:
            labs.up(engine, lab, stack, self._options, OLD_S if old else self._timeout_s, self._shown)
        except NotReady:
            if not old:
                raise
            # One that cannot be mended, such as one with a module that is deaf for good.
            labs.down(engine, lab.name, self._shown)
            labs.up(engine, lab, stack, self._options, self._timeout_s, self._shown)
        super().__init__(engine, labs.load(engine, lab.name), Journal(self._history), self._shown)
        self.open(self._wanted[0] or "")
        self._up = True
        return self

    def stop(self, node: str = "", service: str = NODE) -> None:
        """Without a node, undo every fault, switch the phones off, and take the lab away; else the step `stop`."""
        if node:
            super().stop(node, service)
        elif self._up:
            self._finish_run("")

    def _finish_run(self, error: str) -> None:
        self._up = False
        try:
            self.close(error)
        finally:
            self.journal.close()
            if not self._keep:
                labs.down(self.engine, self.lab.name, self._shown)

    def exec(self, node: str, command: str | Sequence[str]) -> ExecResult:
        """Run a command on a node: words, or a line for its shell."""
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        done = self.engine.run(self.container_of(node), words)
        return ExecResult(done.code, done.text.encode())

    def get_logs(self, node: str) -> tuple[bytes, bytes]:
        """What a node has said: Corosync and Asterisk as one, and nothing for standard error."""
        return self.engine.logs(self.container_of(node)).encode(), b""

    def verdicts(self, *wanted: str, delay_ms: float = Limits().delay_ms) -> tuple[Verdict, ...]:
        """What the checks (all, or those named) say of all that has happened so far."""
        ended = {event.call for event in self.journal.events if isinstance(event, Ended)}
        # What still goes on has time left: neither the run nor its calls are lost for want of an end.
        so_far = [each for each in self.journal.events if not isinstance(each, Called) or each.call in ended]
        judged = registry.judge([*so_far, Over(self.journal.now_s())], Limits(delay_ms=delay_ms))
        return tuple(verdict for verdict in judged if verdict.check in (wanted or CHECKS))

    def must_hold(self, *wanted: str, delay_ms: float = Limits().delay_ms) -> None:
        """Raise BrokenCheck, which is an AssertionError, if any of the checks (all, or those named) has failed."""
        broken = [each for each in self.verdicts(*wanted, delay_ms=delay_ms) if each.outcome == "failed"]
        if broken:
            lines = [f"{each.check}: {finding.text}" for each in broken for finding in each.findings]
            raise BrokenCheck("\n".join([*lines, *story.tell(self.journal.events)]))


def take_away(name: str) -> None:
    """Take a lab away by its name, whoever made it."""
    labs.down(engines.connect(), name, Silent())
