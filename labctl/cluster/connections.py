"""A running lab seen from inside: one kept AMI connection a node; ready, proven, and what each node says."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from difflib import SequenceMatcher
from types import TracebackType

from labctl.asterisk import ami, dundi, output
from labctl.asterisk.output import Message
from labctl.blueprint.running_lab import Running
from labctl.blueprint.secrets import Secrets
from labctl.cluster import config_problems
from labctl.cluster.config_problems import ConfigProblem
from labctl.cluster.node_logs import LineListener, NodeLogs
from labctl.cluster.node_tools import numbered
from labctl.cluster.views import UNKNOWN, Learned, NodeView, StateRow
from labctl.corosync import membership
from labctl.corosync.membership import Ring
from labctl.engine.client import Engine
from labctl.errors import LabError, NotReady
from labctl.lab import Node
from labctl.names import ROLE_NODE
from labctl.timing import Deadline, Signal

LAB_CONTEXT = "lab"
LOG_TAIL = 8
LOOK_AGAIN_S = 1.0


class Cluster:
    """Connections to every node of a lab. Use it as a context manager."""

    def __init__(self, engine: Engine, running: Running) -> None:
        seen = running.observation
        self.lab = running.lab
        self._engine = engine
        self._stack = running.stack
        self._secrets = Secrets(seen.networks[0].seed if seen.networks else "")
        self._containers = {each.node: each for each in seen.containers if each.role == ROLE_NODE}
        self._numbers = running.ring_numbers
        self._connections: dict[str, ami.Connection] = {}
        self._signal = Signal()
        self._membership = Signal()
        self._listeners: list[Callable[[str, float, Message], None]] = []
        self._logs = NodeLogs(engine, running, self._membership)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Connect to every node that runs; Asterisk need not listen yet."""
        running = [name for name, each in self._containers.items() if each.state == "running"]
        with ThreadPoolExecutor(max_workers=max(1, len(running))) as pool:
            list(pool.map(self._connect, running))

    def await_booted(self, deadline: Deadline) -> None:
        """Return when every connected Asterisk is fully booted, has gone, or the deadline passes."""
        open_ = self._connections.values()
        self._membership.wait_until(lambda: all(each.booted or each.ended for each in open_), deadline)

    def close(self) -> None:
        """Hang up everywhere."""
        for connection in self._connections.values():
            connection.close()
        self._logs.close()

    def connection(self, node: str) -> ami.Connection:
        """The connection to a node. Raises LabError if there is none."""
        if node not in self._connections:
            raise LabError(f"{node} is not running", f"labctl up --name {self.lab.name} mends it")
        return self._connections[node]

    def listen(self, listener: Callable[[str, float, Message], None]) -> None:
        """Have every AMI event of every node from now on told to `listener`, from the node's own thread."""
        self._listeners.append(listener)

    def listen_to_logs(self, listener: LineListener) -> None:
        """Have every line that a node logs from now on told to `listener`, from the node's own thread."""
        self._logs.listen(listener)
        for node in self._connections:
            if not self._logs.has_ring(node):
                self._logs.note(node, self.ring(node))
            self._logs.follow(node, self._containers[node].id, since=int(time.time()))

    def reconnect(self, node: str, deadline: Deadline) -> None:
        """Connect anew to a node whose Asterisk or container was gone, and return when it is fully booted.

        Raises NotReady at the deadline, or as soon as its container has ended.
        """
        self.disconnect(node)
        self._containers = {
            each.node: each for each in self._engine.observe(self.lab.name).containers if each.role == ROLE_NODE
        }
        if self._logs.listened_to:
            self._logs.follow(node, self._containers[node].id, since=int(time.time()) - 1)
        self._connect(node)
        connection = self.connection(node)
        self._membership.wait_until(lambda: connection.booted or connection.ended, deadline)
        if not connection.booted:
            raise self.not_ready(f"{node} is not back after {deadline.timeout_s:g} s", {node: ["not fully booted"]})

    def await_gone(self, node: str, deadline: Deadline) -> None:
        """Return when the node's Asterisk has hung up, or there is no connection to it, or at the deadline."""
        connection = self._connections.get(node)
        if connection:
            self._membership.wait_until(lambda: connection.ended, deadline)

    def disconnect(self, node: str) -> None:
        """Hang up on a node that is gone."""
        connection = self._connections.pop(node, None)
        if connection:
            connection.close()
        self._logs.leave(node)

    @property
    def connected(self) -> tuple[str, ...]:
        """The nodes that there is a connection to."""
        return tuple(self._connections)

    def known_ring(self, node: str) -> Ring:
        """Corosync's membership as the node's log told it last."""
        return self._logs.ring(node)

    def ask(self, node: str, number: str, context: str, *, fresh: bool = True) -> tuple[dundi.Answer, ...]:
        """What other sites answer a node that asks for a number by DUNDi; `fresh` passes by earlier answers.

        Raises LabError.
        """
        return dundi.parse_lookup(self.connection(node).command(dundi.command(number, context, fresh=fresh)))

    def _connect(self, node: str) -> None:
        stream = self._engine.open_stream(self._containers[node].id, ami.CONNECT)
        connection = ami.Connection(node, stream, self._secrets.ami, self._on_event)
        self._connections[node] = connection
        connection.open()

    def _on_event(self, node: str, at_s: float, message: Message) -> None:
        if message.get("Event") in ("FullyBooted", "Disconnected"):
            self._membership.notify()
        for listener in self._listeners:
            listener(node, at_s, message)
        self._signal.notify()

    # Ready

    def await_ready(self, deadline: Deadline, mend: Callable[[str], None] | None = None) -> None:
        """Return when every node is booted, quorate, and sees every member in its ring and its module.

        `mend` is called, once at most, with each node whose module will never find its ring again. Raises NotReady as
        soon as a container has ended, or at the deadline; it says which node lacks what, and shows the last lines of
        that node's log.
        """
        with ThreadPoolExecutor(max_workers=len(self.lab.nodes)) as pool:
            lacks = list(pool.map(lambda node: self._await_node(node, deadline, mend), self.lab.nodes))
        missing = {node.name: what for node, what in zip(self.lab.nodes, lacks, strict=True) if what}
        if missing:
            raise self.not_ready(f"not ready after {deadline.timeout_s:g} s", missing)

    def _await_node(self, node: Node, deadline: Deadline, mend: Callable[[str], None] | None) -> list[str]:
        """What the node still lacks at the deadline, or when its container has ended; empty once it is ready."""
        if node.name not in self._connections:
            return ["its container does not run"]
        connection = self._connections[node.name]
        self._membership.wait_until(lambda: connection.booted or connection.ended, deadline)
        if not connection.booted:
            state = "has ended" if self._has_ended(node.name) else "runs"
            return [f"Asterisk is not fully booted (the container {state})"]
        if self.lab.rings:
            self._logs.note(node.name, self._told_ring(node.name))
        if self._lacks(node):
            self._logs.follow(node.name, self._containers[node.name].id)
        while lacks := self._lacks_now(node, deadline):
            if mend and self._stack.has_lost_ring(lacks[0]):
                mend(node.name)
                return self._await_node(node, deadline, None)
            if deadline.passed or self._has_ended(node.name):
                return lacks
        return []

    def _lacks_now(self, node: Node, deadline: Deadline) -> list[str]:
        """What the node lacks when something has happened; what changes a membership shows in its log.

        Where nothing shows for LOOK_AGAIN_S, Corosync's own tool is asked, in case a line was missed.
        """
        before = self._membership.count
        lacks = self._lacks(node)
        if lacks and not self._membership.wait_beyond(before, Deadline(min(LOOK_AGAIN_S, deadline.left_s))):
            self._logs.note(node.name, self.ring(node.name))
        return lacks

    def _lacks(self, node: Node) -> list[str]:
        if not self.lab.rings:
            return []
        expected = len(self.lab.cluster_of(node.name))
        ring = self.known_ring(node.name)
        if len(ring.members) != expected:
            return [f"its ring has {len(ring.members)} of {expected} members"]
        if not ring.quorate:
            return ["its ring is not quorate"]
        return self._module_lacks(node.name, expected) if self.lab.share else []

    def _module_lacks(self, node: str, expected: int) -> list[str]:
        try:
            answer = self._module_answer(node)
        except LabError as error:
            return [f"`{self._stack.members_command}` fails: {error.message.removeprefix(f'{node}: ')}"]
        members = output.parse_members(answer)
        if len(members) == expected:
            return []
        lost = not members and self._stack.has_lost_ring(answer)
        return [answer if lost else f"{self._stack.cluster_module} sees {len(members)} of {expected} members"]

    def _told_ring(self, node: str) -> Ring:
        """The membership that the node's log tells of: a process to ask Corosync takes ten times as long."""
        told = self._logs.told(self._containers[node].id)
        return told if told.members else self.ring(node)

    def ring(self, node: str) -> Ring:
        """Corosync's membership as the node sees it now; an empty one where it does not answer."""
        if not self.lab.rings:
            return Ring()
        done = self._engine.run(self._containers[node].id, self._stack.ring_command.split())
        return membership.parse_ring(done.text, self._numbers)

    def _module_members(self, node: str) -> tuple[str, ...]:
        """The ids that the node's cluster module sees."""
        return output.parse_members(self._module_answer(node))

    def _module_answer(self, node: str) -> str:
        """What the node's cluster module answers when asked for its members, in whichever of the stack's words."""
        commands = filter(None, (self._stack.members_command, self._stack.other_members_command))
        return "\n".join(self.connection(node).command(command) for command in commands)

    def _has_ended(self, node: str) -> bool:
        seen = {each.node: each.state for each in self._engine.observe(self.lab.name).containers}
        return seen.get(node) != "running"

    def not_ready(self, message: str, missing: dict[str, list[str]]) -> NotReady:
        """An error that says which node lacks what, and shows the last lines of that node's log."""
        lines = [message]
        for node, lacks in missing.items():
            lines += [f"  {node}: {', '.join(lacks)}"]
            if node in self._containers:
                tail = self._engine.logs(self._containers[node].id, tail=LOG_TAIL)
                lines += [f"    {line}" for line in tail.splitlines()]
                lines += [f"  {problem}" for problem in self.config_problems(node)]
        return NotReady("\n".join(lines), missing, f"labctl logs NODE shows all; labctl ps the lab {self.lab.name}")

    def config_problems(self, node: str) -> list[ConfigProblem]:
        """What is wrong with the files of a node that the lab's `config:` adds to."""
        if not config_problems.added_files(self.lab, node):
            return []
        log = self._engine.logs(self._containers[node].id)
        return config_problems.look(self.lab, node, log, lambda command: self.connection(node).command(command))

    # What the nodes say

    def set_device(self, node: str, device: str, state: str) -> str:
        """Send a change of a Custom device on a node; the id to wait for the answer by."""
        return self.connection(node).send("Setvar", Variable=f"DEVICE_STATE({device})", Value=state)

    def states(self, nodes: Collection[str] | None = None) -> list[StateRow]:
        """What each node (or each of `nodes`) has told of each extension last, all asked at once.

        That is the state of the hint, which every phone that watches it was told; AMI's ExtensionState works the state
        out anew from the devices, and may know better than any phone.
        """
        asked = {
            node: connection.send("Command", Command=output.HINTS_COMMAND)
            for node, connection in list(self._connections.items())
            if nodes is None or node in nodes
        }
        said = {node: self._hints(node, number) for node, number in asked.items()}
        hints = [
            (phone.extension, f"{self._stack.sip_channel}/{phone.name}", self.lab.cluster_of(phone.node))
            for phone in self.lab.phones
        ]
        sites = {node.site: self.lab.cluster_of(node.name) for node in self.lab.nodes}
        hints += [(device, f"Custom:{device}", cluster) for device in self.lab.devices for cluster in sites.values()]
        return [
            StateRow(
                extension,
                device,
                {each.name: said.get(each.name, {}).get(extension, UNKNOWN) for each in nodes},
            )
            for extension, device, nodes in hints
        ]

    def _hints(self, node: str, number: str) -> dict[str, str]:
        """What the node has told last of each extension; nothing where it does not answer."""
        try:
            text = self.connection(node).answer(number).get("Output", "")
        except LabError:
            return {}
        return {hint.extension: hint.state for hint in output.parse_hints(text) if hint.context == LAB_CONTEXT}

    def await_state(self, extension: str, state: str, deadline: Deadline, nodes: Collection[str] | None = None) -> None:
        """Return when every node (or each of `nodes`) says `state` of the extension.

        Raises NotReady at the deadline.
        """
        said: dict[str, str] = {}

        def ready() -> bool:
            nonlocal said
            rows = [row.states for row in self.states(nodes) if row.extension == extension]
            said = {node: each for row in rows for node, each in row.items() if nodes is None or node in nodes}
            return set(said.values()) == {state}

        if not self._signal.wait_until(ready, deadline):
            missing = {node: [f"says {each}"] for node, each in said.items() if each != state}
            raise self.not_ready(f"{extension} is not {state} after {deadline.timeout_s:g} s", missing)

    def follow(self, extension: str) -> list[tuple[str, float, str]]:
        """A list to which every change of the extension is added from now on: node, monotonic seconds, state."""
        history: list[tuple[str, float, str]] = []

        def listen(node: str, at_s: float, message: Message) -> None:
            told = (message.get("Event"), message.get("Context"), message.get("Exten"))
            if told == ("ExtensionStatus", LAB_CONTEXT, extension):
                history.append((node, at_s, output.extension_state(message["Status"])))

        self.listen(listen)
        return history

    def views(self) -> list[NodeView]:
        """One row of `labctl ps` for each node, asked over the open connections where that is quicker."""
        with ThreadPoolExecutor(max_workers=len(self.lab.nodes)) as pool:
            return list(pool.map(self._view, self.lab.nodes))

    def _view(self, node: Node) -> NodeView:
        container = self._containers[node.name]
        connection = self.connection(node.name)
        return NodeView(
            node.name,
            container.state,
            container.address,
            self.known_ring(node.name),
            numbered(self._module_members(node.name), self._numbers) if self.lab.share and self.lab.rings else (),
            output.parse_version(connection.command("core show version")),
            output.parse_uptime(connection.command("core show uptime")),
        )


def learned(history: list[tuple[str, float, str]]) -> tuple[Learned, ...]:
    """When each node learned each state, counted from the first to say it.

    The node that has said most is the measure: what another has said is laid beside it so that the states fit, for a
    node may not have heard of all.
    """
    by_node: dict[str, list[tuple[float, str]]] = {}
    for node, at_s, state in sorted(history, key=lambda change: change[1]):
        by_node.setdefault(node, []).append((at_s, state))
    longest = max(by_node.values(), key=len, default=[])
    turns: list[list[tuple[float, str, str]]] = [[] for _ in longest]
    for node, changes in by_node.items():
        matcher = SequenceMatcher(None, _states(longest), _states(changes), autojunk=False)
        blocks = matcher.get_matching_blocks()
        fits = {block.b + offset: block.a + offset for block in blocks for offset in range(block.size)}
        for number, (at_s, state) in enumerate(changes):
            if number in fits:
                turns[fits[number]].append((at_s, node, state))
            else:
                turns.append([(at_s, node, state)])
    return tuple(
        Learned(state, node, round((at_s - min(turn)[0]) * 1000, 2), number)
        for number, turn in enumerate(sorted(turns, key=min), start=1)
        for at_s, node, state in sorted(turn)
    )


def _states(changes: list[tuple[float, str]]) -> list[str]:
    return [state for _, state in changes]
