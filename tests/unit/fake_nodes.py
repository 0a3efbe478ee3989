"""Strict fakes at the seams of a running lab: an engine of nodes whose Asterisk speaks AMI, and nothing beyond."""

from __future__ import annotations

import itertools
import queue
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from labctl.blueprint.running_lab import Running
from labctl.cluster.changed_files import KEPT
from labctl.engine.commands import Output
from labctl.engine.observation import Container, Network, Observation
from labctl.errors import LabError
from labctl.lab import Lab
from labctl.names import ROLE_NODE, container_name
from labctl.stack.model import Stack
from tests.unit import labs

GREETING = "Asterisk Call Manager/11.0.0\r\n"
STATUS = {"NOT_INUSE": "0", "INUSE": "1", "BUSY": "2", "UNAVAILABLE": "4", "RINGING": "8", "ONHOLD": "16"}


class AmiStream:
    """The bytes of one AMI session of a node: answers what the node answers, and carries its events."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node
        self._chunks: queue.Queue[bytes | None] = queue.Queue()
        self.closed = False
        if node.listens:
            self.say(GREETING)

    def say(self, text: str) -> None:
        self._chunks.put(text.encode())

    def end(self) -> None:
        """Hang up from the node's side."""
        self._chunks.put(None)

    def event(self, **headers: str) -> None:
        self.say("".join(f"{key}: {value}\r\n" for key, value in headers.items()) + "\r\n")

    def send(self, data: bytes) -> None:
        if self.closed:
            raise OSError("closed")
        for block in data.decode().split("\r\n\r\n")[:-1]:
            headers = dict(line.split(": ", 1) for line in block.split("\r\n"))
            self._node.act(self, headers)

    def __iter__(self) -> Iterator[bytes]:
        while (chunk := self._chunks.get()) is not None:
            yield chunk

    def close(self) -> None:
        self.closed = True
        self._chunks.put(None)


class LogLines:
    """A followed log: what is put into it, until it is closed. `stamps`: of the engine's clock, one for each line."""

    def __init__(self, stamps: Iterator[str]) -> None:
        self._stamps = stamps
        self._chunks: queue.Queue[bytes | None] = queue.Queue()

    def say(self, line: str) -> None:
        self._chunks.put(f"{next(self._stamps)} {line}\n".encode())

    def __iter__(self) -> Iterator[bytes]:
        while (chunk := self._chunks.get()) is not None:
            yield chunk

    def close(self) -> None:
        self._chunks.put(None)


@dataclass
class NoStarts:
    """An engine on which nothing starts."""

    closed: bool = False

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def close(self) -> None:
        """Remember that."""
        self.closed = True


@dataclass
class FakeNode:
    """One node. `commands`: CLI command -> what Asterisk prints. `tools`: what runs in its container -> what it prints,
    by a function of the script. `mute`: AMI actions that get no answer. `hangs_up_times`: how often it hangs up on who
    logs in. `deaf_sessions`: on how many of its sessions, the first ones, it hears nothing any more. `keeps_back`: what
    it tells unasked stays with it until it is spoken to, as where the signal that wakes a session is lost."""

    name: str
    number: int
    lab: FakeLab
    listens: bool = True
    boots: bool = True
    hangs_up: bool = False
    hangs_up_times: int = 0
    deaf_sessions: int = 0
    keeps_back: bool = False
    kept_back: list[Callable[[], None]] = field(default_factory=list)
    log: str = ""
    mute: set[str] = field(default_factory=set)
    commands: dict[str, str] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)
    sessions: list[AmiStream] = field(default_factory=list)
    logs: list[LogLines] = field(default_factory=list)

    def act(self, session: AmiStream, headers: dict[str, str]) -> None:
        """Answer one AMI action."""
        action, number = headers["Action"], headers["ActionID"]
        if session in self.sessions[: self.deaf_sessions]:
            return
        self._hand_out()
        if action in self.mute or (action == "Command" and headers["Command"] in self.mute):
            return
        if action == "Login":
            session.event(Response="Success", ActionID=number)
            if self.hangs_up or self.hangs_up_times:
                self.hangs_up_times = max(0, self.hangs_up_times - 1)
                session.end()
            elif self.boots:
                session.event(Event="FullyBooted")
        elif action == "Ping":
            session.event(Response="Success", ActionID=number)
        elif action == "Setvar":
            session.event(Response="Success", ActionID=number)
            device = headers["Variable"].removeprefix("DEVICE_STATE(Custom:").removesuffix(")")
            self.lab.change(self.name, device, headers["Value"])
        elif action == "ExtensionState":
            state = self.devices.get(headers["Exten"], "NOT_INUSE")
            session.event(Response="Success", ActionID=number, Status=STATUS[state])
        elif action == "Command":
            text = self.commands[headers["Command"]]
            refused = text.startswith("No such command") and self.lab.stack.name == "22"  # AMI 1.x answers as ever
            kind = "Error" if refused else "Success"
            lines = "".join(f"Output: {line}\r\n" for line in text.splitlines())
            session.say(f"Response: {kind}\r\nActionID: {number}\r\n{lines}\r\n")
        else:
            raise AssertionError(f"an action that no node of labctl's is asked: {headers}")

    def _hand_out(self) -> None:
        while self.kept_back:
            self.kept_back.pop(0)()

    def tell(self, extension: str, state: str, context: str = "proof") -> None:
        """Send an ExtensionStatus event to whoever is connected."""
        for session in self.sessions:
            tell = partial(session.event, Event="ExtensionStatus", Exten=extension, Context=context)
            if self.keeps_back:
                self.kept_back.append(partial(tell, Status=STATUS[state]))
            else:
                tell(Status=STATUS[state])


class FakeLab:
    """An engine that holds one lab, and the lab. `run_in` answers commands in containers; by default there are none."""

    def __init__(self, text: str = "name: lab\n", stack: str = "22") -> None:
        self.lab: Lab = labs.lab(text)
        self.stack: Stack = labs.stack(stack)
        self.nodes = {node.name: FakeNode(node.name, node.nodeid, self) for node in self.lab.nodes}
        self.states = dict.fromkeys(self.nodes, "running")
        self.run_in: Callable[[str, list[str]], str] = self._no_command
        self.on_change: Callable[[str, str, str], None] = self.spread
        self.ran: list[tuple[str, list[str]]] = []
        self._stamps = (f"2026-11-28T00:00:{second:012.9f}Z" for second in itertools.count(0, 0.001))
        whole = self.members(self.nodes)
        for node in self.nodes.values():
            node.log = self.ring_log(self.nodes)
            node.commands[self.stack.members_command] = whole

    def ring_log(self, members: Iterable[str]) -> str:
        """What Corosync logs of a ring."""
        ids = [self.nodes[name].number for name in members]
        return (
            "[QUORUM] This node is within the primary component and will provide service.\n"
            f"[QUORUM] Members[{len(ids)}]: {' '.join(map(str, ids))}\n"
        )

    def members(self, names: Iterable[str]) -> str:
        """What `corosync show members` prints of these nodes, in that order."""
        ids = [self.nodes[name].number for name in names]
        return "\n".join(
            f"=== Node {place}\n=== --> Group: asterisk\n=== --> Nodeid: {number}"
            for place, number in enumerate(ids, 1)
        )

    def change(self, origin: str, device: str, state: str) -> None:
        self.nodes[origin].devices[device] = state
        self.on_change(origin, device, state)

    def spread(self, origin: str, device: str, state: str) -> None:
        """As a cluster in order does: every node tells of the change."""
        for node in self.nodes.values():
            node.tell(device, state)

    @property
    def running(self) -> Running:
        return Running(self.lab, self.stack, self.observe(self.lab.name))

    def _no_command(self, node: str, command: list[str]) -> str:
        raise AssertionError(f"nothing should run in {node}: {command}")

    def _node(self, container: str) -> FakeNode:
        for name, node in self.nodes.items():
            if container in (f"id-{name}", container_name(self.lab.name, name)):
                return node
        raise LabError(f"no container {container}")

    # The engine

    def observe(self, lab: str | None = None) -> Observation:
        assert lab in (None, self.lab.name)
        containers = tuple(
            Container(f"id-{name}", container_name(self.lab.name, name), self.lab.name, ROLE_NODE, name, state, "hash")
            for name, state in self.states.items()
        )
        network = Network("id-network", "labctl-lab", self.lab.name, labs.SUBNET, "seed")
        return Observation((network,), containers)

    def run(self, container: str, command: list[str]) -> Output:
        node = self._node(container)
        self.ran.append((node.name, command))
        return Output(0, self.run_in(node.name, command))

    def find_file(self, container: str, path: str) -> str | None:
        """No node was given other files than it was made with."""
        self._node(container)
        assert path == KEPT
        return None

    def open_stream(self, container: str, command: list[str]) -> AmiStream:
        node = self._node(container)
        assert command[0] == "socat"
        if self.states[node.name] != "running":
            raise LabError(f"the container {container} is not running")
        stream = AmiStream(node)
        node.sessions.append(stream)
        return stream

    def logs(
        self, container: str, tail: int | None = None, ago_s: float | None = None, *, stamped: bool = False
    ) -> str:
        log = self._node(container).log
        return "\n".join(f"{next(self._stamps)} {line}" for line in log.splitlines()) if stamped else log

    def follow_logs(
        self, container: str, tail: int | None = None, since: str = "", *, stamped: bool = False
    ) -> LogLines:
        """From now on. What was logged since then, but for a test that says it itself, is nothing."""
        assert stamped
        followed = LogLines(self._stamps)
        self._node(container).logs.append(followed)
        return followed

    def starts(self, lab: str) -> NoStarts:
        self.followed = NoStarts()
        return self.followed
