"""A running lab on which steps are done: its nodes, its phones, its faults, and the journal of all that happens.

Every step is a method of it: `live.call("alice", "bob")`. What a step did has happened when it returns; where it does
not happen it raises LabError. Arguments are held to the same as in a scenario file, before anything is done.
"""

from __future__ import annotations

import datetime
import inspect
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from labctl.blueprint.running_lab import Running
from labctl.checks.course import UNKNOWN
from labctl.cluster.connections import Cluster
from labctl.engine.client import Engine
from labctl.errors import HostError, LabctlError, LabError, NotReady
from labctl.history import story
from labctl.history.events import Began, Did, Looked, Over
from labctl.history.journal import Journal
from labctl.names import container_name
from labctl.progress import Progress, step
from labctl.scenario.crash_watch import CrashWatch
from labctl.scenario.fault_control import FaultControl
from labctl.scenario.inspector import Inspector
from labctl.scenario.recorder import Recorder
from labctl.scenario.rings import Rings
from labctl.scenario.starvation import StarvationWatch
from labctl.scenario.step_parsing import understand_call
from labctl.scenario.step_registry import STEPS, Step, describe
from labctl.scenario.switchboard import Switchboard
from labctl.timing import PATIENCE, Deadline, Signal

READY_S = 60.0
"""How long a lab that is up may take until all its nodes are connected to, booted and in their rings."""

QUIET_S = 1.0
"""A lab is quiet when for so long nothing was said in it; a state crosses in milliseconds."""

RESENT_S = 4.5
"""The same where states go by SIP and something was broken: what was lost is sent again at T2, 4 s, at the latest
(RFC 3261, 17.1.2.2)."""


class LiveLab:
    """Use it as a context manager: leaving it heals every fault and switches every phone off."""

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
        self.rings = Rings(running.lab, cluster, faults.expected_rings)
        self._recorder = recorder
        self._inspector = Inspector(engine, running, cluster, self.rings, journal)
        self._machine = machine
        self._crashes = crashes
        self._versions = versions
        self._signal = Signal()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

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
        self.journal.write(self._beginning(scenario, seed))
        try:
            self.cluster.open()
            self.cluster.await_ready(PATIENCE.deadline(READY_S))
            self.journal.listen(lambda _event: self._signal.notify())
            self.cluster.listen(self._recorder.node_said)
            self.cluster.listen_to_logs(self._recorder.node_logged)
            self.phones.open()
            if self._machine:
                self._machine.begin(self.journal, self.running.node_ids)
            if self._crashes:
                self._crashes.begin()
        except LabctlError:
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
        attempt(self.phones.close)
        attempt(self.faults.close)
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

    def _beginning(self, scenario: str, seed: int | None) -> Began:
        devices = {phone.name: self._recorder.device(phone.name) for phone in self.lab.phones}
        phones = {phone.extension: devices[phone.name] for phone in self.lab.phones}
        return Began(
            at_s=self.journal.now_s(),
            scenario=scenario,
            lab=self.lab.name,
            stack=self.stack.name,
            nodes=tuple(node.name for node in self.lab.nodes),
            extensions=phones | {device: f"Custom:{device}" for device in self.lab.devices},
            homes={devices[phone.name]: phone.node for phone in self.lab.phones},
            mailboxes={mailbox.number: mailbox.node for mailbox in self.lab.mailboxes},
            lamps={phone.name: phone.mailbox for phone in self.lab.phones if phone.mailbox},
            seed=seed,
            versions=dict(self._versions()),
            sites={node.name: node.site for node in self.lab.nodes if node.site},
            cache_s=self.lab.cache_s,
            via=self.lab.via,
            utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )

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
            for node, device in itertools.product(self.live, self.lab.devices):
                self.set_state(node, device, "NOT_INUSE")
            for mailbox in [number for number, counts in self._inspector.kept(self.live).items() if sum(counts)]:
                self.clear_voicemail(mailbox)
            self.settle()

    # What is there

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

    def look(self) -> Looked:
        """All that the nodes and phones say now, as one event of the history.

        It is taken once more where the connection to a node was lost meanwhile.
        """
        for last in (False, True):
            try:
                look = self._inspector.look(self.live, self.phones.lamps())
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

    def await_quiet(self, quiet_s: float, deadline: Deadline) -> bool:
        """Return when nothing was said for so long, or too little time is left to tell; whether it is quiet."""
        return self._signal.wait_quiet(quiet_s, deadline)

    def wait_until(self, lacking: Callable[[], str], deadline: Deadline) -> None:
        """Return when nothing is lacking any more, looked at after each event. Raises NotReady with what still is."""
        missing = ""

        def complete() -> bool:
            nonlocal missing
            missing = lacking()
            return not missing

        if not self._signal.wait_until(complete, deadline):
            raise NotReady(f"{missing}, after {deadline.timeout_s:g} s", {}, "the history has what was seen")
