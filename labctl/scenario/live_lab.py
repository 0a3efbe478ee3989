"""A running lab on which steps are done: its nodes, its phones, its faults, and the journal of all that happens.

Every step is a method of it: `live.call("alice", "bob")`. What a step did has happened when it returns; where it does
not happen it raises LabError. Arguments are held to the same as in a scenario file, before anything is done.
"""

from __future__ import annotations

import inspect
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any

from labctl.blueprint.running_lab import Running
from labctl.checks.course import UNKNOWN
from labctl.cluster.connections import Cluster
from labctl.engine.client import Engine
from labctl.errors import HostError, LabctlError, LabError, NotReady
from labctl.history import story
from labctl.history.events import NOT_STARTED, Core, Did, Disturbed, Event, Gone, Looked, Over
from labctl.history.journal import Journal
from labctl.history.process_events import Measured
from labctl.names import container_name
from labctl.progress import Progress, step
from labctl.scenario import cores, sip_messages
from labctl.scenario.crash_watch import CrashWatch
from labctl.scenario.fault_control import FaultControl
from labctl.scenario.first_event import first_event
from labctl.scenario.health_watch import HealthWatch
from labctl.scenario.inspector import Inspector
from labctl.scenario.node_files import NodeFiles
from labctl.scenario.recorder import Recorder
from labctl.scenario.recording import Recording
from labctl.scenario.rings import Rings
from labctl.scenario.starvation import StarvationWatch
from labctl.scenario.step_parsing import understand_call
from labctl.scenario.step_registry import STEPS, Step, describe
from labctl.scenario.switchboard import Switchboard
from labctl.timing import PATIENCE, Deadline, Signal, pass_time

READY_S = 60.0
"""How long a lab that is up may take until all its nodes are connected to, booted and in their rings."""

QUIET_S = 1.0
"""A lab is quiet when for so long nothing was said in it; a state crosses in milliseconds."""

RESENT_S = 4.5
"""The same where states go by SIP and something was broken: what was lost is sent again at T2, 4 s, at the latest
(RFC 3261, 17.1.2.2)."""


class LiveLab:
    """Use it as a context manager: leaving it heals every fault and switches every phone off."""

    _last_began_s = 0.0

    def __init__(
        self,
        engine: Engine,
        running: Running,
        cluster: Cluster,
        phones: Switchboard,
        faults: FaultControl,
        recorder: Recorder,
        journal: Journal,
        progress: Progress,
        machine: StarvationWatch | None = None,
        crashes: CrashWatch | None = None,
        versions: Callable[[], Mapping[str, str]] = dict,
        recording: Recording | None = None,
        health: HealthWatch | None = None,
        fresh: bool = False,
    ) -> None:
        self.engine = engine
        self.running = running
        self.lab = running.lab
        self.stack = running.stack
        self.cluster = cluster
        self.phones = phones
        self.faults = faults
        self.journal = journal
        self.progress = progress
        self.variables: dict[str, str] = {}
        """What steps have captured, by name."""
        self.rings = Rings(running.lab, cluster, faults.expected_rings)
        self.recorder = recorder
        self._inspector = Inspector(engine, running, cluster, self.rings, journal)
        self._machine, self._crashes = machine, crashes
        self._versions, self._recording = versions, recording
        self._health, self._fresh = health, fresh
        self.files = NodeFiles(engine, running, cluster, journal)
        self._signal = Signal()
        self._numbers = itertools.count(1)
        self.steps_done: list[Step] = []
        self._lock = threading.Lock()
        self._own = threading.local()  # of the steps that go side by side each line has its own

    def __enter__(self) -> LiveLab:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(str(error) if error else "")

    def open(self, scenario: str = "", seed: int | None = None) -> None:
        """Connect to everything, and begin the history. Raises NotReady, and LabError if another labctl has the phones;
        nothing is left open then."""
        began = first_event(self.lab, self.stack, self.recorder.device, self.journal.now_s())
        self.journal.write(replace(began, scenario=scenario, seed=seed, versions=dict(self._versions())))
        for node in sorted(self.faults.waiting):
            self.journal.write(Gone(self.journal.now_s(), node, NOT_STARTED, whole=True))
        if self._recording:
            self._recording.start()
        try:
            self.cluster.open()
            self.cluster.await_ready(PATIENCE.deadline(READY_S))
            self.journal.listen(self._said)
            self.cluster.listen(self.recorder.node_said)
            for node in self.cluster.connected if self._fresh else ():
                self.recorder.node_had_logged(node, self.cluster.log_so_far(node))
            self.cluster.listen_to_logs(self.recorder.node_logged)
            self.files.tell_problems(self.live)
            self.phones.open()
            if self._machine:
                self._machine.begin(self.journal, self.running.node_ids)
            if self._crashes:
                self._crashes.begin()
            if self._recording:
                self._recording.await_begun()
            if self._health:
                self._health.begin()
        except LabctlError:
            self._end_recording()
            self.cluster.close()
            raise

    def close(self, error: str = "") -> None:
        """Undo every fault, hang up, and end the history. Goes on after an error, and raises the first at the end."""
        failures: list[LabctlError] = []

        def attempt(do: Callable[[], object]) -> None:
            try:
                do()
            except LabctlError as failure:
                failures.append(failure)

        if self.faults.faults:
            attempt(self.heal)
        attempt(self.files.undo)
        attempt(self.phones.close)
        attempt(self.faults.close)
        if self._health:
            self._health.end()
        self._end_recording()
        cores.keep(self.engine, self.lab.name, self.journal)
        if self._machine:
            self._machine.end()
        if self._crashes:
            self._crashes.end()
        # That the engine was in the way says nothing against the cluster.
        prefix = UNKNOWN if any(isinstance(failure, HostError) for failure in failures) else ""
        why = error or (prefix + failures[0].message if failures else "")
        self.journal.write(Over(self.journal.now_s(), why))
        attempt(self.cluster.close)
        if failures:
            raise failures[0]

    def _end_recording(self) -> None:
        if self._recording:
            self._recording.end()

    def await_recorded(self) -> None:
        """Return when the capture of what was closed is whole; that goes on while a lab is taken away."""
        if self._recording:
            self._recording.await_ended()

    # Steps

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        """The step of that name, as a method."""
        if verb not in STEPS:
            raise AttributeError(f"{type(self).__name__} has no attribute and no step `{verb}`")
        kind = STEPS[verb]

        def method(*positional: Any, **named: Any) -> Any:
            return self.do(verb, *positional, **named)

        method.__name__ = method.__qualname__ = verb
        method.__doc__ = inspect.getdoc(kind.do) or kind.about
        vars(method)["__signature__"] = kind.signature  # for help(), and for editors
        return method

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *STEPS})

    def do(self, verb: str, /, *positional: Any, **named: Any) -> Any:
        """Do a step: `do("call", "alice", "bob")`. That it was done, and what went wrong, is written down and shown.

        Raises UsageError for arguments that do not fit the step or the lab, before anything is done; LabError where
        what is to be done does not happen.
        """
        kind = STEPS[verb]
        arguments = understand_call(kind, positional, named, self.lab)
        shown = describe(verb, positional, named) if positional else str(Step(verb, arguments))
        self.await_connections()
        self.steps_done.append(Step(verb, arguments))
        if not kind.looks_back:
            self._own.began_s = self._last_began_s = self.journal.now_s()
        with self.recorded(shown):
            return kind.do(self, **arguments)

    @contextmanager
    def recorded(self, what: str) -> Iterator[None]:
        """Show that something is done, and write it down when it has ended, with what went wrong."""
        began_s, error = self.journal.now_s(), "it broke off"
        try:
            with step(self.progress, what):
                yield
            error = ""
        except LabctlError as raised:
            error = raised.message
            raise
        finally:
            with self._lock:
                number = next(self._numbers)
            self.journal.write(Did(self.journal.now_s(), number, what, began_s, error))

    def reset(self) -> None:
        """Have every node say that every Custom device is not in use, and empty every mailbox; then settle."""
        with self.recorded("reset"):
            self.files.undo()
            for node, device in itertools.product(self.live, self.lab.devices):
                self.set_state(node, device, "NOT_INUSE")
            for mailbox in [number for number, counts in self._inspector.kept(self.live).items() if sum(counts)]:
                self.clear_voicemail(mailbox)
            for node, boxes in self._inspector.copies(self.live).items():
                for mailbox in [number for number, counts in boxes.items() if sum(counts)]:
                    self.clear_voicemail(mailbox, node=node)
            self.settle()

    # What is there

    @property
    def since_s(self) -> float:
        """When the last step began that was none of those that look back at what it did; 0 where there was none.

        Of steps that go side by side it is the last of the same line, and at its beginning the last of all.
        """
        return float(getattr(self._own, "began_s", self._last_began_s))

    def node_of(self, phone: str) -> str:
        """The node that a phone registers with."""
        return self.recorder.node_of(phone)

    def phone_messages(self, phone: str, since_s: float) -> list[sip_messages.Passed]:
        """The SIP messages that a phone sent and received since then."""
        return self.recorder.messages(phone, since_s)

    def node_messages(self, node: str, since_s: float) -> list[sip_messages.Passed]:
        """The SIP messages on the wire from and to a node or service since then, as far as the capture has come.

        Raises HostError where there is no capture, or none any more.
        """
        if self._recording is None:
            raise HostError(
                "no packets are captured, so nobody knows what is on the wire", "run it without --no-capture"
            )
        address = {**self.running.addresses, **self.running.service_addresses}.get(node, "")
        messages = self._recording.messages(since_s)
        if self._recording.ended:
            raise HostError(f"nobody knows what is on the wire: {self._recording.ended}")
        return sip_messages.of_address(messages, address)

    @property
    def live(self) -> tuple[str, ...]:
        """The nodes that answer."""
        return tuple(node.name for node in self.lab.nodes if node.name not in self.faults.gone)

    @property
    def gone(self) -> set[str]:
        """The nodes that do not answer, by what was done to them."""
        return self.faults.gone

    @property
    def in_force(self) -> tuple[str, ...]:
        """The names of the faults in force."""
        return self.faults.in_force

    @property
    def abilities(self) -> frozenset[str]:
        """What this kernel can do for faults; the first look takes a second."""
        return self.faults.abilities

    def tell(self) -> list[str]:
        """The story so far: what was done, what each node said, when."""
        return story.tell(self.journal.events)

    def container_of(self, node: str) -> str:
        """The name of a node's container. Raises UsageError."""
        self.running.container(node)
        return container_name(self.lab.name, node)

    def run_on(self, node: str, command: list[str], *, may_fail: bool = False) -> str:
        """What a command prints in a node's container. Raises LabError where it fails, unless it may."""
        output = self.engine.run(self.container_of(node), command)
        if output.code and not may_fail:
            raise LabError(f"{node}: `{command[-1]}` ended with {output.code}: {output.text.strip()}")
        return output.text

    def look(self) -> Looked:
        """All that the nodes and phones say now, as one event of the history.

        It is taken once more where the connection to a node was lost meanwhile.
        """
        for last in (False, True):
            try:
                look = self._inspector.look(self.live, self.phones.watchers.lamps())
            except LabError:
                if last or not self.await_connections():
                    raise
            else:
                if last or not self.await_connections():
                    break
        self.journal.write(look)
        return look

    # Waiting

    def await_connections(self) -> bool:
        """Return when each node that crashed by itself, or was lost, is connected to again; whether any was."""
        return self._crashes is not None and self._crashes.await_restored()

    def await_started(self) -> None:
        """Return when the nodes that were started are connected to, and their packets are captured again."""
        self.await_connections()
        if self._recording:
            self._recording.await_captured(self.live)

    def settle_until(self, deadline: Deadline) -> None:
        """Wait until the rings are what the faults in force leave of them and the lab is quiet; then look.

        Raises NotReady at the deadline, or as soon as too little time is left to tell that it is quiet.
        """
        self.await_connections()
        self.faults.await_returned()
        self.wait_until(lambda: self.rings.amiss(self.live), deadline)
        self.faults.note_settled()
        resends = self.faults.disturbed and self.lab.via == "pjsip-publish"
        quiet_s = RESENT_S if resends else QUIET_S
        if deadline.timeout_s < quiet_s:
            raise NotReady(
                f"a lab is quiet when nothing was said for {quiet_s:g} s, and settle has {deadline.timeout_s:g} s",
                {},
                "give it more time",
            )
        if not self.await_quiet(quiet_s, deadline):
            raise NotReady(f"something is still being said after {deadline.timeout_s:g} s", {}, "the history has what")
        self.look()

    def _said(self, event: Event) -> None:
        """Something was said in the lab; what labctl measures by itself, and notes of the machine, is not."""
        if not isinstance(event, Measured | Disturbed | Core):
            self._signal.notify()

    def await_quiet(self, quiet_s: float, deadline: Deadline) -> bool:
        """Return when nothing was said for so long, or too little time is left to tell; whether it is quiet."""
        return self._signal.wait_quiet(quiet_s, deadline)

    @property
    def heard(self) -> int:
        """How much has been said in the lab so far."""
        return self._signal.count

    def await_news(self, heard: int, timeout_s: float) -> None:
        """Return when more was said than `heard`, or after so many seconds."""
        self._signal.wait_beyond(heard, Deadline(timeout_s))

    def pass_time(self, duration_s: float) -> None:
        """Return after so many seconds, whatever is said."""
        pass_time(duration_s)

    def wait_until(self, lacking: Callable[[], str], deadline: Deadline) -> None:
        """Return when nothing is lacking any more, looked at after each event. Raises NotReady with what still is."""
        missing = ""

        def complete() -> bool:
            nonlocal missing
            missing = lacking()
            return not missing

        if not self._signal.wait_until(complete, deadline):
            raise NotReady(f"{missing}, after {deadline.timeout_s:g} s", {}, "the history has what was seen")
