"""A live lab that needs no engine: fakes at its seams, which know what they were asked, and refuse what they do not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

from labctl.blueprint.running_lab import Running
from labctl.cluster.connections import Cluster
from labctl.cluster.views import StateRow
from labctl.corosync.membership import Membership
from labctl.engine.client import Engine
from labctl.engine.commands import Output
from labctl.engine.observation import Network, Observation
from labctl.errors import LabctlError
from labctl.faults.model import PreparedFault
from labctl.history.events import Did, Ended, Event
from labctl.history.journal import Journal
from labctl.lab import Lab
from labctl.progress import Silent
from labctl.scenario.assembly import STEPS
from labctl.scenario.crash_watch import CrashWatch
from labctl.scenario.fault_control import FaultControl
from labctl.scenario.live_lab import LiveLab
from labctl.scenario.recorder import Recorder
from labctl.scenario.switchboard import Switchboard
from labctl.sip.phones import Phones
from labctl.sip.sipp import Agent
from labctl.sip.transcript import Ending
from labctl.sip.user_agent import MessageListener, UserAgent
from labctl.sip_message import SipMessage, parse_message
from labctl.timing import Deadline, Signal
from tests.unit.labs import SUBNET, lab, stack

__all__ = ["STEPS"]

TRYING, RINGING, OK = "100 Trying", "180 Ringing", "200 OK"


class FakeEngine:
    """Nodes whose tools print what `texts` has for them: one answer after the other, the last for ever."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.ran: list[tuple[str, str]] = []
        self.code = 0

    def run(self, container: str, command: list[str]) -> Output:
        self.ran.append((container, command[-1]))
        texts = self.texts.get(container, [""])
        return Output(self.code, texts.pop(0) if len(texts) > 1 else texts[0])


class FakeConnection:
    """An AMI connection that answers each question by its action."""

    def __init__(self, node: str, sent: list[tuple[str, str, dict[str, str]]]) -> None:
        self._node = node
        self._sent = sent

    def send(self, action: str, **fields: str) -> str:
        self._sent.append((self._node, action, fields))
        return str(len(self._sent) - 1)

    def answer(self, number: str) -> dict[str, str]:
        _, action, _ = self._sent[int(number)]
        return {"MailboxCount": {"NewMessages": "1", "OldMessages": "0"}, "Setvar": {}}[action]

    def ask(self, action: str, **fields: str) -> dict[str, str]:
        self._sent.append((self._node, action, fields))
        return {"VoicemailRefresh": {}}[action]


class FakeCluster:
    """Connections to nodes; every ring is whole until `rings` says otherwise."""

    def __init__(self, of: Lab) -> None:
        self.lab = of
        self.rings = {node.name: tuple(other.nodeid for other in of.nodes) for node in of.nodes}
        self.sent: list[tuple[str, str, dict[str, str]]] = []
        self.calls: list[str] = []
        self.said: dict[str, str] = {}
        self.failing: LabctlError | None = None
        self.on_look: Callable[[], None] = lambda: None

    def open(self) -> None:
        self.calls.append("open")

    def await_ready(self, _deadline: Deadline) -> None:
        if self.failing:
            raise self.failing

    def listen(self, _listener: object) -> None:
        self.calls.append("listen")

    def listen_to_logs(self, _listener: object) -> None:
        self.calls.append("listen to logs")

    def close(self) -> None:
        self.calls.append("close")

    def connection(self, node: str) -> FakeConnection:
        return FakeConnection(node, self.sent)

    def set_device(self, node: str, device: str, state: str) -> str:
        return self.connection(node).send("Setvar", Device=device, State=state)

    def known_ring(self, node: str) -> Membership:
        return Membership(True, self.rings[node])

    def states(self, nodes: tuple[str, ...]) -> list[StateRow]:
        self.on_look()
        return [StateRow("101", "PJSIP/alice", {node: self.said.get(node, "Idle") for node in nodes})]

    def await_state(self, extension: str, state: str, deadline: Deadline, nodes: list[str]) -> None:
        self.calls.append(f"await {extension} {state} on {','.join(nodes)} for {deadline.timeout_s:g} s")


class FakeFaults:
    """Faults in force, by name; `healed` are those that were undone."""

    def __init__(self, of: Lab) -> None:
        self.gone: set[str] = set()
        self.waiting: frozenset[str] = frozenset()
        self.faults: dict[str, PreparedFault] = {}
        self.disturbed = False
        self.expected: dict[str, tuple[str, ...]] | None = {
            node.name: tuple(other.name for other in of.cluster_of(node.name)) for node in of.nodes
        }
        self.calls: list[str] = []
        self.failing: LabctlError | None = None

    @property
    def in_force(self) -> tuple[str, ...]:
        return tuple(self.faults)

    def expected_rings(self, _traffic: str) -> dict[str, tuple[str, ...]] | None:
        return self.expected

    def inflict(self, fault: Any) -> str:
        self.calls.append(repr(fault))
        return str(fault.named())

    def start(self, node: str, service: str) -> None:
        self.calls.append(f"start {node} {service}")

    def heal(self, name: str = "all") -> None:
        self.calls.append(f"heal {name}")
        if self.failing:
            raise self.failing
        self.faults.clear()

    def await_returned(self) -> None:
        self.calls.append("await returned")

    def note_settled(self) -> None:
        self.calls.append("settled")

    def close(self) -> None:
        self.calls.append("close")


class FakeCrashes:
    """Watches nothing. `restored`: whether anything had to be waited for, in turn; nothing after that."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.restored: list[bool] = []

    def begin(self) -> None:
        self.calls.append("begin")

    def end(self) -> None:
        self.calls.append("end")

    def await_restored(self) -> bool:
        self.calls.append("await restored")
        return self.restored.pop(0) if self.restored else False


class FakeAgent(UserAgent):
    """A SIP agent without a process: what it is ordered is kept, and the test says what comes over its wire."""

    def __init__(self, name: str, activity: str, signal: Signal, on_message: MessageListener) -> None:
        agent = Agent(
            name, "secret", "192.0.2.1", "192.0.2.9", 6000, range(20000, 20010), "", token=f"{name}-{activity}"
        )
        super().__init__(agent, activity, signal, {}, on_message)
        self.orders: list[str] = []
        self.number = 1
        self.on_order: Callable[[], None] = lambda: None

    def message(self, start: str, cseq: str, *, sent: bool, more: str = "") -> None:
        """A message of its call goes over the wire."""
        head = f"{start}\r\nCall-ID: {self.agent.call_id}\r\nVia: x;branch={self.number}\r\nCSeq: {self.number} {cseq}"
        message: SipMessage = parse_message(f"{head}\r\n{more}Content-Length: 0\r\n\r\n", 0.0, sent)
        if self.add(message):
            self._on_message(self.agent.name, message)
        self._signal.notify()

    def invite(self, *statuses: str) -> None:
        """It sends an INVITE with credentials, and its node answers."""
        self.message("INVITE sip:102@192.0.2.1 SIP/2.0", "INVITE", sent=True, more="Authorization: Digest\r\n")
        for status in statuses:
            self.message(f"SIP/2.0 {status}", "INVITE", sent=False)

    def request(self, method: str, *, sent: bool) -> None:
        """A request of its call goes over the wire."""
        self.number += 1
        self.message(f"{method} sip:x SIP/2.0", method, sent=sent)

    def end(self, code: int = 0) -> None:
        """Its process ends."""
        self.ending = Ending(code, "")
        self._signal.notify()

    def _order(self, text: str) -> None:
        self.orders.append(text.split(maxsplit=1)[0])
        self.on_order()


class FakePhones:
    """Phones that are on as soon as they are switched on. `script` is what a call's agent does when it is made."""

    def __init__(self, on_message: MessageListener) -> None:
        self.on_message = on_message
        self.signal = Signal()
        self.calls: list[str] = []
        self.agents: list[FakeAgent] = []
        self.script: Callable[[FakeAgent], None] = lambda agent: agent.invite(TRYING)
        self.failing: LabctlError | None = None

    def open(self) -> None:
        self.calls.append("open")
        if self.failing:
            raise self.failing

    def close(self) -> None:
        self.calls.append("close")

    def agent(self, name: str, activity: str) -> FakeAgent:
        agent = FakeAgent(name, activity, self.signal, self.on_message)
        self.agents.append(agent)
        return agent

    def switch_on(self, name: str, ring_ms: int = 0, audio: bool = True, manner: object = None) -> UserAgent:
        del manner
        self.calls.append(f"on {name} {ring_ms} {audio}")
        return self.agent(name, "phone")

    def switch_off(self, agent: UserAgent) -> Ending:
        self.calls.append(f"off {agent.agent.name}")
        return Ending(0, "")

    def watch(self, name: str, extension: str = "") -> UserAgent:
        self.calls.append(f"watch {name} {extension}")
        return self.agent(name, f"watches {extension}")

    def call(self, name: str, extension: str, talk_ms: int) -> UserAgent:
        self.calls.append(f"call {name} {extension} {talk_ms}")
        agent = self.agent(name, f"calls {extension}")
        self.script(agent)
        return agent


class Rig:
    """A live lab, and the fakes that it stands on."""

    def __init__(self, text: str = "name: lab\n") -> None:
        of = lab(text)
        running = Running(of, stack(), Observation((Network("id", "labctl-lab", "lab", SUBNET, "seed"),)))
        self.journal = Journal()
        self.engine = FakeEngine()
        self.cluster = FakeCluster(of)
        self.faults = FakeFaults(of)
        self.crashes = FakeCrashes()
        self.phones = FakePhones(lambda _name, _message: None)
        recorder = Recorder(self.journal, of, stack())

        def connect(on_message: MessageListener) -> Phones:
            self.phones.on_message = on_message
            return cast("Phones", self.phones)

        self.switchboard = Switchboard(
            of, self.journal, self.faults.gone, connect, recorder.phone_said, recorder.nodes_of
        )
        self.live = LiveLab(
            cast("Engine", self.engine),
            running,
            cast("Cluster", self.cluster),
            self.switchboard,
            cast("FaultControl", self.faults),
            recorder,
            self.journal,
            Silent(),
            crashes=cast("CrashWatch", self.crashes),
        )

    @property
    def did(self) -> list[tuple[str, str]]:
        """The steps that were written down, each with what went wrong."""
        return [(event.what, event.error) for event in self.journal.events if isinstance(event, Did)]

    @property
    def ended(self) -> list[str]:
        """Why each call ended that did, "" where it went as it should."""
        return [event.why for event in self.journal.events if isinstance(event, Ended)]

    def events(self, kind: type[Event]) -> list[Event]:
        """The events of a kind."""
        return [event for event in self.journal.events if isinstance(event, kind)]

    def meanwhile(self, do: Callable[[], None]) -> threading.Thread:
        """Do something in a thread of its own, as what comes from nodes and phones does."""
        thread = threading.Thread(target=do, daemon=True)
        thread.start()
        return thread
